//! Requests to the hub, and what its refusals mean.

use crate::config::HubOptions;
use crate::error::HubError;
use crate::reference::HubRef;
use hf_hub::api::tokio::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response, StatusCode};
use std::error::Error as _;
use std::path::PathBuf;

/// Longest message of a server that is shown.
const MAX_MESSAGE: usize = 200;

/// The hub as one pull sees it. It has no Debug: the library's own shows the token.
pub(crate) struct Client<'a> {
    api: Api,
    pub(crate) options: &'a HubOptions,
    pub(crate) model: &'a HubRef,
}

impl<'a> Client<'a> {
    pub(crate) fn new(options: &'a HubOptions, model: &'a HubRef) -> Result<Self, HubError> {
        let token = (!options.token.is_empty()).then(|| options.token.expose().to_owned());
        // Its cache is not used; the default one wants a home folder, and panics without.
        let api = ApiBuilder::from_cache(Cache::new(PathBuf::new()))
            .with_endpoint(options.endpoint.expose().as_str().trim_end_matches('/').to_owned())
            .with_token(token)
            .with_progress(false)
            .with_user_agent("sightline", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|_| HubError::Token)?;
        Ok(Self { api, options, model })
    }

    fn repo(&self, revision: &str) -> ApiRepo {
        let repo = Repo::with_revision(self.model.repository(), RepoType::Model, revision.to_owned());
        self.api.repo(repo)
    }

    /// Asks what a revision holds, with lengths and digests.
    pub(crate) fn info(&self) -> RequestBuilder {
        self.repo(self.model.revision())
            .info_request()
            .query(&[("blobs", "true")])
    }

    /// Asks for a file of a commit.
    pub(crate) fn file(&self, commit: &str, path: &str) -> RequestBuilder {
        self.api.client().get(self.repo(commit).url(&escaped(path)))
    }

    /// Sends a request; an answer is a success.
    pub(crate) async fn send(&self, request: RequestBuilder, what: &str) -> Result<Response, HubError> {
        let answer = match tokio::time::timeout(self.options.stall, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unreachable(what, words(&error))),
            Err(_) => return Err(self.unreachable(what, self.stalled())),
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(self.refusal(answer.status(), answer.headers(), what))
    }

    /// A connection that says nothing, in words.
    pub(crate) fn stalled(&self) -> String {
        format!("nothing came for {} s", self.options.stall.as_secs_f64())
    }

    fn unreachable(&self, what: &str, reason: String) -> HubError {
        HubError::Unreachable {
            endpoint: self.options.shown_endpoint(),
            what: what.to_owned(),
            reason,
        }
    }

    /// An answer that breaks the API's rules.
    pub(crate) fn protocol(&self, what: impl Into<String>) -> HubError {
        HubError::Protocol {
            endpoint: self.options.shown_endpoint(),
            what: what.into(),
        }
    }

    /// The hub says in `X-Error-Code` what it means; other servers may leave that out.
    fn refusal(&self, status: StatusCode, headers: &HeaderMap, what: &str) -> HubError {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let repository = self.model.repository();
        let no_token = self.options.token.is_empty();
        let no_repository = || HubError::NoRepository {
            endpoint: self.options.shown_endpoint(),
            repository: repository.clone(),
            token: if no_token {
                ", and give a token if it is private (--hf-token, HF_TOKEN or hub.token)"
            } else {
                ", and that the token's account may see it"
            },
        };
        match (header("x-error-code"), status.as_u16()) {
            ("GatedRepo", _) => HubError::Gated {
                page: self.options.page(self.model),
                repository,
            },
            ("RevisionNotFound", _) => HubError::NoRevision {
                page: self.options.page(self.model),
                revision: self.model.revision().to_owned(),
                repository,
            },
            ("RepoNotFound", _) => no_repository(),
            // The hub answers so for private models and for names that nobody has, so as not to tell them apart.
            ("", 401) if no_token => no_repository(),
            (_, status @ (401 | 403)) => HubError::Refused {
                repository,
                status,
                token: if no_token {
                    "give a token (--hf-token, HF_TOKEN or hub.token)"
                } else {
                    "the token is wrong, has ended, or may not read this model; make another in the account's settings"
                },
            },
            ("", 404) => no_repository(),
            (_, status) => HubError::Answer {
                endpoint: self.options.shown_endpoint(),
                what: what.to_owned(),
                status,
                message: match header("x-error-message") {
                    "" => String::new(),
                    said => format!(", {:?}", said.chars().take(MAX_MESSAGE).collect::<String>()),
                },
            },
        }
    }
}

/// The innermost cause: the outer ones repeat the address, password and all.
pub(crate) fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.source().is_none() {
        return "the request failed".to_owned();
    }
    cause.to_string()
}

/// A path as a part of an address.
fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    path.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_end_its_address() {
        assert_eq!(escaped("1_Pooling/config.json"), "1_Pooling/config.json");
        assert_eq!(escaped("a?b#c d%é"), "a%3Fb%23c%20d%25%C3%A9");
    }
}
