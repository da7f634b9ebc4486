//! Numbers and shares as people write them: `100`, `5%`.

use std::str::FromStr;

/// A share as a number above 0 and at most 1, written in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no share: write 5% or 0.5%, above 0% and at most 100%");
        let percent: f64 = text
            .strip_suffix('%')
            .and_then(|number| number.trim().parse().ok())
            .ok_or_else(wrong)?;
        // Less than a millionth is nothing.
        if (0.0001..=100.0).contains(&percent) {
            Ok(Self(percent / 100.0))
        } else {
            Err(wrong())
        }
    }
}

/// Failures that a run may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FailureLimit {
    /// So many items.
    Items(i64),
    /// This share of them.
    Share(Percent),
}

impl FromStr for FailureLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.ends_with('%') {
            return text.parse().map(Self::Share);
        }
        match text.parse() {
            Ok(items) if items > 0 => Ok(Self::Items(items)),
            _ => Err(format!(
                "{text:?} is neither a number of items from 1 on nor a share such as 5%"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_of_items_or_a_share_and_nothing_else() {
        assert_eq!("100".parse(), Ok(FailureLimit::Items(100)));
        assert_eq!("5%".parse(), Ok(FailureLimit::Share(Percent(0.05))));
        assert_eq!("0.5 %".parse(), Ok(FailureLimit::Share(Percent(0.005))));
        assert_eq!("100%".parse(), Ok(FailureLimit::Share(Percent(1.0))));
        for wrong in [
            "", "0", "-1", "5.5", "0%", "101%", "-5%", "%", "nan%", "inf%", "five", "0.00001%",
        ] {
            let error = wrong.parse::<FailureLimit>().unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
        assert!("5".parse::<Percent>().is_err());
    }
}
