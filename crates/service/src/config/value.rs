//! Values that arrive as text.

use super::keys::KeyKind;
use toml::Value;

/// Reads the text of an environment variable or a flag as the key's kind wants it. The error does not repeat the text,
/// which may be a secret in the wrong place.
pub(super) fn parse(text: &str, kind: &KeyKind) -> Result<Value, String> {
    let trimmed = text.trim();
    let wrong = || format!("must be {kind}");
    match kind {
        KeyKind::Text | KeyKind::Choice(_) => Ok(Value::String(text.to_owned())),
        KeyKind::Integer => trimmed.parse().map(Value::Integer).map_err(|_| wrong()),
        KeyKind::Number => trimmed.parse().map(Value::Float).map_err(|_| wrong()),
        KeyKind::Boolean => trimmed.parse().map(Value::Boolean).map_err(|_| wrong()),
        KeyKind::List(_) if trimmed.is_empty() => Ok(Value::Array(Vec::new())),
        KeyKind::List(_) if trimmed.starts_with('[') => parse_toml(trimmed).ok_or_else(wrong),
        KeyKind::List(of) => trimmed
            .split(',')
            .map(|item| parse(item.trim(), of))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        KeyKind::Toml => parse_toml(trimmed).ok_or_else(wrong),
    }
}

fn parse_toml(text: &str) -> Option<Value> {
    let mut table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    // Text with line breaks could smuggle in further keys.
    (table.len() == 1).then(|| table.remove("value")).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_its_key_wants_it() {
        let list = KeyKind::List(Box::new(KeyKind::Integer));
        assert_eq!(parse(" 12 ", &KeyKind::Integer), Ok(Value::Integer(12)));
        assert_eq!(parse("12", &KeyKind::Text), Ok(Value::String("12".to_owned())));
        assert_eq!(parse("0.5", &KeyKind::Number), Ok(Value::Float(0.5)));
        assert_eq!(parse("true", &KeyKind::Boolean), Ok(Value::Boolean(true)));
        let numbers = Value::Array(vec![Value::Integer(1), Value::Integer(2)]);
        assert_eq!(parse("1, 2", &list), Ok(numbers.clone()));
        assert_eq!(parse("[1, 2]", &list), Ok(numbers));
        assert_eq!(parse("", &list), Ok(Value::Array(Vec::new())));
    }

    #[test]
    fn text_of_the_wrong_kind_is_refused_without_being_repeated() {
        for (text, kind) in [
            ("hunter2", KeyKind::Integer),
            ("yes", KeyKind::Boolean),
            ("[1,", KeyKind::List(Box::new(KeyKind::Integer))),
            ("1\nother = 2", KeyKind::Toml),
        ] {
            let error = parse(text, &kind).unwrap_err();
            assert!(error.starts_with("must be") && !error.contains(text), "{error}");
        }
    }
}
