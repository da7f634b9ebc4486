//! What the grammar has and the tree has not: each is written with what every engine compiles already.

use super::{Comparison, Field, Filter, Literal, TextField};

/// At least one of them holds.
pub(super) fn any_of(filters: impl Iterator<Item = Filter>) -> Filter {
    let mut filters: Vec<Filter> = filters.collect();
    if filters.len() == 1 {
        return filters.remove(0);
    }
    Filter::Or(filters)
}

/// The text is not empty: a row's texts are never null.
pub(super) fn is_there(field: TextField) -> Filter {
    Filter::Compare {
        field: Field::Text(field),
        op: Comparison::NotEqual,
        value: Literal::Text(String::new()),
    }
}

/// The text begins so: texts with a prefix are those from it to the next text that has it not. No wildcard reaches an
/// engine, each of which has its own.
pub(super) fn begins_with(field: &Field, prefix: String) -> Filter {
    let compare = |op, text| Filter::Compare {
        field: field.clone(),
        op,
        value: Literal::Text(text),
    };
    let end = successor(&prefix);
    let from = compare(Comparison::GreaterOrEqual, prefix);
    match end {
        Some(end) => Filter::And(vec![from, compare(Comparison::Less, end)]),
        None => from,
    }
}

/// The smallest text above all that begin with `prefix`; none where there is no larger text. UTF-8 orders texts as
/// their characters' numbers do.
fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Behind U+D7FF come the surrogates, which are no characters.
        let next = char::from_u32(u32::from(last) + 1).or((last < '\u{e000}').then_some('\u{e000}'));
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}
