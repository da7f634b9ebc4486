//! What the grammar and the logic promise.

use super::{Comparison, Field, Filter, IntegerTest, Literal, TextField, parse};
use crate::clock::Timestamp;
use crate::ids::{DatasetName, ItemKey, RowId, RunId};
use crate::row::Row;
use proptest::prelude::*;
use serde_json::json;

pub(super) fn row() -> Row {
    let dataset = DatasetName::new("chest").unwrap();
    Row {
        id: RowId::of_item(&dataset, &ItemKey::new("k").unwrap()),
        key: "k".into(),
        image_id: "a.png".into(),
        uid: "1000".into(),
        filename: "a.png".into(),
        image_path: "s3://b/a.png".into(),
        report_text: "폐렴 소견".into(),
        labels: vec!["Pleural Effusion".into(), "폐렴".into()],
        boxes: Vec::new(),
        attributes: [
            ("View Position".to_owned(), json!("PA")),
            ("age".into(), json!(58)),
            ("smoker".into(), json!(true)),
            ("codes".into(), json!(["a", "b"])),
            ("nothing".into(), json!(null)),
            ("a.b".into(), json!(1.5)),
        ]
        .into(),
        dataset,
        content_hash: String::new(),
        source_digest: String::new(),
        run_id: RunId::of_request("a", "b"),
        indexed_at: Timestamp(1_700_000_000_000),
        image_embedding: Some(vec![1.0]),
        text_embedding: None,
    }
}

fn uid(value: &str) -> Filter {
    Filter::Compare {
        field: Field::Text(TextField::Uid),
        op: Comparison::Equal,
        value: Literal::Text(value.into()),
    }
}

#[test]
fn or_binds_tighter_than_and() {
    let filter = parse("uid=a AND uid=b OR uid=c AND uid=d").unwrap();
    let expected = Filter::And(vec![uid("a"), Filter::Or(vec![uid("b"), uid("c")]), uid("d")]);
    assert_eq!(filter, expected);
}

#[test]
fn negation_is_a_word_or_a_minus_and_covers_one_term() {
    let expected = Filter::And(vec![Filter::Not(Box::new(uid("a"))), uid("b")]);
    assert_eq!(parse("NOT uid=a AND uid=b").unwrap(), expected);
    assert_eq!(parse("-uid=a AND uid=b").unwrap(), expected);
    assert_eq!(parse("-(uid=a) AND uid=b").unwrap(), expected);
    assert_eq!(parse("NOT(uid=a)AND(uid=b)").unwrap(), expected);
}

#[test]
fn every_kind_of_condition_is_decided_as_it_reads() {
    for (text, expected) in [
        ("uid = 1000", true),
        ("uid = '1000'", true),
        ("uid != 1000", false),
        ("uid >= 1000 AND uid < 2", true),
        (r#"labels:"Pleural Effusion""#, true),
        ("labels:폐렴", true),
        ("labels:Effusion", false),
        (r#"attributes."View Position" = PA"#, true),
        (r#"attributes."View Position" != PA"#, false),
        ("attributes.age > 57.5", true),
        ("attributes.age = 58", true),
        ("attributes.age = '58'", false),
        ("attributes.smoker = true", true),
        ("attributes.smoker != true", false),
        ("labels:*", true),
        ("NOT labels : *", false),
        ("labels:'*'", false),
        ("attributes.a.b < 2 AND attributes.'a.b' > 1", true),
        ("attributes.codes:*", true),
        ("attributes.codes = a", false),
        ("attributes.nothing:*", false),
        ("attributes.missing:*", false),
        ("has_image = true AND has_text = false", true),
        ("indexed_at > 1.6e12", true),
        ("indexed_at < 1.6e12", false),
        ("report_text = '폐렴 소견'", true),
        ("report_text = 폐*", true),
        ("report_text = '폐렴 '*", true),
        ("report_text = '폐*'", false),
        ("report_text = 소*", false),
        ("uid = ''*", true),
        ("uid IN (999, '1000')", true),
        ("uid IN (999)", false),
        ("uid:*", true),
        ("content_hash:*", false),
        ("labels IN (Effusion, 폐렴)", true),
        ("labels IN (Effusion)", false),
        ("attributes.age IN (57, 58)", true),
        ("attributes.age IN ('58')", false),
        ("attributes.'View Position' = P*", true),
        ("attributes.age = '5'*", false),
        ("attributes.nothing = null", true),
        ("attributes.missing = null AND attributes.age != null", true),
        ("attributes.missing != null", false),
        ("content_hash = null AND uid != null", true),
        ("content_hash != null", false),
        ("uid = 'null'", false),
        ("uid IN ('null', 1000)", true),
        ("labels IN (\"null\", nullable)", false),
        (
            r#"labels:"폐렴" AND attributes.age > 50 AND NOT attributes.view = "LATERAL""#,
            true,
        ),
    ] {
        assert_eq!(parse(text).unwrap().matches(&row()), expected, "{text}");
    }
}

#[test]
fn a_missing_attribute_and_one_of_another_type_compare_false_and_their_negation_is_true() {
    for name in ["missing", "nothing", "codes", "smoker"] {
        for op in ["=", "!=", "<", "<=", ">", ">="] {
            let text = format!("attributes.{name} {op} 5");
            assert!(!parse(&text).unwrap().matches(&row()), "{text}");
            assert!(parse(&format!("NOT {text}")).unwrap().matches(&row()), "NOT {text}");
        }
    }
}

#[test]
fn a_row_without_labels_is_found_and_one_whose_only_label_is_empty_has_one() {
    for (labels, expected) in [(vec![], false), (vec![String::new()], true)] {
        let row = Row { labels, ..row() };
        assert_eq!(parse("labels:*").unwrap().matches(&row), expected, "{:?}", row.labels);
        assert_eq!(parse("-labels:*").unwrap().matches(&row), !expected, "{:?}", row.labels);
    }
}

#[test]
fn quotes_and_escapes_stay_in_the_value() {
    let value = |text: &str| match parse(text).unwrap() {
        Filter::Compare {
            value: Literal::Text(value),
            ..
        } => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(value(r#"uid = "a\"b\\c\n""#), "a\"b\\c\n");
    assert_eq!(value(r#"uid = 'it\'s "x" OR uid != "'"#), "it's \"x\" OR uid != \"");
    assert_eq!(value("uid = \"(AND)\""), "(AND)");
    assert_eq!(value("uid=chest-1.2_3/한글.png"), "chest-1.2_3/한글.png");
}

#[test]
fn a_mistake_is_told_with_its_place() {
    for (text, position, found, expected) in [
        ("", 0, "the end", "a field"),
        ("uid", 3, "the end", "a comparison"),
        ("uid =", 5, "the end", "a text"),
        ("uid = a uid = b", 8, "`uid`", "AND, OR or the end"),
        ("(uid = a", 8, "the end", "AND, OR or )"),
        ("uid = a)", 7, "`)`", "AND, OR or the end"),
        (
            "uid = \"a",
            8,
            "the end",
            "\" at the end of the text that begins at byte 6",
        ),
        ("uid = \"a\\q\"", 8, "`\\q`", "escapes"),
        ("uid IN ('a' 'b')", 12, "`'b`", "`,` or `)`"),
        ("uid = a \u{1b}", 8, "`\\u{1b}`", "AND, OR or the end"),
        ("나이 = 3", 0, "`나이`", "a field"),
        ("uid = 가 AND nope = 3", 14, "`nope`", "a field"),
        ("uid = AND", 6, "`AND`", "quote it"),
        ("labels = a", 7, "`=`", "`:` and a label"),
        ("labels:", 7, "the end", "a label"),
        ("labels = null", 7, "`=`", "`:*` (whether there is one)"),
        ("labels:*a", 8, "`a`", "AND, OR or the end"),
        ("attributes = 3", 10, "` `", "`.` and the attribute's name"),
        ("attributes.\"\" = 5", 11, "an empty name", "an attribute's name"),
        ("attributes.'':*", 11, "an empty name", "an attribute's name"),
        ("attributes.a : b", 15, "`b`", "`*` after `:`"),
        ("attributes.a < true", 15, "`true`", "no order"),
        ("has_image > true", 10, "`>`", "= or !="),
        ("has_image = yes", 12, "`yes`", "true or false"),
        ("indexed_at > soon", 13, "`soon`", "milliseconds"),
        ("indexed_at > 1e999", 13, "`1e999`", "milliseconds"),
        ("attributes.a = 1e999", 15, "`1e999`", "within 1.8e308"),
        ("attributes.a < -1e999", 15, "`-1e999`", "quote it"),
        ("NOT NOT uid = a", 4, "`NOT`", "a field: attributes.NAME"),
        (
            "NOT view = \"LATERAL\"",
            4,
            "`view`",
            "attributes.view for an attribute",
        ),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.found.contains(found), "{text}: {error}");
        assert!(error.expected.contains(expected), "{text}: {error}");
    }
}

#[test]
fn sizes_and_depths_over_the_limit_are_refused_and_at_the_limit_read() {
    let nested = |depth: usize| format!("{}uid=a{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(parse(&nested(64)).unwrap(), uid("a"));
    let error = parse(&nested(65)).unwrap_err();
    assert_eq!(
        (error.position, error.expected.as_str()),
        (64, "at most 64 nested parentheses")
    );
    let long = |bytes: usize| format!("uid=\"{}\"", "x".repeat(bytes - 6));
    assert!(parse(&long(65_536)).is_ok());
    assert!(parse(&long(65_537)).unwrap_err().to_string().contains("65537 bytes"));
    let named = |bytes: usize| format!("attributes.{}.y = 1", "x".repeat(bytes - 2));
    assert!(parse(&named(1_024)).is_ok());
    let error = parse(&named(1_025)).unwrap_err();
    assert_eq!(
        (error.position, error.expected.as_str()),
        (11, "an attribute's name of at most 1024 bytes")
    );
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let text = prop_oneof![any::<String>(), "[\"'\\\\ ()a-c가.:*=-]{0,8}", Just("true".to_owned())];
    let name = text.clone().prop_filter("a name", |name| !name.is_empty());
    let number = any::<f64>().prop_filter("finite", |number| number.is_finite());
    let op = prop::sample::select(Comparison::ALL.to_vec());
    let same = prop::sample::select(vec![Comparison::Equal, Comparison::NotEqual]);
    let compare = |(field, op, value)| Filter::Compare { field, op, value };
    let leaf = prop_oneof![
        text.clone().prop_map(Filter::HasLabel),
        Just(Filter::Labelled),
        name.clone().prop_map(Filter::HasAttribute),
        (prop::sample::select(TextField::ALL.to_vec()), op.clone(), text.clone())
            .prop_map(move |(field, op, text)| compare((Field::Text(field), op, Literal::Text(text)))),
        (any::<bool>(), same.clone(), any::<bool>()).prop_map(move |(image, op, value)| {
            let field = if image { Field::HasImage } else { Field::HasText };
            compare((field, op, Literal::Bool(value)))
        }),
        (op.clone(), number.clone()).prop_map(move |(op, number)| compare((
            Field::IndexedAt,
            op,
            Literal::Number(number)
        ))),
        (name.clone(), op.clone(), text).prop_map(move |(name, op, text)| compare((
            Field::Attribute(name),
            op,
            Literal::Text(text)
        ))),
        (name.clone(), op, number).prop_map(move |(name, op, number)| compare((
            Field::Attribute(name),
            op,
            Literal::Number(number)
        ))),
        (name, same, any::<bool>()).prop_map(move |(name, op, value)| compare((
            Field::Attribute(name),
            op,
            Literal::Bool(value)
        ))),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

proptest! {
    #[test]
    fn a_filter_written_out_reads_back_to_itself(filter in any_filter()) {
        prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\PC|uid|attributes\\.|labels:|=|AND|OR|NOT|\\(|\\)|\"|'|\\\\| ){0,40}") {
        if let Err(error) = parse(&text) {
            prop_assert!(text.is_char_boundary(error.position));
        }
    }

    #[test]
    fn a_whole_number_compares_with_a_float_exactly(
        number in prop_oneof![0..40_u64, (1_u64 << 53) - 5..(1 << 53) + 5, 0..1_u64 << 63],
        literal in prop_oneof![-2.0..40.0_f64, (0..40_i32).prop_map(f64::from), any::<f64>(),
            (0..20_u32).prop_map(|more| 9_007_199_254_740_982.0 + f64::from(more))],
        op in prop::sample::select(Comparison::ALL.to_vec()),
    ) {
        #[expect(clippy::cast_possible_truncation, reason = "below 1e20, which 128 bits hold")]
        let floor = if literal.abs() >= 1e20 { 0 } else { literal.floor() as i128 };
        let expected = !literal.is_nan() && op.holds(if literal.abs() >= 1e20 {
            0.0_f64.partial_cmp(&literal).unwrap()
        } else if literal.fract() == 0.0 {
            i128::from(number).cmp(&floor)
        } else if i128::from(number) <= floor {
            std::cmp::Ordering::Less
        } else {
            std::cmp::Ordering::Greater
        });
        prop_assert_eq!(IntegerTest::new(op, literal).holds(number), expected);
    }
}

#[test]
fn lists_prefixes_and_null_that_cannot_be_read_are_told_with_place_and_expectation() {
    for (text, position, expected) in [
        ("uid IN a", 7, "`(`"),
        ("uid IN ()", 8, "a text"),
        ("uid IN (a b)", 10, "`,` or `)`"),
        ("uid IN (a,", 10, "a text"),
        ("uid != a*", 8, "only = compares with a prefix"),
        ("attributes.age = 5*", 17, "a text before `*`"),
        ("attributes.age < null", 15, "no order"),
        ("uid < null", 4, "no order"),
        ("attributes.age IN (1, null)", 22, "null is compared alone"),
        ("uid IN (null, x)", 8, "null is compared alone: uid = null"),
        ("uid IN (x, null)", 11, "quote it"),
        ("labels IN (x, null)", 14, "no label is null"),
        ("labels:null", 7, "no label is null"),
        ("has_image IN (true, null)", 20, "true or false"),
        ("indexed_at IN (null)", 15, "a number"),
        ("uid:x", 4, "`*` after `:`"),
        ("view = LATERAL", 0, "attributes.view"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.expected.contains(expected), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn a_prefix_finds_the_texts_that_begin_so(
        prefix in "[ab\u{d7ff}\u{e000}\u{10ffff}]{0,3}",
        rest in "[ab\u{d7ff}\u{e000}\u{10ffff}]{0,4}",
        other in any::<String>(),
    ) {
        let filter = parse(&format!("uid = \"{prefix}\"*")).unwrap();
        for uid in [format!("{prefix}{rest}"), rest, other.clone(), other.chars().take(1).collect()] {
            let begins = uid.starts_with(&prefix);
            let row = Row { uid, ..row() };
            prop_assert_eq!(filter.matches(&row), begins, "{:?} {:?}", row.uid, prefix);
        }
    }
}
