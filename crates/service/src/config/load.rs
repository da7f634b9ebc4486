//! From the four places to one checked value.

use super::environment::{CONFIG_FILE, Environment, is_service_link, key as key_of_variable, variable};
use super::file;
use super::keys::{KeyDoc, key_docs};
use super::problems::{ConfigError, Origin, Problem, Problems};
use super::{Config, value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Where a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named on the command line; else `SIGHTLINE_CONFIG` names it; else there is none.
    pub file: Option<PathBuf>,
    /// The variables.
    pub environment: Environment,
    /// The command line's `key=value`.
    pub set: Vec<String>,
    /// Flags that stand for a key: the flag as written, the key, the value.
    pub flags: Vec<(String, String, String)>,
}

/// One value from one place.
struct Given {
    key: String,
    origin: Origin,
    value: Value,
}

/// Reads and checks a configuration.
///
/// # Errors
/// With every mistake that was found: unknown keys with the nearest known one, values of the wrong kind, and what
/// [`Config::check`] notes; or the file's own error where it is unreadable.
pub fn load<T: Config>(sources: &Sources) -> Result<T, ConfigError> {
    let keys = key_docs::<T>();
    let mut problems = Problems::default();
    let mut given = Vec::new();
    let from_environment = sources
        .environment
        .get(CONFIG_FILE)
        .filter(|file| !file.is_empty())
        .map(PathBuf::from);
    if let Some(path) = sources.file.clone().or(from_environment) {
        from_file(&path, &keys, &mut given, &mut problems)?;
    }
    from_variables(&sources.environment, &keys, &mut given, &mut problems);
    from_flags(sources, &keys, &mut given, &mut problems);

    // Not left to serde's defaults, which know those of a block alone and not those that the whole gives it.
    let defaults = Table::try_from(T::default()).map_err(|error| whole(error.to_string()))?;
    let mut merged = defaults.clone();
    let mut origins = BTreeMap::new();
    for Given { key, origin, value } in given {
        // Alone, so that an error is this key's and all errors are found.
        let mut alone = defaults.clone();
        insert(&mut alone, &key, value.clone());
        match T::deserialize_table(alone) {
            Ok(_) => {
                insert(&mut merged, &key, value);
                origins.insert(key, origin);
            }
            Err(message) => problems.add(Problem { key, origin, message }),
        }
    }
    let config = T::deserialize_table(merged).map_err(whole)?;
    let mut checked = Problems::new(origins);
    config.check(&mut checked);
    for problem in checked.into_vec() {
        // A value that could not be read was replaced by the default: what follows from that is no news.
        if !problems.has(&problem.key) {
            problems.add(problem);
        }
    }
    let problems = problems.into_vec();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Problems(problems))
    }
}

/// A mistake that is no single key's.
fn whole(message: String) -> ConfigError {
    let key = "(all keys together)".to_owned();
    ConfigError::Problems(vec![Problem {
        key,
        origin: Origin::Default,
        message,
    }])
}

trait DeserializeTable: Sized {
    fn deserialize_table(table: Table) -> Result<Self, String>;
}

impl<T: serde::de::DeserializeOwned> DeserializeTable for T {
    fn deserialize_table(table: Table) -> Result<Self, String> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| error.message().to_owned())
    }
}

fn from_file(path: &Path, keys: &[KeyDoc], given: &mut Vec<Given>, problems: &mut Problems) -> Result<(), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let file = file::parse(path, &text)?;
    let mut pending: Vec<(String, Value)> = file.table.into_iter().collect();
    while let Some((key, value)) = pending.pop() {
        let line = file.lines.get(&key).copied().unwrap_or(1);
        let origin = Origin::File {
            path: path.to_owned(),
            line,
        };
        let block = format!("{key}.");
        if find(keys, &key).is_some() {
            given.push(Given { key, origin, value });
        } else if keys.iter().any(|known| known.key.starts_with(&block)) {
            match value {
                Value::Table(table) => {
                    pending.extend(table.into_iter().map(|(name, value)| (format!("{block}{name}"), value)))
                }
                _ => problems.add(Problem {
                    message: format!("is a table of keys: write [{key}]"),
                    key,
                    origin,
                }),
            }
        } else {
            let message = unknown(nearest(keys, &key).map(|known| known.key.as_str()));
            problems.add(Problem { key, origin, message });
        }
    }
    Ok(())
}

fn from_variables(environment: &Environment, keys: &[KeyDoc], given: &mut Vec<Given>, problems: &mut Problems) {
    for (name, text) in environment.keys() {
        let origin = Origin::Environment { variable: name.clone() };
        let Some(known) = keys.iter().find(|known| known.variable == *name) else {
            if !is_service_link(name, text) {
                let key = key_of_variable(name);
                let message = unknown(nearest(keys, &key).map(|known| known.variable.as_str()));
                problems.add(Problem { key, origin, message });
            }
            continue;
        };
        let parsed = match text.to_str() {
            Some(text) => value::parse(text, &known.kind),
            None => Err("is not UTF-8".to_owned()),
        };
        add(known, origin, parsed, given, problems);
    }
}

fn from_flags(sources: &Sources, keys: &[KeyDoc], given: &mut Vec<Given>, problems: &mut Problems) {
    let set = sources.set.iter().map(|argument| match argument.split_once('=') {
        Some((key, text)) => (format!("--set {key}"), key, Some(text)),
        None => ("--set".to_owned(), argument.as_str(), None),
    });
    let flags = sources
        .flags
        .iter()
        .map(|(flag, key, text)| (flag.clone(), key.as_str(), Some(text.as_str())));
    for (flag, key, text) in set.chain(flags) {
        let origin = Origin::Flag { flag };
        let Some(known) = find(keys, key) else {
            let message = unknown(nearest(keys, key).map(|known| known.key.as_str()));
            problems.add(Problem {
                key: key.to_owned(),
                origin,
                message,
            });
            continue;
        };
        let parsed = text.map_or(Err("has no value: write --set key=value".to_owned()), |text| {
            value::parse(text, &known.kind)
        });
        add(known, origin, parsed, given, problems);
    }
}

fn add(known: &KeyDoc, origin: Origin, parsed: Result<Value, String>, given: &mut Vec<Given>, problems: &mut Problems) {
    let key = known.key.clone();
    match parsed {
        Ok(value) => given.push(Given { key, origin, value }),
        Err(message) => problems.add(Problem { key, origin, message }),
    }
}

fn find<'a>(keys: &'a [KeyDoc], key: &str) -> Option<&'a KeyDoc> {
    keys.iter().find(|known| known.key == key)
}

fn unknown(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("there is no such key: did you mean {nearest}?"),
        None => "there is no such key".to_owned(),
    }
}

/// The known key that a person most likely meant. Dots and underscores are told apart by nobody who mistypes.
fn nearest<'a>(keys: &'a [KeyDoc], key: &str) -> Option<&'a KeyDoc> {
    let plain = |key: &str| variable(key).replace("__", "_");
    let wanted = plain(key);
    let distance = |known: &KeyDoc| strsim::damerau_levenshtein(&plain(&known.key), &wanted);
    let limit = (key.len() / 3).max(2);
    keys.iter()
        .map(|known| (distance(known), known))
        .filter(|(far, _)| *far <= limit)
        .min_by_key(|(far, _)| *far)
        .map(|(_, known)| known)
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((block, rest)) => {
            let inner = table.entry(block).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
