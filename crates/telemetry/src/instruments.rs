//! Metrics and attributes that OpenTelemetry's semantic conventions name.
//!
//! A scraper sees them as OpenTelemetry's own exporter for Prometheus spells them: dots become underscores, and seconds
//! end the name (`rpc_server_call_duration_seconds`). A collector gets the names themselves.

use crate::label::LabelText;
use prometheus_client::encoding::{EncodeLabelKey, LabelKeyEncoder};
use std::fmt::{self, Write};

/// A metric of the conventions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instrument {
    pub(crate) name: &'static str,
    /// In UCUM; in braces where it says what is counted.
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
    /// Upper bounds of a histogram's buckets; none of a counter.
    pub(crate) buckets: &'static [f64],
}

/// The bounds that the conventions ask for of calls and messages.
const CALL_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The bounds that the conventions ask for of databases.
const DB_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Those of messages, and more above them: a shard takes minutes.
const PROCESS_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    1800.0,
];

pub(crate) const RPC_SERVER_CALL_DURATION: Instrument = Instrument {
    name: "rpc.server.call.duration",
    unit: "s",
    help: "Time from a call's headers to the end of its answer",
    buckets: CALL_SECONDS,
};
pub(crate) const DB_CLIENT_OPERATION_DURATION: Instrument = Instrument {
    name: "db.client.operation.duration",
    unit: "s",
    help: "Time of calls to a database",
    buckets: DB_SECONDS,
};
pub(crate) const MESSAGING_CLIENT_OPERATION_DURATION: Instrument = Instrument {
    name: "messaging.client.operation.duration",
    unit: "s",
    help: "Time until the broker has a message",
    buckets: CALL_SECONDS,
};
pub(crate) const MESSAGING_CLIENT_SENT_MESSAGES: Instrument = Instrument {
    name: "messaging.client.sent.messages",
    unit: "{message}",
    help: "Messages that the broker was asked to take",
    buckets: &[],
};
pub(crate) const MESSAGING_CLIENT_CONSUMED_MESSAGES: Instrument = Instrument {
    name: "messaging.client.consumed.messages",
    unit: "{message}",
    help: "Messages that were taken from the broker",
    buckets: &[],
};
pub(crate) const MESSAGING_PROCESS_DURATION: Instrument = Instrument {
    name: "messaging.process.duration",
    unit: "s",
    help: "Time from a message's coming to its answer",
    buckets: PROCESS_SECONDS,
};

/// All of them.
pub(crate) const INSTRUMENTS: [Instrument; 6] = [
    RPC_SERVER_CALL_DURATION,
    DB_CLIENT_OPERATION_DURATION,
    MESSAGING_CLIENT_OPERATION_DURATION,
    MESSAGING_CLIENT_SENT_MESSAGES,
    MESSAGING_CLIENT_CONSUMED_MESSAGES,
    MESSAGING_PROCESS_DURATION,
];

impl Instrument {
    /// Its name for scrapers, without what is added to a counter's.
    pub(crate) fn scraped(&self) -> String {
        let name = scraped(self.name);
        if self.unit == "s" { name + "_seconds" } else { name }
    }
}

/// An attribute's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) &'static str);

pub(crate) const DB_COLLECTION_NAME: Key = Key("db.collection.name");
pub(crate) const DB_OPERATION_NAME: Key = Key("db.operation.name");
pub(crate) const DB_SYSTEM_NAME: Key = Key("db.system.name");
pub(crate) const ERROR_TYPE: Key = Key("error.type");
pub(crate) const MESSAGING_DESTINATION_NAME: Key = Key("messaging.destination.name");
pub(crate) const MESSAGING_OPERATION_NAME: Key = Key("messaging.operation.name");
pub(crate) const MESSAGING_OPERATION_TYPE: Key = Key("messaging.operation.type");
pub(crate) const MESSAGING_SYSTEM: Key = Key("messaging.system");
pub(crate) const RPC_METHOD: Key = Key("rpc.method");
pub(crate) const RPC_RESPONSE_STATUS_CODE: Key = Key("rpc.response.status_code");
pub(crate) const RPC_SYSTEM_NAME: Key = Key("rpc.system.name");

/// All of them.
pub(crate) const KEYS: [Key; 11] = [
    DB_COLLECTION_NAME,
    DB_OPERATION_NAME,
    DB_SYSTEM_NAME,
    ERROR_TYPE,
    MESSAGING_DESTINATION_NAME,
    MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE,
    MESSAGING_SYSTEM,
    RPC_METHOD,
    RPC_RESPONSE_STATUS_CODE,
    RPC_SYSTEM_NAME,
];

impl Key {
    /// Its name for scrapers.
    pub(crate) fn scraped(self) -> String {
        scraped(self.0)
    }
}

impl EncodeLabelKey for Key {
    fn encode(&self, encoder: &mut LabelKeyEncoder<'_>) -> fmt::Result {
        encoder.write_str(&self.scraped())
    }
}

fn scraped(name: &str) -> String {
    name.replace('.', "_")
}

/// What a measurement is of.
pub(crate) type Attributes = Vec<(Key, LabelText)>;

/// Those that have a value: the conventions leave the others out.
pub(crate) fn attributes<const N: usize>(given: [(Key, Option<&str>); N]) -> Attributes {
    let valued = given
        .into_iter()
        .filter_map(|(key, value)| Some((key, LabelText::from(value?))));
    valued.collect()
}
