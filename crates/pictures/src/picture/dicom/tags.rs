//! Tags as attributes: values as people and filters take them, by the table of `sightline_core::dicom`.

use super::charset::Charset;
use super::data_set::{CHARACTER_SET, DataSet};
use serde_json::{Number, Value};
use sightline_core::DicomSpec;
use sightline_core::dicom::{DicomTag, TagValue};
use sightline_core::row::cut_text;
use std::collections::BTreeMap;

/// Longest text in bytes. The longest that DICOM allows for these tags is 64 characters.
const MAX_TEXT_BYTES: usize = 256;
/// Most values of a list.
const MAX_VALUES: usize = 16;
const MONTHS_A_YEAR: f64 = 12.0;
const WEEKS_A_YEAR: f64 = 365.25 / 7.0;
const DAYS_A_YEAR: f64 = 365.25;

/// The tags that are asked for and there. One that is empty, or is not what its type says, is left out.
pub(super) fn read(file: &DataSet<'_>, spec: &DicomSpec) -> BTreeMap<String, Value> {
    let charset = Charset::of(file.text(CHARACTER_SET).as_deref());
    let found = |tag: &DicomTag| Some((tag.keyword.to_owned(), value(file, tag, charset)?));
    spec.tags().filter_map(found).collect()
}

fn value(file: &DataSet<'_>, tag: &DicomTag, charset: Charset) -> Option<Value> {
    if tag.value == TagValue::Short {
        return Some(file.short(tag.number)?.into());
    }
    let text = charset.decode(file.bytes(tag.number)?);
    let mut parts = text.split('\\').map(str::trim);
    match tag.value {
        TagValue::Short => None,
        TagValue::Text => words(&text),
        TagValue::Texts => list(parts.filter_map(words).take(MAX_VALUES)),
        TagValue::Whole => Some(parts.next()?.parse::<i64>().ok()?.into()),
        TagValue::Number => number(parts.next()?),
        TagValue::Numbers => {
            let numbers: Option<Vec<Value>> = parts.take(MAX_VALUES).map(number).collect();
            list(numbers?.into_iter())
        }
        TagValue::Date => Some(date(parts.next()?)?.into()),
        TagValue::Age => age(parts.next()?),
    }
}

fn words(text: &str) -> Option<Value> {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let text = cut_text(text.trim(), MAX_TEXT_BYTES);
    (!text.is_empty()).then(|| text.into())
}

fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let values: Vec<Value> = values.collect();
    (!values.is_empty()).then(|| values.into())
}

fn number(text: &str) -> Option<Value> {
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

/// PS3.5's DA: `20040119`, and `2004.01.19` of before 1993.
fn date(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    let is_date = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<u32>().ok();
    let (month, day) = is_date.then(|| Some((part(4, 6)?, part(6, 8)?))).flatten()?;
    let is_day = (1..=12).contains(&month) && (1..=31).contains(&day);
    is_day.then(|| format!("{}-{month:02}-{day:02}", &digits[..4]))
}

/// PS3.5's AS: three digits, and D, W, M or Y. Years, to two places.
fn age(text: &str) -> Option<Value> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u16 = digits.parse().ok()?;
    let a_year = match unit {
        "Y" => return Some(count.into()),
        "M" => MONTHS_A_YEAR,
        "W" => WEEKS_A_YEAR,
        "D" => DAYS_A_YEAR,
        _ => return None,
    };
    Number::from_f64((f64::from(count) / a_year * 100.0).round() / 100.0).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_texts_that_sort_as_their_days_and_what_is_none_is_left_out() {
        assert_eq!(date("20040119").as_deref(), Some("2004-01-19"));
        assert_eq!(date("1989.12.03").as_deref(), Some("1989-12-03"));
        for none in [
            "",
            "2004",
            "20041301",
            "20040132",
            "2004011",
            "200401190",
            "ÄÄ040119",
            "today",
        ] {
            assert_eq!(date(none), None, "{none}");
        }
    }

    #[test]
    fn ages_become_years() {
        assert_eq!(age("061Y"), Some(61.into()));
        assert_eq!(age("006M"), Some(0.5.into()));
        assert_eq!(age("010W"), Some(0.19.into()));
        assert_eq!(age("100D"), Some(0.27.into()));
        for none in ["", "Y", "61", "061X", "0061Y", "-61Y", "6é"] {
            assert_eq!(age(none), None, "{none}");
        }
    }

    #[test]
    fn texts_are_cut_and_hold_no_control_characters() {
        assert_eq!(words(" AP\u{1b} "), Some("AP".into()));
        assert_eq!(words(" \u{0} "), None);
        let long = words(&"가".repeat(100)).unwrap();
        assert_eq!(long.as_str().unwrap().len(), 255);
    }

    #[test]
    fn numbers_that_are_none_are_left_out() {
        assert_eq!(number("0.139"), Some(0.139.into()));
        assert_eq!(number("1e400"), None);
        assert_eq!(number("NaN"), None);
        assert_eq!(number("a"), None);
    }
}
