//! Configuration as an operator meets it.

use super::{
    Config, ConfigError, Environment, GrpcConfig, IndexConfig, KeyKind, ListenConfig, LogFormatName, Problem, Problems,
    QueueConfig, Sources, TelemetryConfig, key_docs, load,
};
use proptest::prelude::{ProptestConfig, any, proptest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Whole {
    listen: ListenConfig,
    grpc: GrpcConfig,
    queue: QueueConfig,
    index: IndexConfig,
    telemetry: TelemetryConfig,
    /// Names, in order.
    names: Vec<String>,
    /// Anything by name.
    extra: BTreeMap<String, i64>,
}

impl Default for Whole {
    fn default() -> Self {
        Self {
            listen: ListenConfig::on_port(50051),
            grpc: GrpcConfig::default(),
            queue: QueueConfig::default(),
            index: IndexConfig::default(),
            telemetry: TelemetryConfig::default(),
            names: Vec::new(),
            extra: BTreeMap::new(),
        }
    }
}

impl Config for Whole {
    fn check(&self, problems: &mut Problems) {
        problems.within("listen", |problems| self.listen.check(problems));
        problems.within("grpc", |problems| self.grpc.check(problems));
        problems.within("queue", |problems| self.queue.check(problems));
        problems.within("index", |problems| self.index.check(problems));
        problems.within("telemetry", |problems| self.telemetry.check(problems));
    }
}

const NEEDED: [(&str, &str); 2] = [
    ("SIGHTLINE_QUEUE__URL", "amqp://u:hunter2@broker"),
    ("SIGHTLINE_INDEX__URL", "milvus://milvus:19530"),
];

fn sources(toml: &str, environment: &[(&str, &str)], set: &[&str]) -> (Sources, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(toml.as_bytes()).unwrap();
    let sources = Sources {
        file: Some(file.path().to_owned()),
        environment: environment.iter().copied().collect(),
        set: set.iter().map(|text| (*text).to_owned()).collect(),
        flags: Vec::new(),
    };
    (sources, file)
}

fn read(toml: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Whole, ConfigError> {
    let (sources, _file) = sources(toml, environment, set);
    load(&sources)
}

fn problems(toml: &str, environment: &[(&str, &str)], set: &[&str]) -> Vec<Problem> {
    match read(toml, environment, set).unwrap_err() {
        ConfigError::Problems(problems) => problems,
        ConfigError::File { path, reason } => panic!("{}: {reason}", path.display()),
    }
}

#[test]
fn later_places_win_over_earlier_ones() {
    let toml = "[grpc]\ntimeout_seconds = 1\nkeepalive_seconds = 1\nmax_in_flight_calls = 1\n";
    let environment = [
        NEEDED.as_slice(),
        &[
            ("SIGHTLINE_GRPC__KEEPALIVE_SECONDS", "2"),
            ("SIGHTLINE_GRPC__MAX_IN_FLIGHT_CALLS", "2"),
        ],
    ]
    .concat();
    let (mut sources, _file) = sources(toml, &environment, &["grpc.max_in_flight_calls=3", "names=a,b"]);
    sources
        .flags
        .push(("--names".to_owned(), "names".to_owned(), "c".to_owned()));
    let config: Whole = load(&sources).unwrap();
    assert_eq!(config.grpc.timeout_seconds, 1);
    assert_eq!(config.grpc.keepalive_seconds, 2);
    assert_eq!(config.grpc.max_in_flight_calls, 3);
    assert_eq!(config.grpc.max_message_bytes, super::DEFAULT_MAX_MESSAGE_BYTES);
    assert_eq!(config.names, ["c"]);
}

#[test]
fn a_block_given_in_part_keeps_the_service_s_own_defaults_for_the_rest() {
    let config = read("[listen]\ninsecure = true\n", &NEEDED, &[]).unwrap();
    assert!(config.listen.insecure);
    assert_eq!(config.listen.address.port(), 50051);
}

#[test]
fn all_mistakes_are_reported_together_each_with_its_place() {
    let toml = "# a comment\n[queue]\nulr = \"amqp://x\"\n\n[grpc]\ntimeout_seconds = \"long\"\n";
    let environment = [
        ("SIGHTLINE_INDEX_URL", "http://milvus"),
        ("SIGHTLINE_TELEMETRY__TRACE_RATIO", "2"),
    ];
    let found = problems(toml, &environment, &["listen.adress=127.0.0.1:1", "names"]);
    let shown = ConfigError::Problems(found.clone()).to_string();
    let find = |key: &str| {
        found
            .iter()
            .find(|problem| problem.key == key)
            .unwrap_or_else(|| panic!("{key}: {shown}"))
    };
    assert!(find("queue.ulr").origin.to_string().ends_with(", line 3"), "{shown}");
    assert!(find("queue.ulr").message.contains("queue.url"), "{shown}");
    assert!(
        find("grpc.timeout_seconds").origin.to_string().ends_with(", line 6"),
        "{shown}"
    );
    assert!(find("index_url").message.contains("SIGHTLINE_INDEX__URL"), "{shown}");
    assert_eq!(
        find("telemetry.trace_ratio").origin.to_string(),
        "environment, SIGHTLINE_TELEMETRY__TRACE_RATIO"
    );
    assert!(find("listen.adress").message.contains("listen.address"), "{shown}");
    assert!(find("names").message.contains("--set key=value"), "{shown}");
    assert!(find("queue.url").message.contains("is needed"), "{shown}");
    assert!(find("index.url").message.contains("is needed"), "{shown}");
    assert_eq!(found.len(), 8, "{shown}");
    assert!(shown.starts_with("the configuration has 8 mistakes:\n"), "{shown}");
}

#[test]
fn a_value_that_cannot_be_read_is_reported_once_and_not_also_as_missing() {
    let found = problems("[queue]\nurl = \"not a url\"\n[index]\nurl = 7\n", &[], &[]);
    let keys: Vec<&str> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys.len(), 2, "{found:?}");
    assert!(keys.contains(&"queue.url") && keys.contains(&"index.url"), "{found:?}");
}

#[test]
fn a_key_that_resembles_nothing_gets_no_suggestion() {
    let found = problems("zzzzzzzzzz = 1\n", &NEEDED, &[]);
    assert_eq!(found[0].message, "there is no such key");
}

#[test]
fn a_block_given_as_a_value_is_a_mistake() {
    assert_eq!(
        problems("queue = 1\n", &NEEDED, &[])[0].message,
        "is a table of keys: write [queue]"
    );
}

#[test]
fn no_mistake_repeats_a_secret() {
    let toml = "[queue]\nurl = \"hunter2@broker\"\n";
    let environment = [("SIGHTLINE_GRPC__TIMEOUT_SECONDS", "hunter2")];
    let error = read(toml, &environment, &["grpc.keepalive_seconds=hunter2"]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    let broken = read("[queue]\nurl = \"hunter2\nnext = 1", &[], &[]).unwrap_err();
    assert!(!format!("{broken} {broken:?}").contains("hunter2"), "{broken}");
    assert!(broken.to_string().contains("line 2"), "{broken}");
}

#[test]
fn a_whole_configuration_shows_no_secret() {
    let config = read(
        "[index]\nurl = \"milvus://hunter3@milvus:19530\"\n",
        &NEEDED[..NEEDED.len() - 1],
        &[],
    )
    .unwrap();
    let url = config.index.url.as_ref().unwrap();
    assert_eq!(url.expose().username(), "hunter3");
    let shown = format!("{config:?} {config:#?} {}", serde_json::to_string(&config).unwrap());
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.contains("broker"), "{shown}");
}

#[test]
fn a_service_listens_beyond_loopback_only_with_tls_or_when_told_that_it_is_insecure() {
    let with = |more: &[&str]| read("", &NEEDED, &[&["listen.address=0.0.0.0:50051"], more].concat());
    let Err(ConfigError::Problems(found)) = with(&[]) else {
        panic!("accepted")
    };
    assert_eq!(found[0].key, "listen.address");
    assert_eq!(found[0].origin.to_string(), "command line, --set listen.address");
    assert!(
        found[0].message.contains("TLS") && found[0].message.contains("insecure = true"),
        "{found:?}"
    );
    assert!(with(&["listen.insecure=true"]).is_ok());
    assert!(with(&["listen.tls_cert=a.pem", "listen.tls_key=b.pem"]).is_ok());
    assert!(with(&["listen.tls_cert=a.pem"]).is_err());
    for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(
            read("", &NEEDED, &[&format!("listen.address={loopback}")]).is_ok(),
            "{loopback}"
        );
    }
    assert!(read("", &NEEDED, &["listen.address=[::]:1"]).is_err());
}

#[test]
fn the_environment_names_the_file_and_the_command_line_names_another() {
    let (first, first_file) = sources("names = [\"first\"]\n", &[], &[]);
    let (second, _second_file) = sources("names = [\"second\"]\n", &[], &[]);
    let mut environment: Vec<(String, String)> = NEEDED
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environment.push((
        "SIGHTLINE_CONFIG".to_owned(),
        first_file.path().to_str().unwrap().to_owned(),
    ));
    let environment: Environment = environment.into_iter().collect();
    let from_environment = Sources {
        environment: environment.clone(),
        ..Sources::default()
    };
    assert_eq!(load::<Whole>(&from_environment).unwrap().names, ["first"]);
    assert_eq!(
        load::<Whole>(&Sources { environment, ..second }).unwrap().names,
        ["second"]
    );
    drop(first);
}

#[test]
fn an_empty_variable_names_no_file() {
    let (mut sources, _file) = sources("names = [\"first\"]\n", &[], &[]);
    sources.file = None;
    let mut environment: Vec<(String, String)> = NEEDED
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environment.push(("SIGHTLINE_CONFIG".to_owned(), String::new()));
    sources.environment = environment.into_iter().collect();
    load::<Whole>(&sources).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let sources = Sources {
        file: Some("/nowhere/sightline.toml".into()),
        ..Sources::default()
    };
    let error = load::<Whole>(&sources).unwrap_err().to_string();
    assert!(error.contains("/nowhere/sightline.toml"), "{error}");
}

#[test]
fn variables_of_tests_of_kubernetes_and_of_others_are_no_keys() {
    let others = [
        ("SIGHTLINE_TEST_AMQP_URL", "x"),
        ("SIGHTLINE_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    assert!(read("", &[NEEDED.as_slice(), &others].concat(), &[]).is_ok());
}

#[test]
fn every_key_is_listed_with_its_kind_its_default_and_its_meaning() {
    let keys = key_docs::<Whole>();
    let find = |key: &str| {
        keys.iter()
            .find(|known| known.key == key)
            .unwrap_or_else(|| panic!("{key}"))
    };
    assert_eq!(find("grpc.timeout_seconds").kind, KeyKind::Integer);
    assert_eq!(find("grpc.timeout_seconds").default, 60);
    assert_eq!(find("queue.url").kind, KeyKind::Text);
    assert!(find("queue.url").default.is_null());
    assert_eq!(find("queue.url").variable, "SIGHTLINE_QUEUE__URL");
    assert_eq!(find("listen.address").default, "127.0.0.1:50051");
    assert_eq!(find("listen.tls_cert").kind, KeyKind::Text);
    assert_eq!(find("listen.insecure").kind, KeyKind::Boolean);
    assert_eq!(
        find("telemetry.log_format").kind,
        KeyKind::Choice(vec!["text".to_owned(), "json".to_owned()])
    );
    assert_eq!(find("telemetry.trace_ratio").kind, KeyKind::Number);
    assert_eq!(find("names").kind, KeyKind::List(Box::new(KeyKind::Text)));
    assert_eq!(find("extra").kind, KeyKind::Toml);
    for key in &keys {
        assert!(!key.doc.is_empty(), "{} has no documentation", key.key);
    }
}

#[test]
fn lists_tables_and_words_come_from_the_environment_too() {
    let more = [
        ("SIGHTLINE_NAMES", "[\"a,b\", \"폐\"]"),
        ("SIGHTLINE_EXTRA", "{ one = 1 }"),
        ("SIGHTLINE_TELEMETRY__LOG_FORMAT", "json"),
    ];
    let config = read("", &[NEEDED.as_slice(), &more].concat(), &[]).unwrap();
    assert_eq!(config.names, ["a,b", "폐"]);
    assert_eq!(config.extra["one"], 1);
    assert_eq!(config.telemetry.log_format, LogFormatName::Json);
    let found = problems(
        "",
        &[NEEDED.as_slice(), &[("SIGHTLINE_TELEMETRY__LOG_FORMAT", "xml")]].concat(),
        &[],
    );
    assert_eq!(found[0].key, "telemetry.log_format");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_file_and_no_flag_makes_loading_panic(toml in any::<String>(), set in any::<String>(), value in any::<String>()) {
        let _loaded = read(&toml, &[], &[&set]);
        let _loaded = read("", &[("SIGHTLINE_EXTRA", &value.replace('\0', ""))], &[&format!("extra={value}")]);
    }

    #[test]
    fn a_text_survives_the_environment_and_the_command_line(text in any::<String>()) {
        let with_text = [NEEDED.as_slice(), &[("SIGHTLINE_TELEMETRY__LOG", text.as_str())]].concat();
        assert_eq!(read("", &with_text, &[]).unwrap().telemetry.log, text.clone());
        let set = format!("telemetry.log={text}");
        assert_eq!(read("", &NEEDED, &[&set]).unwrap().telemetry.log, text);
    }
}
