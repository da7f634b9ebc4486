//! The parser against mutated filters: tokens and corpus lines cut, joined, repeated and spoilt, for a moment in
//! `make test`. `make fuzz-filter` (`crates/core/fuzz`) asks for the same with libFuzzer, for as long as it is told.

use super::{MAX_FILTER_BYTES, parse};
use crate::filter::tests::row;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const CORPUS: &str = include_str!("corpus/filters.txt");
const TOKENS: [&str; 34] = [
    "AND",
    "OR",
    "NOT",
    "-",
    "(",
    ")",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    ":",
    "*",
    ",",
    "IN",
    "null",
    "true",
    "false",
    "uid",
    "labels",
    "attributes",
    ".",
    "has_text",
    "indexed_at",
    "\"",
    "'",
    "\\",
    "\u{0}",
    "5",
    "-1e309",
    "폐",
    "🩻",
    " ",
];

/// One change of a text.
#[derive(Debug, Clone)]
enum Change {
    Insert(prop::sample::Index, &'static str),
    Cut(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index, usize),
    Character(prop::sample::Index, char),
}

fn change() -> impl Strategy<Value = Change> {
    use prop::sample::Index;
    prop_oneof![
        4 => (any::<Index>(), prop::sample::select(&TOKENS[..])).prop_map(|(at, token)| Change::Insert(at, token)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Cut(from, to)),
        1 => (any::<Index>(), any::<Index>(), 2..80_usize).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        2 => (any::<Index>(), any::<char>()).prop_map(|(at, character)| Change::Character(at, character)),
    ]
}

fn place(text: &str, at: prop::sample::Index) -> usize {
    text.floor_char_boundary(at.index(text.len() + 1))
}

fn apply(mut text: String, change: &Change) -> String {
    match change {
        Change::Insert(at, token) => text.insert_str(place(&text, *at), token),
        Change::Character(at, character) => text.insert(place(&text, *at), *character),
        Change::Cut(from, to) => {
            let (from, to) = (place(&text, *from), place(&text, *to));
            text.replace_range(from.min(to)..from.max(to), "");
        }
        Change::Repeat(from, to, times) => {
            let (from, to) = (place(&text, *from), place(&text, *to));
            let part = text[from.min(to)..from.max(to)].repeat(*times);
            text.insert_str(to, &part);
        }
    }
    text.truncate(text.floor_char_boundary(MAX_FILTER_BYTES + 10));
    text
}

fn mutated() -> impl Strategy<Value = String> {
    let lines: Vec<&'static str> = CORPUS.lines().collect();
    let line = prop_oneof![
        4 => prop::sample::select(lines).prop_map(str::to_owned),
        1 => prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..30).prop_map(|tokens| tokens.join(" ")),
    ];
    (line, prop::collection::vec(change(), 0..8)).prop_map(|(line, changes)| changes.iter().fold(line, apply))
}

/// What is read shows itself so that it reads back the same, and is decided on a row; what is not has its place.
fn holds(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(filter) => {
            let shown = filter.to_string();
            let again = parse(&shown);
            // What is shown is longer than what was read.
            if shown.len() <= MAX_FILTER_BYTES && again.as_ref() != Ok(&filter) {
                let too_deep = again.is_err_and(|error| error.expected.contains("nested parentheses"));
                prop_assert!(too_deep, "{text:?} shows as {shown:?}");
            }
            std::hint::black_box(filter.matches(&row()));
        }
        Err(error) => {
            prop_assert!(error.position <= text.len().max(MAX_FILTER_BYTES), "{error}");
            prop_assert!(
                text.len() > MAX_FILTER_BYTES || text.is_char_boundary(error.position),
                "{error}"
            );
            prop_assert!(!error.expected.is_empty() && error.to_string().len() < 1000);
        }
    }
    Ok(())
}

#[test]
fn mutated_filters_are_read_or_refused_with_a_place_and_never_panic() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    for line in CORPUS.lines() {
        holds(line).unwrap();
    }
    runner.run(&mutated(), |text| holds(&text)).unwrap();
}
