//! Where a Milvus server is, and as whom to speak to it.

use crate::IndexError;
use sightline_core::percent;
use std::fmt;
use url::Url;

const DEFAULT_PORT: u16 = 19530;

/// A server's address: `milvus://[USER:PASSWORD@|TOKEN@]HOST[:PORT][/DATABASE]`, or `milvus+tls://…`.
#[derive(Clone, PartialEq, Eq)]
pub struct MilvusAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) database: String,
    pub(super) token: Option<String>,
}

impl MilvusAddress {
    /// Reads an address. User, password, token and database are percent-decoded.
    ///
    /// # Errors
    /// [`IndexError::BadAddress`], which does not repeat the address: it may hold a password.
    pub fn parse(address: &str) -> Result<Self, IndexError> {
        let bad = |message: &str| IndexError::BadAddress {
            message: format!(
                "the address of Milvus {message}; write milvus://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or milvus+tls://…"
            ),
        };
        let url = Url::parse(address).map_err(|error| bad(&format!("is no URL ({error})")))?;
        let tls = match url.scheme() {
            "milvus" => false,
            "milvus+tls" => true,
            other => return Err(bad(&format!("begins with {other}:"))),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("has a query or a fragment"));
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let database = url.path().trim_matches('/');
        if database.contains('/') {
            return Err(bad("names a database with a slash"));
        }
        let decode = |text: &str| percent::decode(text).ok_or_else(|| bad("has a broken percent escape"));
        let token = match (url.username(), url.password()) {
            ("", None) => None,
            (token, None) => Some(decode(token)?),
            (user, Some(password)) => Some(format!("{}:{}", decode(user)?, decode(password)?)),
        };
        Ok(Self {
            host: host.ok_or_else(|| bad("names no host"))?.to_owned(),
            port: url.port().unwrap_or(DEFAULT_PORT),
            tls,
            database: decode(database)?,
            token,
        })
    }

    /// The address as the client takes it: without secrets.
    pub(super) fn endpoint(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for MilvusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "milvus+tls" } else { "milvus" };
        let secret = if self.token.is_some() { "***@" } else { "" };
        write!(f, "{scheme}://{secret}{}:{}", self.host, self.port)?;
        if !self.database.is_empty() {
            write!(f, "/{}", self.database)?;
        }
        Ok(())
    }
}

impl fmt::Debug for MilvusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MilvusAddress({self})")
    }
}
