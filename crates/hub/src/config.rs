//! How the hub is reached, and where what came from it lies.

use crate::error::HubError;
use crate::reference::HubRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sightline_service::config::{Problems, Secret, SecretUrl};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PUBLIC: &str = "https://huggingface.co";
/// A connection that says nothing for so long is given up.
const STALL: Duration = Duration::from_secs(60);
/// First delay before a broken download is taken up again; it doubles each time.
const RETRY: Duration = Duration::from_secs(1);
/// Broken connections in a row, without a byte between them, after which a download is given up.
const ATTEMPTS: u32 = 5;

/// How the Hugging Face Hub is reached, for models named `hf:org/name[@revision]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HubConfig {
    /// The folder that pulled models are kept in; `sightline/models` in the user's cache folder where it is not given.
    pub cache: Option<PathBuf>,
    /// A server other than huggingface.co that speaks its API; the variable HF_ENDPOINT where it is not given.
    pub endpoint: Option<SecretUrl>,
    /// The token of an account, for private and gated models; the variable HF_TOKEN where it is not given.
    pub token: Secret,
    /// Never ask the hub: a model that was not pulled is an error. The variable HF_HUB_OFFLINE=1 says the same.
    pub offline: bool,
}

/// The same, with everything decided.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The folder of pulled models; none where neither configuration nor system names one.
    pub cache: Option<PathBuf>,
    /// The server.
    pub endpoint: SecretUrl,
    /// The token; empty for none.
    pub token: Secret,
    /// Whether the hub may not be asked.
    pub offline: bool,
    /// How long a connection may say nothing.
    pub stall: Duration,
    /// First delay before a broken download is taken up again.
    pub retry: Duration,
    /// Broken connections in a row after which a download is given up.
    pub attempts: u32,
}

impl HubConfig {
    /// Notes what is wrong with the block.
    pub fn check(&self, problems: &mut Problems) {
        let http = |url: &SecretUrl| matches!(url.scheme(), "http" | "https");
        if !self.endpoint.as_ref().is_none_or(http) {
            problems.note("endpoint", "must be an http:// or https:// URL");
        }
    }

    /// The same by the variables of this process.
    ///
    /// # Errors
    /// As [`HubConfig::options`].
    pub fn options_of_process(&self) -> Result<HubOptions, HubError> {
        self.options(|name| std::env::var_os(name)?.into_string().ok())
    }

    /// Decides what the configuration leaves open by the variables that other programs use for the hub: HF_TOKEN,
    /// HF_ENDPOINT, HF_HUB_OFFLINE, and XDG_CACHE_HOME or HOME for the cache.
    ///
    /// # Errors
    /// Where HF_ENDPOINT is no address.
    pub fn options(&self, variable: impl Fn(&str) -> Option<String>) -> Result<HubOptions, HubError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let endpoint = match (&self.endpoint, variable("HF_ENDPOINT")) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, given) => SecretUrl::parse(given.as_deref().unwrap_or(PUBLIC))
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"))
                .ok_or(HubError::Endpoint)?,
        };
        let token = match variable("HF_TOKEN") {
            Some(token) if self.token.is_empty() => Secret::new(token.trim()),
            _ => self.token.clone(),
        };
        let system = || {
            let home = || Some(Path::new(&variable("HOME")?).join(".cache"));
            let base = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
            Some(base.join("sightline/models"))
        };
        let asked_to_be_offline = variable("HF_HUB_OFFLINE")
            .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true"));
        Ok(HubOptions {
            cache: self.cache.clone().or_else(system),
            endpoint,
            token,
            offline: self.offline || asked_to_be_offline,
            stall: STALL,
            retry: RETRY,
            attempts: ATTEMPTS,
        })
    }
}

impl HubOptions {
    /// The address of the server, without a password, as it is recorded and told.
    pub(crate) fn shown_endpoint(&self) -> String {
        let mut url = self.endpoint.expose().clone();
        // Only addresses without a host refuse, and they cannot hold a password.
        if url.set_password(None).is_err() || url.set_username("").is_err() {
            return "the hub".to_owned();
        }
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The page of a model, for people.
    pub(crate) fn page(&self, model: &HubRef) -> String {
        format!("{}/{}", self.shown_endpoint(), model.repository())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(config: &HubConfig, variables: &[(&str, &str)]) -> HubOptions {
        let variables: std::collections::BTreeMap<_, _> = variables.iter().copied().collect();
        config
            .options(|name| variables.get(name).map(ToString::to_string))
            .unwrap()
    }

    #[test]
    fn what_the_configuration_leaves_open_comes_from_the_usual_variables() {
        let variables = [
            ("HF_TOKEN", "hf_hunter2"),
            ("HF_ENDPOINT", "http://mirror:8080/"),
            ("HF_HUB_OFFLINE", "1"),
            ("HOME", "/home/me"),
        ];
        let open = options(&HubConfig::default(), &variables);
        assert_eq!(open.token.expose(), "hf_hunter2");
        assert_eq!(open.shown_endpoint(), "http://mirror:8080");
        assert!(open.offline);
        assert_eq!(
            open.cache.as_deref(),
            Some(Path::new("/home/me/.cache/sightline/models"))
        );
        let given = HubConfig {
            cache: Some("/models".into()),
            endpoint: Some(SecretUrl::parse("https://other").unwrap()),
            token: Secret::new("mine"),
            offline: false,
        };
        let decided = options(&given, &variables[..2]);
        assert_eq!(decided.token.expose(), "mine");
        assert_eq!(decided.shown_endpoint(), "https://other");
        assert_eq!(decided.cache.as_deref(), Some(Path::new("/models")));
        assert!(!decided.offline);
        let none = options(
            &HubConfig::default(),
            &[("XDG_CACHE_HOME", "/c"), ("HF_HUB_OFFLINE", "0")],
        );
        assert_eq!(none.shown_endpoint(), PUBLIC);
        assert_eq!(none.cache.as_deref(), Some(Path::new("/c/sightline/models")));
        assert!(none.token.is_empty() && !none.offline);
    }

    #[test]
    fn neither_token_nor_password_is_shown() {
        let options = options(
            &HubConfig::default(),
            &[("HF_TOKEN", "hf_hunter2"), ("HF_ENDPOINT", "http://me:hunter2@mirror")],
        );
        assert!(!format!("{options:?} {}", options.shown_endpoint()).contains("hunter2"));
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_refused() {
        let variable = |name: &str| (name == "HF_ENDPOINT").then(|| "huggingface.co".to_owned());
        let error = HubConfig::default().options(variable).unwrap_err().to_string();
        assert!(error.contains("HF_ENDPOINT"), "{error}");
    }
}
