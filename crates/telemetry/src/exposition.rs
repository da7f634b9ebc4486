//! Metrics as this process writes them for scrapers, read back: the registry hands out its numbers in no other way.
//! The format is OpenMetrics 1.0's text, as far as [`Metrics::encode`](crate::Metrics::encode) uses it.

/// What kind of numbers a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Numbers that only grow.
    Counter,
    /// Numbers that rise and fall, and constants that describe the process.
    Gauge,
    /// Distributions over buckets.
    Histogram,
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The family's name, and what of it this is: `_total`, `_bucket`, `_sum`, `_count`, `_info`.
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

/// The numbers of one name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

/// Reads a whole text; lines that are none of those above are left out.
pub(crate) fn parse(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = "";
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap_or((typed, ""));
            families.push(Family {
                name: name.to_owned(),
                help: help.to_owned(),
                kind: match kind {
                    "counter" => Kind::Counter,
                    "histogram" => Kind::Histogram,
                    _ => Kind::Gauge,
                },
                samples: Vec::new(),
            });
        } else if let (Some(family), Some(sample)) = (families.last_mut(), sample(line)) {
            family.samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Option<Sample> {
    let ends = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(ends);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.trim_start().split(' ').next()?;
    (!name.starts_with('#')).then_some(())?;
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().ok()?,
    })
}

/// Labels up to their closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((name.to_owned(), value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// A text up to its closing quote, and what follows it.
fn quoted(rest: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, rest.get(at + 1..)?)),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;
    use crate::metric::{EncodeLabelSet, LabelText};

    #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Reason {
        reason: LabelText,
    }

    #[test]
    fn what_the_registry_writes_is_read_back_whatever_its_labels_hold() {
        let metrics = Metrics::new("test", "1.2");
        let failed = metrics.counters::<Reason>("failed_items", "Items, failed").unwrap();
        let texts = ["", "a \"quoted\" one", "back\\slash", "two\nlines", "}{,=\"", "폐"];
        for (at, text) in texts.iter().enumerate() {
            let count = u64::try_from(at).unwrap() + 1;
            failed.get_or_create(&Reason { reason: (*text).into() }).inc_by(count);
        }
        metrics.gauge("open_shards", "Shards").unwrap().set(-3);
        let families = parse(&metrics.encode());
        let found = |name: &str| families.iter().find(|family| family.name == name).unwrap();
        let failed = found("sightline_failed_items");
        assert_eq!((failed.kind, failed.help.as_str()), (Kind::Counter, "Items, failed."));
        let mut read: Vec<_> = failed.samples.iter().map(|one| (one.value, &one.labels[0].1)).collect();
        read.sort_by(|one, other| one.0.total_cmp(&other.0));
        let read: Vec<&str> = read.into_iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(read, texts);
        assert!(
            failed
                .samples
                .iter()
                .all(|one| one.name == "sightline_failed_items_total")
        );
        let open = &found("sightline_open_shards").samples[0];
        assert_eq!((open.labels.len(), open.value), (0, -3.0));
        let build = &found("sightline_build").samples[0];
        assert_eq!(
            (build.name.as_str(), build.labels.len(), build.value),
            ("sightline_build_info", 2, 1.0)
        );
    }
}
