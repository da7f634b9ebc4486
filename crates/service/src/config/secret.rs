//! Values that must not be seen.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use url::Url;

const HIDDEN: &str = "***";

/// A password or token. Debug, Display and Serialize show `***`, or nothing where it is empty.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself: for the call that needs it, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_empty() { "" } else { HIDDEN })
    }
}

/// A URL that may hold a password. Debug, Display and Serialize show `***` for its password and for the values of its
/// query, and the rest as it is, so that a person sees which server is meant.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Where the text is no URL. The message does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, url::ParseError> {
        Url::parse(text).map(Self)
    }

    /// The whole URL: for the call that needs it, never for a message.
    #[must_use]
    pub fn expose(&self) -> &Url {
        &self.0
    }

    /// The scheme, `amqps` say.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if shown.password().is_some() {
            // A URL with a password has a host, so this cannot fail.
            if shown.set_password(Some(HIDDEN)).is_err() {
                return formatter.write_str(HIDDEN);
            }
        } else if !shown.username().is_empty() && shown.set_username(HIDDEN).is_err() {
            // A name alone is a token: milvus://TOKEN@host.
            return formatter.write_str(HIDDEN);
        }
        if self.0.query().is_some() {
            let names: Vec<String> = self
                .0
                .query_pairs()
                .map(|(name, _)| format!("{name}={HIDDEN}"))
                .collect();
            shown.set_query(Some(&names.join("&")));
        }
        formatter.write_str(shown.as_str())
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Secret::deserialize(deserializer)?;
        Self::parse(text.expose()).map_err(|error| serde::de::Error::custom(format!("not a URL: {error}")))
    }
}

macro_rules! show_hidden {
    ($($secret:ty),*) => {$(
        impl fmt::Debug for $secret {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "\"{self}\"")
            }
        }

        impl Serialize for $secret {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

show_hidden!(Secret, SecretUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_nowhere_but_where_it_is_exposed() {
        let secret = Secret::new("hunter2");
        let shown = format!(
            "{secret} {secret:?} {secret:#?} {}",
            serde_json::to_string(&secret).unwrap()
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(Secret::default().to_string(), "");
    }

    #[test]
    fn a_url_shows_its_server_but_neither_its_password_nor_its_query() {
        let url = SecretUrl::parse("amqp://guest:hunter2@broker:5672/%2f?heartbeat=7&token=hunter3").unwrap();
        assert_eq!(
            url.to_string(),
            "amqp://guest:***@broker:5672/%2f?heartbeat=***&token=***"
        );
        let shown = format!("{url:?} {}", serde_json::to_string(&url).unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
        assert_eq!(url.expose().password(), Some("hunter2"));
    }

    #[test]
    fn a_token_in_the_place_of_a_user_is_not_shown() {
        let url = SecretUrl::parse("milvus+tls://hunter2@milvus:19530/db").unwrap();
        assert_eq!(url.to_string(), "milvus+tls://***@milvus:19530/db");
    }

    #[test]
    fn a_malformed_url_is_not_repeated_in_the_error() {
        let error = serde_json::from_str::<SecretUrl>("\"hunter2@broker\"")
            .unwrap_err()
            .to_string();
        assert!(error.contains("not a URL") && !error.contains("hunter2"), "{error}");
    }
}
