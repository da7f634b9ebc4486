//! What metrics are called at a collector.
//!
//! Those of OpenTelemetry's conventions have the conventions' names. Ours are made of what a scraper sees by one rule:
//! `sightline.`, the first word, which is the part that counts, a dot, and the other words. The unit goes beside the name
//! and is no word at its end: `sightline_gateway_search_seconds` is `sightline.gateway.search` in `s`.

use crate::instruments::{INSTRUMENTS, KEYS};

/// Words that name a unit, in UCUM.
const UNITS: [(&str, &str); 3] = [("seconds", "s"), ("bytes", "By"), ("ratio", "1")];

/// Name and unit of a family, by its name for scrapers without a counter's `_total`.
pub(crate) fn name_and_unit(scraped: &str) -> (String, &'static str) {
    if let Some(known) = INSTRUMENTS
        .into_iter()
        .find(|instrument| instrument.scraped() == scraped)
    {
        return (known.name.to_owned(), known.unit);
    }
    let name = scraped.strip_prefix("sightline_").unwrap_or(scraped);
    let unit = UNITS
        .into_iter()
        .find(|(word, _)| name.split('_').any(|other| other == *word));
    let (name, unit) = match unit {
        Some((word, unit)) => (without(name, word), unit),
        None => (name, ""),
    };
    (format!("sightline.{}", name.replacen('_', ".", 1)), unit)
}

/// A name without its last word, where that is this one.
fn without<'a>(name: &'a str, last: &str) -> &'a str {
    let rest = name.strip_suffix(last).and_then(|rest| rest.strip_suffix('_'));
    rest.unwrap_or(name)
}

/// An attribute's name, by its name for scrapers.
pub(crate) fn attribute(label: &str) -> &str {
    let known = KEYS.into_iter().find(|key| key.scraped() == label);
    known.map_or(label, |key| key.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn our_names_are_told_by_one_rule_with_their_unit_beside_them() {
        for (scraped, name, unit) in [
            ("sightline_worker_items", "sightline.worker.items", ""),
            ("sightline_gateway_search_seconds", "sightline.gateway.search", "s"),
            (
                "sightline_worker_stage_busy_seconds",
                "sightline.worker.stage_busy",
                "s",
            ),
            (
                "sightline_worker_stage_utilisation_ratio",
                "sightline.worker.stage_utilisation",
                "1",
            ),
            (
                "sightline_worker_bytes_in_flight",
                "sightline.worker.bytes_in_flight",
                "By",
            ),
            ("sightline_fetched_bytes", "sightline.fetched", "By"),
            ("sightline_build_info", "sightline.build.info", ""),
            ("sightline_bytes", "sightline.bytes", "By"),
        ] {
            assert_eq!(name_and_unit(scraped), (name.to_owned(), unit), "{scraped}");
        }
    }

    #[test]
    fn names_of_the_conventions_come_back_as_they_are() {
        for instrument in INSTRUMENTS {
            let told = name_and_unit(&instrument.scraped());
            assert_eq!(told, (instrument.name.to_owned(), instrument.unit));
        }
        for key in KEYS {
            assert_eq!(attribute(&key.scraped()), key.0);
        }
        assert_eq!(attribute("stage"), "stage");
        let scraped: BTreeSet<String> = KEYS.into_iter().map(|key| key.scraped()).collect();
        assert_eq!(scraped.len(), KEYS.len(), "two attributes are one to a scraper");
    }
}
