//! What can be told without a server.

use super::MilvusAddress;
use super::client::Dialect;
use super::filter::{leaf, literal};
use super::rows::parts;
use super::schema::breadth;
use crate::conformance::fixture;
use sightline_core::filter::parse;
use sightline_core::{IndexKind, Row, VectorField};

#[test]
fn an_address_is_taken_apart_and_its_secrets_are_not_shown() {
    let address = MilvusAddress::parse("milvus+tls://us%65r:p%40ss@host.example:443/medical").unwrap();
    assert_eq!(address.token.as_deref(), Some("user:p@ss"));
    assert_eq!(address.endpoint(), "https://host.example:443");
    assert_eq!(address.database, "medical");
    for shown in [address.to_string(), format!("{address:?}"), format!("{address:#?}")] {
        assert!(!shown.contains("p@ss") && !shown.contains("p%40ss"), "{shown}");
    }
    assert_eq!(address.to_string(), "milvus+tls://***@host.example:443/medical");
    let plain = MilvusAddress::parse("milvus://127.0.0.1").unwrap();
    assert_eq!(
        (plain.endpoint().as_str(), plain.token),
        ("http://127.0.0.1:19530", None)
    );
    let token = MilvusAddress::parse("milvus://secret-token@host").unwrap();
    assert_eq!(token.token.as_deref(), Some("secret-token"));
}

#[test]
fn an_address_that_cannot_be_one_is_refused_without_repeating_it() {
    for bad in [
        "milvus://",
        "milvuss://user:hunter2@host",
        "milvus://user:hunter2@host/a/b",
        "milvus://user:hunter2%zz@host",
        "milvus://user:hunter2@host?x=1",
        "milvus://user:hunter2@host:99999",
    ] {
        let error = MilvusAddress::parse(bad).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{bad}: {error}");
    }
}

#[test]
fn only_searches_that_look_at_every_vector_are_called_exact() {
    let ivf = IndexKind::IvfFlat { nlist: 128 };
    for (kind, effort, exact) in [
        (IndexKind::Flat, None, true),
        (ivf, None, false),
        (ivf, Some(128), false),
        (ivf, Some(1000), false),
        (IndexKind::IvfSq8 { nlist: 128 }, Some(128), false),
        (IndexKind::IvfPq { nlist: 16, m: 4 }, Some(16), false),
        (
            IndexKind::Hnsw {
                m: 16,
                ef_construction: 200,
            },
            Some(10_000),
            false,
        ),
        (IndexKind::Diskann, None, false),
    ] {
        assert_eq!(breadth(kind, effort, 10).exact, exact, "{kind:?} {effort:?}");
    }
    let hnsw = IndexKind::Hnsw {
        m: 16,
        ef_construction: 200,
    };
    assert_eq!(
        breadth(hnsw, Some(10), 50).parameters["ef"],
        "50",
        "ef is never below the limit"
    );
}

#[test]
fn a_batch_is_parted_by_rows_and_by_bytes_and_nothing_is_lost() {
    let dimensions = [(VectorField::Image, 4)].into();
    let mut rows = fixture::rows(12_000, &[VectorField::Image], 4);
    for row in &mut rows[1000..1300] {
        row.report_text = "x".repeat(60_000);
    }
    let batch: Vec<&Row> = rows.iter().collect();
    let parts = parts(&dimensions, &batch);
    assert_eq!(parts.concat(), batch);
    for part in &parts {
        let texts: usize = part.iter().map(|row| row.report_text.len()).sum();
        assert!(
            part.len() <= 5000 && texts <= 8 << 20,
            "{} rows, {texts} bytes",
            part.len()
        );
    }
    assert!(parts.len() >= 5 && parts.iter().any(|part| part.len() == 5000));
}

#[test]
fn a_value_cannot_end_its_literal() {
    for text in fixture::HOSTILE {
        for dialect in [Dialect::Milvus, Dialect::Lite] {
            let literal = literal(text, dialect);
            let inner = &literal[1..literal.len() - 1];
            let unescaped = inner.replace("\\\\", "").replace("\\\"", "");
            assert!(literal.starts_with('"') && literal.ends_with('"'));
            assert!(!unescaped.contains('"') && !unescaped.ends_with('\\'), "{literal}");
        }
    }
}

#[test]
fn a_missing_attribute_is_never_asked_for_with_unequal() {
    let filter = parse("attributes.age != 5").unwrap();
    let text = leaf(&filter, Dialect::Milvus).text;
    assert_eq!(text, r#"(attributes["age"] < 5.0 or attributes["age"] > 5.0)"#);
}

#[test]
fn a_row_with_a_label_is_one_that_has_a_first() {
    for dialect in [Dialect::Milvus, Dialect::Lite] {
        let text = leaf(&parse("labels:*").unwrap(), dialect).text;
        assert_eq!(text, r#"labels["labels"][0] >= """#);
    }
}

#[test]
fn a_search_without_a_filter_holds_rows_against_nothing_but_their_flag() {
    let having = |filter| super::reads::having(VectorField::Image, filter);
    assert_eq!(having(None), "has_image == true");
    assert_eq!(having(Some("(id > \"a\")")), "has_image == true and (id > \"a\")");
}
