//! The environment as a value, so that nothing but a main reads the real one.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The prefix of every variable of ours.
pub(super) const PREFIX: &str = "SIGHTLINE_";
/// Names the configuration file.
pub(super) const CONFIG_FILE: &str = "SIGHTLINE_CONFIG";
/// What tests need; no configuration of a service.
const TESTS: &str = "SIGHTLINE_TEST_";
/// What the client needs; a person who exports them may start a service in the same shell.
const CLIENT: [&str; 6] = [
    "SIGHTLINE_SERVER",
    "SIGHTLINE_COORDINATOR",
    "SIGHTLINE_WORKER",
    "SIGHTLINE_GATEWAY",
    "SIGHTLINE_CA_CERT",
    "SIGHTLINE_TLS_NAME",
];

/// Environment variables, those of Sightline alone.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }

    /// The variables that stand for keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&String, &OsString)> {
        self.0.iter().filter(|(name, _)| *name != CONFIG_FILE)
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let named = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(
            named
                .filter(|(name, _)| {
                    name.starts_with(PREFIX) && !name.starts_with(TESTS) && !CLIENT.contains(&name.as_str())
                })
                .collect(),
        )
    }
}

/// The variable of a key: `queue.url` is `SIGHTLINE_QUEUE__URL`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// The key of a variable as far as the name alone can tell.
pub(super) fn key(variable: &str) -> String {
    variable
        .strip_prefix(PREFIX)
        .unwrap_or(variable)
        .to_ascii_lowercase()
        .replace("__", ".")
}

/// Whether Kubernetes put the variable there: it describes every service of the namespace to every pod, and a service
/// that is named `sightline-…` begins with our prefix.
pub(super) fn is_service_link(variable: &str, value: &OsStr) -> bool {
    if variable.ends_with("_SERVICE_HOST") || variable.ends_with("_SERVICE_PORT") || variable.contains("_SERVICE_PORT_")
    {
        return true;
    }
    let Some((_, port)) = variable.rsplit_once("_PORT_") else {
        return variable.ends_with("_PORT") && value.to_string_lossy().contains("://");
    };
    let mut words = port.split('_');
    let number = words
        .next()
        .is_some_and(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()));
    let protocol = words.next().is_some_and(|word| matches!(word, "TCP" | "UDP" | "SCTP"));
    let rest = words
        .next()
        .is_none_or(|word| matches!(word, "PROTO" | "PORT" | "ADDR"))
        && words.next().is_none();
    number && protocol && rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_reads_is_no_key_of_a_service() {
        let names = [
            "SIGHTLINE_SERVER",
            "SIGHTLINE_GATEWAY",
            "SIGHTLINE_TEST_AMQP_URL",
            "SIGHTLINE_QUEUE__URL",
        ];
        let environment: Environment = names.into_iter().map(|name| (name, "x")).collect();
        let keys: Vec<&String> = environment.keys().map(|(name, _)| name).collect();
        assert_eq!(keys, ["SIGHTLINE_QUEUE__URL"]);
    }

    #[test]
    fn a_key_and_its_variable_name_each_other() {
        assert_eq!(variable("grpc.max_message_bytes"), "SIGHTLINE_GRPC__MAX_MESSAGE_BYTES");
        assert_eq!(key("SIGHTLINE_GRPC__MAX_MESSAGE_BYTES"), "grpc.max_message_bytes");
    }

    #[test]
    fn what_kubernetes_says_of_our_services_is_told_from_a_mistake() {
        for link in [
            "SIGHTLINE_GATEWAY_SERVICE_HOST",
            "SIGHTLINE_GATEWAY_SERVICE_PORT",
            "SIGHTLINE_GATEWAY_SERVICE_PORT_GRPC",
            "SIGHTLINE_GATEWAY_PORT",
            "SIGHTLINE_GATEWAY_PORT_50051_TCP",
            "SIGHTLINE_GATEWAY_PORT_50051_TCP_PROTO",
            "SIGHTLINE_GATEWAY_PORT_50051_TCP_PORT",
            "SIGHTLINE_GATEWAY_PORT_50051_TCP_ADDR",
        ] {
            assert!(is_service_link(link, OsStr::new("tcp://10.0.0.1:50051")), "{link}");
        }
        for mistake in [
            "SIGHTLINE_QUEUE_URL",
            "SIGHTLINE_QUEUE_PORT",
            "SIGHTLINE_PORT_X",
            "SIGHTLINE_A_PORT_1_TCP_X",
            "SIGHTLINE_A_PORT__TCP",
        ] {
            assert!(!is_service_link(mistake, OsStr::new("5672")), "{mistake}");
        }
    }
}
