//! The connection, and one deadline around every call.

use super::address::MilvusAddress;
use super::error::{Meaning, index_error, is_unimplemented, meaning};
use crate::{IndexError, OpenOptions};
use milvus::v2::error::Error;
use milvus::v2::prelude::{
    ClientV2, ConnectConfig, ConsistencyLevel, FieldData, GetServerVersionRequest, InsertRequest,
    ListCollectionsRequest, QueryRequest, QueryResults, RetryConfig, TelemetryConfig, UpsertRequest,
};
use sightline_core::CollectionName;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// Attempts of a call that may be repeated.
const ATTEMPTS: u32 = 3;

/// What kind of server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Milvus.
    Milvus,
    /// milvus-lite: the search core of Milvus in a small server. It has no `not`, and lists collections without their
    /// numbers.
    Lite,
}

/// Which writes a read sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Every write that has returned, of any process: costs up to two ticks of the server's clock, of 200 ms each.
    Everyones,
    /// Every write of this process, and those of others as soon as the server sees them by itself, within a tick or
    /// two: costs no waiting.
    Ours,
}

impl Freshness {
    pub(super) fn level(self) -> ConsistencyLevel {
        match self {
            Self::Everyones => ConsistencyLevel::Strong,
            Self::Ours => ConsistencyLevel::Session,
        }
    }
}

pub(super) struct Client {
    pub(super) sdk: ClientV2,
    pub(super) dialect: Dialect,
    address: MilvusAddress,
    pub(super) deadline: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) async fn connect(address: &MilvusAddress, options: &OpenOptions) -> Result<Self, IndexError> {
        let mut config = ConnectConfig::new()
            .uri(address.endpoint())
            .secure(address.tls)
            .connect_timeout(options.connect_timeout)
            .rpc_timeout(options.rpc_timeout)
            .retry(RetryConfig::new().max_attempts(ATTEMPTS))
            .telemetry(TelemetryConfig::new().enabled(false));
        if !address.database.is_empty() {
            config = config.database(address.database.as_str());
        }
        if let Some(token) = &address.token {
            config = config.token(token.as_str());
        }
        let sdk = match ClientV2::new(&config).await {
            Ok(sdk) => sdk,
            Err(error) if matches!(meaning(&error), Meaning::Forbidden | Meaning::Refused) => {
                return Err(IndexError::BadAddress {
                    message: format!("{address} refuses us: {error}"),
                });
            }
            Err(error) => {
                return Err(IndexError::Unavailable {
                    action: "connect to Milvus",
                    message: format!("{address}: {error}"),
                });
            }
        };
        let dialect = dialect(&sdk).await;
        Ok(Self {
            sdk,
            dialect,
            address: address.clone(),
            // The client bounds each attempt; this bounds what it does between them.
            deadline: options.rpc_timeout * (ATTEMPTS + 1),
        })
    }

    /// Waits for a call, but not for ever.
    pub(super) async fn within<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.deadline, call).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout(format!("no answer in {} s", self.deadline.as_secs()))),
        }
    }

    /// A call about a collection.
    pub(super) async fn call<T>(
        &self,
        action: &'static str,
        collection: &CollectionName,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, IndexError> {
        self.within(call)
            .await
            .map_err(|error| index_error(action, Some(collection), &error))
    }

    /// Names of all collections, of other programs too.
    pub(super) async fn collection_names(&self) -> Result<Vec<String>, IndexError> {
        let action = "list collections";
        if self.dialect == Dialect::Lite {
            // The newer client takes its answer, in which the numbers of the collections are missing, for a broken one.
            let call = async {
                milvus::client::Client::new(self.address.endpoint())
                    .await?
                    .list_collections()
                    .await
            };
            let unavailable = |message: String| IndexError::Unavailable { action, message };
            return match tokio::time::timeout(self.deadline, call).await {
                Ok(names) => names.map_err(|error| unavailable(error.to_string())),
                Err(_) => Err(unavailable("no answer in time".into())),
            };
        }
        let call = async {
            let request = ListCollectionsRequest::builder().build()?;
            Ok(self.sdk.list_collections(request).await?.collection_names().to_vec())
        };
        self.within(call)
            .await
            .map_err(|error| index_error(action, None, &error))
    }

    /// Writes columns of rows, each id once.
    pub(super) async fn upsert(&self, collection: &CollectionName, columns: Vec<FieldData>) -> Result<(), IndexError> {
        let call = async {
            let rows = InsertRequest::builder()
                .collection_name(collection.as_str())
                .columns(columns)
                .build()?;
            self.sdk.upsert(UpsertRequest::builder().insert(rows).build()?).await
        };
        self.call("write rows", collection, call).await.map(|_| ())
    }

    /// Reads rows for which an expression holds; the smallest ids first where there is a limit.
    pub(super) async fn query(
        &self,
        collection: &CollectionName,
        expression: String,
        fields: &[&str],
        limit: Option<usize>,
        freshness: Freshness,
    ) -> Result<QueryResults, Error> {
        let mut request = QueryRequest::builder()
            .collection_name(collection.as_str())
            .filter(expression)
            .output_fields(fields.iter().copied())
            .consistency_level(freshness.level());
        if let Some(limit) = limit {
            request = request.limit(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        self.within(async { Ok(self.sdk.query(request.build()?).await?.results().clone()) })
            .await
    }
}

/// milvus-lite alone does not tell its version.
async fn dialect(sdk: &ClientV2) -> Dialect {
    let Ok(request) = GetServerVersionRequest::builder().build() else {
        return Dialect::Milvus;
    };
    match sdk.server_version(request).await {
        Err(error) if is_unimplemented(&error) => Dialect::Lite,
        _ => Dialect::Milvus,
    }
}
