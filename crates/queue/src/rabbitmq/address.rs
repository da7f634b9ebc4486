//! Where a broker is and how to log in, with the password kept out of every text.

use crate::{QueueError, QueueOptions};
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;

/// A broker's address.
#[derive(Clone)]
pub(super) struct Address(AMQPUri);

impl Address {
    pub(super) fn parse(url: &str, options: &QueueOptions) -> Result<Self, QueueError> {
        // The parser's own words may repeat the URL, and the password with it.
        let invalid = || {
            let message = "it is not of the form amqp://user:password@host:port/vhost";
            QueueError::invalid("open", "the queue's URL", message)
        };
        let mut uri: AMQPUri = url.parse().map_err(|_| invalid())?;
        uri.query.heartbeat = options.heartbeat_seconds();
        Ok(Self(uri))
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.0.clone()
    }

    /// A text from elsewhere without the password, should it be in there.
    pub(super) fn scrub(&self, text: &str) -> String {
        let password = &self.0.authority.userinfo.password;
        // The default password is an everyday word and no secret.
        if password.is_empty() || password == "guest" {
            return text.to_owned();
        }
        text.replace(password.as_str(), "***")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.0.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let authority = &self.0.authority;
        write!(f, "{scheme}://{}:{}", authority.host, authority.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_without_user_and_password() {
        let address = Address::parse("amqps://user:hunter2@broker/%2f", &QueueOptions::default()).unwrap();
        assert_eq!(
            format!("{address} {address:?}"),
            "amqps://broker:5671 amqps://broker:5671"
        );
        assert_eq!(address.scrub("login with hunter2 failed"), "login with *** failed");
    }
}
