//! The parser: recursive descent, bounded in size and depth.

use super::cursor::Cursor;
use super::sugar;
use super::{
    Comparison, Field, Filter, FilterError, Literal, MAX_ATTRIBUTE_NAME_BYTES, MAX_FILTER_BYTES, MAX_FILTER_DEPTH,
    TextField,
};

const KEYWORDS: [&str; 3] = ["AND", "OR", "NOT"];
const FIELDS: &str = "attributes.NAME, labels, uid, key, id, image_id, filename, image_path, report_text, dataset, \
                      has_image, has_text, indexed_at, content_hash, source_digest, run_id";
const COMPARISONS: &str = "a comparison (= != < <= > >=), IN and values";

/// Reads a filter. No filter at all is the absence of one, not an empty text.
///
/// # Errors
/// When the text is empty, is not in the grammar, names an unknown field, compares a field with a value that it
/// never has, or is longer or deeper than the limits; with the place.
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(FilterError {
            position: MAX_FILTER_BYTES,
            found: format!("{} bytes", text.len()),
            expected: format!("a filter of at most {MAX_FILTER_BYTES} bytes"),
        });
    }
    let mut parser = Parser {
        cursor: Cursor::new(text),
        depth: 0,
    };
    let filter = parser.filter()?;
    if !parser.cursor.is_at_end() {
        return Err(parser.cursor.error("AND, OR or the end of the filter"));
    }
    Ok(filter)
}

/// Reads the name of a field that has one value a row: `uid`, `attributes."View Position"`.
///
/// # Errors
/// When it is no field, or `labels`, of which a row has many; with the place.
pub fn parse_field(text: &str) -> Result<Field, FilterError> {
    let mut parser = Parser {
        cursor: Cursor::new(text),
        depth: 0,
    };
    match parser.subject()? {
        Subject::Field(field) if parser.cursor.is_at_end() => Ok(field),
        Subject::Field(_) => Err(parser.cursor.error("the end of the field's name")),
        Subject::Labels => Err(FilterError {
            position: 0,
            found: "`labels`".into(),
            expected: "a field that has one value a row".into(),
        }),
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    depth: usize,
}

/// What stands left of a comparison.
enum Subject {
    Field(Field),
    Labels,
}

impl Parser<'_> {
    fn filter(&mut self) -> Result<Filter, FilterError> {
        self.joined("AND", Filter::And, |parser| parser.joined("OR", Filter::Or, Self::term))
    }

    /// One or more parts joined by a keyword. Leaves the cursor at the next thing that is not space.
    fn joined(
        &mut self,
        keyword: &str,
        join: impl Fn(Vec<Filter>) -> Filter,
        part: impl Fn(&mut Self) -> Result<Filter, FilterError>,
    ) -> Result<Filter, FilterError> {
        let first = part(self)?;
        self.cursor.skip_space();
        let mut parts = vec![first];
        while self.cursor.take_keyword(keyword) {
            parts.push(part(self)?);
            self.cursor.skip_space();
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { join(parts) })
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        self.cursor.skip_space();
        if self.cursor.take_keyword("NOT") || self.cursor.take("-") {
            self.cursor.skip_space();
            return Ok(Filter::Not(Box::new(self.simple()?)));
        }
        self.simple()
    }

    fn simple(&mut self) -> Result<Filter, FilterError> {
        let start = self.cursor.position();
        if !self.cursor.take("(") {
            return self.restriction();
        }
        self.depth += 1;
        if self.depth > MAX_FILTER_DEPTH {
            return Err(self
                .cursor
                .error_at(start, format!("at most {MAX_FILTER_DEPTH} nested parentheses")));
        }
        let inner = self.filter()?;
        if !self.cursor.take(")") {
            return Err(self.cursor.error("AND, OR or )"));
        }
        self.depth -= 1;
        Ok(inner)
    }

    fn restriction(&mut self) -> Result<Filter, FilterError> {
        let subject = self.subject()?;
        self.cursor.skip_space();
        match subject {
            Subject::Labels if self.cursor.take_keyword("IN") => {
                let labels = self.list(Self::label)?;
                Ok(sugar::any_of(labels.into_iter().map(Filter::HasLabel)))
            }
            Subject::Labels => {
                if !self.cursor.take(":") {
                    let expected = "`:` and a label, `:*` (whether there is one), or IN and labels";
                    return Err(self.cursor.error(expected));
                }
                self.cursor.skip_space();
                if self.cursor.take("*") {
                    return Ok(Filter::Labelled);
                }
                Ok(Filter::HasLabel(self.label()?))
            }
            Subject::Field(field) if self.cursor.take_keyword("IN") => {
                let values = self.list(|parser| parser.member(&field))?;
                Ok(sugar::any_of(values.into_iter().map(|value| Filter::Compare {
                    field: field.clone(),
                    op: Comparison::Equal,
                    value,
                })))
            }
            Subject::Field(Field::Text(field)) if self.cursor.take(":") => {
                self.cursor.skip_space();
                if !self.cursor.take("*") {
                    return Err(self
                        .cursor
                        .error("`*` after `:` (whether the text is there), or a comparison"));
                }
                Ok(sugar::is_there(field))
            }
            Subject::Field(Field::Attribute(name)) if self.cursor.take(":") => {
                self.cursor.skip_space();
                if !self.cursor.take("*") {
                    return Err(self
                        .cursor
                        .error("`*` after `:` (whether the attribute is there), or a comparison"));
                }
                Ok(Filter::HasAttribute(name))
            }
            Subject::Field(field) => {
                let start = self.cursor.position();
                let op = self.comparison(&field)?;
                self.cursor.skip_space();
                match field {
                    Field::Attribute(name) if self.cursor.take_keyword("null") => match op {
                        Comparison::Equal => Ok(Filter::Not(Box::new(Filter::HasAttribute(name)))),
                        Comparison::NotEqual => Ok(Filter::HasAttribute(name)),
                        _ => Err(self.cursor.error_at(start, "= or != (null has no order)")),
                    },
                    Field::Text(field) if self.cursor.take_keyword("null") => match op {
                        Comparison::Equal => Ok(Filter::Not(Box::new(sugar::is_there(field)))),
                        Comparison::NotEqual => Ok(sugar::is_there(field)),
                        _ => Err(self.cursor.error_at(start, "= or != (null has no order)")),
                    },
                    field => self.compared(field, op),
                }
            }
        }
    }

    /// The value, and whether a `*` behind it makes it a prefix.
    fn compared(&mut self, field: Field, op: Comparison) -> Result<Filter, FilterError> {
        let start = self.cursor.position();
        let value = self.value(&field, op)?;
        let end = self.cursor.position();
        if !self.cursor.take("*") {
            return Ok(Filter::Compare { field, op, value });
        }
        match value {
            Literal::Text(prefix) if op == Comparison::Equal => Ok(sugar::begins_with(&field, prefix)),
            Literal::Text(_) => Err(self.cursor.error_at(
                end,
                "no `*` here: only = compares with a prefix, and NOT turns it round",
            )),
            Literal::Number(_) | Literal::Bool(_) => Err(self
                .cursor
                .error_at(start, "a text before `*` (quote it if its digits are meant)")),
        }
    }

    /// `(a, b, c)`, one or more.
    fn list<T>(&mut self, part: impl Fn(&mut Self) -> Result<T, FilterError>) -> Result<Vec<T>, FilterError> {
        self.cursor.skip_space();
        if !self.cursor.take("(") {
            return Err(self.cursor.error("`(` and values after IN"));
        }
        let mut values = Vec::new();
        loop {
            self.cursor.skip_space();
            values.push(part(self)?);
            self.cursor.skip_space();
            if self.cursor.take(")") {
                return Ok(values);
            }
            if !self.cursor.take(",") {
                return Err(self.cursor.error("`,` or `)`"));
            }
        }
    }

    /// A value of a list. There null would be the text of that name, and nothing would be found.
    fn member(&mut self, field: &Field) -> Result<Literal, FilterError> {
        let start = self.cursor.position();
        if let Field::Text(field) = field
            && self.cursor.take_keyword("null")
        {
            let field = field.as_str();
            let expected = format!("a value (null is compared alone: {field} = null; quote it if the word is meant)");
            return Err(self.cursor.error_at(start, expected));
        }
        self.value(field, Comparison::Equal)
    }

    fn label(&mut self) -> Result<String, FilterError> {
        let start = self.cursor.position();
        if self.cursor.take_keyword("null") {
            let expected = "a label (no label is null: quote it if the word is meant)";
            return Err(self.cursor.error_at(start, expected));
        }
        self.text("a label")
    }

    fn subject(&mut self) -> Result<Subject, FilterError> {
        let start = self.cursor.position();
        let name = self.cursor.name_part();
        let field = match name {
            "labels" => return Ok(Subject::Labels),
            "has_image" => Field::HasImage,
            "has_text" => Field::HasText,
            "indexed_at" => Field::IndexedAt,
            "attributes" => return Ok(Subject::Field(Field::Attribute(self.attribute_name()?))),
            _ => match TextField::ALL.into_iter().find(|field| field.as_str() == name) {
                Some(field) => Field::Text(field),
                None if name.is_empty() || KEYWORDS.contains(&name) => {
                    return Err(self.cursor.error_at(start, format!("a field: {FIELDS}")));
                }
                // What was most likely meant comes first: it is not lost where a long message is cut.
                None => {
                    let shown: String = name.chars().take(40).collect();
                    let expected = format!("attributes.{shown} for an attribute, or a field: {FIELDS}");
                    return Err(self.cursor.error_at(start, expected));
                }
            },
        };
        Ok(Subject::Field(field))
    }

    /// `.a`, `."a b"`, `.a.b`: the parts joined by dots are one name, since attributes are flat.
    fn attribute_name(&mut self) -> Result<String, FilterError> {
        let mut name = String::new();
        if !self.cursor.take(".") {
            return Err(self.cursor.error("`.` and the attribute's name"));
        }
        let start = self.cursor.position();
        loop {
            match self.cursor.quoted()? {
                Some(part) => name.push_str(&part),
                None => match self.cursor.name_part() {
                    "" => return Err(self.cursor.error("an attribute's name, a word or quoted")),
                    part => name.push_str(part),
                },
            }
            if name.len() > MAX_ATTRIBUTE_NAME_BYTES {
                let expected = format!("an attribute's name of at most {MAX_ATTRIBUTE_NAME_BYTES} bytes");
                return Err(self.cursor.error_at(start, expected));
            }
            if self.cursor.take(".") {
                name.push('.');
            } else if name.is_empty() {
                // A column without a name becomes no attribute, and Milvus fails over a place without one.
                return Err(FilterError {
                    position: start,
                    found: "an empty name".into(),
                    expected: "an attribute's name, a word or quoted".into(),
                });
            } else {
                return Ok(name);
            }
        }
    }

    fn comparison(&mut self, field: &Field) -> Result<Comparison, FilterError> {
        let start = self.cursor.position();
        // The longer ones first: `<` is the beginning of `<=`.
        let mut all = Comparison::ALL;
        all.sort_by_key(|op| std::cmp::Reverse(op.as_str().len()));
        let Some(op) = all.into_iter().find(|op| self.cursor.take(op.as_str())) else {
            return Err(self.cursor.error(match field {
                Field::Attribute(_) => format!("{COMPARISONS} or `:*`"),
                _ => COMPARISONS.into(),
            }));
        };
        let ordered = !matches!(op, Comparison::Equal | Comparison::NotEqual);
        if ordered && matches!(field, Field::HasImage | Field::HasText) {
            return Err(self.cursor.error_at(start, "= or != (the field is true or false)"));
        }
        Ok(op)
    }

    fn value(&mut self, field: &Field, op: Comparison) -> Result<Literal, FilterError> {
        let start = self.cursor.position();
        match field {
            Field::Text(_) => Ok(Literal::Text(self.text("a text")?)),
            Field::HasImage | Field::HasText => match self.cursor.word() {
                "true" => Ok(Literal::Bool(true)),
                "false" => Ok(Literal::Bool(false)),
                _ => Err(self.cursor.error_at(start, "true or false")),
            },
            Field::IndexedAt => number(self.cursor.word())
                .filter(|number| number.is_finite())
                .map(Literal::Number)
                .ok_or_else(|| {
                    self.cursor
                        .error_at(start, "a number: milliseconds since 1970-01-01 UTC")
                }),
            Field::Attribute(_) => {
                if let Some(text) = self.cursor.quoted()? {
                    return Ok(Literal::Text(text));
                }
                let word = self.text("a text, a number, true or false")?;
                let ordered = !matches!(op, Comparison::Equal | Comparison::NotEqual);
                match word.as_str() {
                    "true" | "false" if ordered => Err(self
                        .cursor
                        .error_at(start, "a text or a number (true and false have no order)")),
                    "null" => Err(self
                        .cursor
                        .error_at(start, "a value (null is compared alone: attributes.NAME = null)")),
                    "true" => Ok(Literal::Bool(true)),
                    "false" => Ok(Literal::Bool(false)),
                    _ => match number(&word) {
                        Some(number) if number.is_finite() => Ok(Literal::Number(number)),
                        Some(_) => Err(self
                            .cursor
                            .error_at(start, "a number within 1.8e308 (quote it if a text is meant)")),
                        None => Ok(Literal::Text(word)),
                    },
                }
            }
        }
    }

    /// A quoted string or a bare word.
    fn text(&mut self, what: &str) -> Result<String, FilterError> {
        if let Some(text) = self.cursor.quoted()? {
            return Ok(text);
        }
        let start = self.cursor.position();
        let word = self.cursor.word();
        if word.is_empty() {
            return Err(self.cursor.error(format!("{what}, a word or quoted")));
        }
        if KEYWORDS.contains(&word) {
            return Err(self
                .cursor
                .error_at(start, format!("{what} (quote it if the word itself is meant)")));
        }
        Ok(word.to_owned())
    }
}

/// A number as JSON writes them; infinite where it is beyond those that 64-bit floats hold.
fn number(word: &str) -> Option<f64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    word.parse().ok().filter(|_| plain)
}
