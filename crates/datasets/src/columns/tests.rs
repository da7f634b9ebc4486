use super::*;
use crate::entry::Draft;
use serde_json::json;
use sightline_core::{DatasetName, RowId};

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn resolve(names: &[&str], columns: &Columns) -> Result<Mapping, String> {
    Mapping::resolve(columns, &header(names), false)
}

fn wanted(names: &[&str], columns: &Columns, values: Value, from_text: bool) -> Result<Wanted, String> {
    let Value::Array(mut values) = values else {
        panic!("a row is a list")
    };
    match resolve(names, columns)?.draft("s3://b/root", 7, &mut values, from_text) {
        Draft::Wanted(wanted) => Ok(*wanted),
        Draft::Ended(ended) => Err(format!("{} {:?}", ended.key, ended.outcome)),
    }
}

#[test]
fn usual_names_are_found_in_their_order_and_the_rest_are_attributes() {
    let names = ["uid", "filename", "Image_Path", "report", "age"];
    let wanted = wanted(
        &names,
        &Columns::default(),
        json!(["u1", "f.png", "a/f.png", "clear", "47"]),
        true,
    )
    .unwrap();
    assert_eq!(wanted.image.as_deref(), Some("a/f.png"));
    assert_eq!(wanted.item.key.as_str(), "a/f.png");
    assert_eq!(wanted.item.uid.as_deref(), Some("u1"));
    assert_eq!(wanted.item.text.as_deref(), Some("clear"));
    assert_eq!(
        serde_json::to_value(&wanted.item.attributes).unwrap(),
        json!({"age": 47, "filename": "f.png"})
    );
}

#[test]
fn a_column_of_attributes_is_taken_apart_as_an_export_wrote_it() {
    let names = ["image", "attributes", "age"];
    let wanted = |attributes, from_text| {
        let wanted = wanted(&names, &Columns::default(), json!(["a.png", attributes, 5]), from_text).unwrap();
        serde_json::to_value(&wanted.item.attributes).unwrap()
    };
    let written = json!({"view": "PA", "weight": 1.5, "code": "7", "gone": null});
    let read = json!({"view": "PA", "weight": 1.5, "code": "7", "age": 5});
    for from_text in [false, true] {
        assert_eq!(wanted(json!(written.to_string()), from_text), read);
    }
    assert_eq!(wanted(written, false), read);
    assert_eq!(
        wanted(json!("tall, grey"), true),
        json!({"attributes": "tall, grey", "age": 5})
    );
    assert_eq!(wanted(json!("[1]"), true), json!({"attributes": "[1]", "age": 5}));
}

#[test]
fn what_has_no_name_becomes_no_attribute_be_it_a_column_or_a_field() {
    let names = ["image", "", "attributes"];
    let fields = json!({"": "lost to filters", "view": "PA"});
    for fields in [json!(fields.to_string()), fields] {
        let row = json!(["a.png", 3, fields]);
        let wanted = wanted(&names, &Columns::default(), row, false).unwrap();
        assert_eq!(
            serde_json::to_value(&wanted.item.attributes).unwrap(),
            json!({"view": "PA"})
        );
    }
}

#[test]
fn a_column_of_boxes_gives_boxes_as_an_export_wrote_them() {
    let wanted = |boxes, from_text| {
        let item = wanted(
            &["image", "boxes"],
            &Columns::default(),
            json!(["a.png", boxes]),
            from_text,
        );
        let item = item.unwrap().item;
        (
            serde_json::to_value(&item.boxes).unwrap(),
            serde_json::to_value(&item.attributes).unwrap(),
        )
    };
    let boxes = json!([{"label": "Mass", "x": 1.5, "y": 0.0, "width": 20.0, "height": 8.25}]);
    for from_text in [false, true] {
        assert_eq!(wanted(json!(boxes.to_string()), from_text), (boxes.clone(), json!({})));
    }
    assert_eq!(wanted(boxes.clone(), false), (boxes.clone(), json!({})));
    // Whatever else a column of that name holds is an attribute, like any other.
    let flat = boxes.to_string().replace("8.25", "0.0");
    assert_eq!(wanted(json!(flat), true), (json!([]), json!({"boxes": flat})));
    assert_eq!(wanted(json!("3"), true), (json!([]), json!({"boxes": 3})));
}

/// An item of a table beside vectors that was exported from dataset `d`, with some values in place of the usual.
fn imported(changed: &[(&str, Value)]) -> Wanted {
    let names = header(&["key", "image_path", "id", "dataset", "content_hash", "attributes"]);
    let key = ItemKey::new("a/1.png").unwrap();
    let id = RowId::of_item(&DatasetName::new("d").unwrap(), &key);
    let mut row = json!({
        "key": "a/1.png",
        "image_path": "s3://other/root/a/1.png",
        "id": id.as_str(),
        "dataset": "d",
        "content_hash": "ab".repeat(32),
        "attributes": "{\"id\":7}",
    });
    for (name, value) in changed {
        row[*name] = value.clone();
    }
    let mut values: Vec<Value> = names.iter().map(|name| row[name].take()).collect();
    let mapping = Mapping::resolve_imported(&Columns::default(), &Imported::default(), &names, false).unwrap();
    match mapping.draft("s3://b/root", 7, &mut values, false) {
        Draft::Wanted(wanted) => *wanted,
        Draft::Ended(ended) => panic!("{ended:?}"),
    }
}

#[test]
fn an_exported_row_keeps_its_picture_outside_the_root_and_says_nowhere_else_where_it_came_from() {
    let Wanted { item, image } = imported(&[]);
    let told = item.told.unwrap();
    assert_eq!((image, told.url.as_deref()), (None, Some("s3://other/root/a/1.png")));
    assert_eq!(told.content_hash, Some("ab".repeat(32)));
    // Of the columns that say which row it was nothing is left; its own attribute of that name is.
    assert_eq!(serde_json::to_value(&item.attributes).unwrap(), json!({"id": 7}));

    let Wanted { item, image } = imported(&[("image_path", json!("s3://b/root/a/1.png"))]);
    assert_eq!((image.as_deref(), item.told.unwrap().url), (Some("a/1.png"), None));
}

#[test]
fn columns_that_only_have_the_names_of_an_exports_are_attributes() {
    let attributes = |changed: &[(&str, Value)]| {
        let item = imported(changed).item;
        let told = item.told.map(|told| (told.url.is_some(), told.content_hash.is_some()));
        (told, serde_json::to_value(&item.attributes).unwrap())
    };
    let hash = "ab".repeat(32);
    let none = ("attributes", Value::Null);
    let (told, found) = attributes(&[("id", json!("patient 7")), none.clone()]);
    assert_eq!(told, Some((true, true)));
    assert_eq!(found, json!({"id": "patient 7", "dataset": "d"}));
    let (told, found) = attributes(&[("content_hash", json!("ABC")), none.clone()]);
    assert_eq!((told, found), (Some((true, false)), json!({"content_hash": "ABC"})));
    for path in ["http://h/a.png", "/data/a.png", "s3://b/root/../x.png"] {
        let (told, found) = attributes(&[("image_path", json!(path)), none.clone()]);
        let expected = json!({"image_path": path, "content_hash": hash});
        assert_eq!(
            (told, found),
            (None, expected),
            "a picture that is not named has no content"
        );
    }
}

#[test]
fn named_columns_win_and_only_named_attributes_are_kept() {
    let columns = Columns {
        key: Some("id".into()),
        image: Some("img".into()),
        attributes: vec!["a".into()],
        ..Columns::default()
    };
    let wanted = wanted(
        &["id", "img", "a", "b"],
        &columns,
        json!(["k", "x.png", "1", "2"]),
        true,
    )
    .unwrap();
    assert_eq!(
        (wanted.item.key.as_str(), wanted.image.as_deref()),
        ("k", Some("x.png"))
    );
    assert_eq!(serde_json::to_value(&wanted.item.attributes).unwrap(), json!({"a": 1}));
}

#[test]
fn a_column_that_is_missing_or_there_twice_is_named() {
    let named = Columns {
        text: Some("Report".into()),
        ..Columns::default()
    };
    assert!(
        resolve(&["image", "report"], &named)
            .unwrap_err()
            .contains("\"Report\"")
    );
    assert!(
        resolve(&["image", "IMAGE"], &Columns::default())
            .unwrap_err()
            .contains("several")
    );
    assert!(
        resolve(&["x", "y"], &Columns::default())
            .unwrap_err()
            .contains("image_path")
    );
}

#[test]
fn a_csv_value_is_a_number_only_where_nothing_is_lost() {
    for (text, expected) in [
        ("47", json!(47)),
        ("-1.5", json!(-1.5)),
        ("1e3", json!(1000.0)),
        ("0", json!(0)),
        ("007", json!("007")),
        ("1.", json!("1.")),
        ("+1", json!("+1")),
        ("12345678901234567890", json!("12345678901234567890")),
        ("1e999", json!("1e999")),
        ("NaN", json!("NaN")),
        ("true", json!("true")),
        (" 1", json!(" 1")),
        ("1\n", json!("1\n")),
        ("", Value::Null),
    ] {
        assert_eq!(attribute(json!(text), true).unwrap_or_default(), expected, "{text:?}");
    }
}

#[test]
fn typed_values_keep_their_types_and_nested_ones_become_text() {
    for (value, expected) in [
        (json!("47"), json!("47")),
        (json!(true), json!(true)),
        (json!([1, "a"]), json!([1, "a"])),
        (json!({"a": 1}), json!("{\"a\":1}")),
        (json!([[1]]), json!("[[1]]")),
        (Value::Null, Value::Null),
    ] {
        assert_eq!(attribute(value, false).unwrap_or_default(), expected);
    }
}

#[test]
fn labels_are_a_list_or_split_at_bars_and_each_stands_once() {
    for labels in [json!("Mass| Nodule ||Mass"), json!(["Mass", "Nodule", "Mass", null])] {
        assert_eq!(labels_of(&labels).unwrap(), ["Mass", "Nodule"]);
    }
    assert!(labels_of(&json!([["Mass"]])).is_err());
    assert!(labels_of(&Value::Null).unwrap().is_empty());
}

#[test]
fn a_path_stays_below_the_root() {
    let of = |path| below_root("s3://b/root", path);
    assert_eq!(of("a/b.png").unwrap(), "a/b.png");
    assert_eq!(of("./a.png").unwrap(), "a.png");
    assert_eq!(of("s3://b/root/a.png").unwrap(), "a.png");
    for path in [
        "/etc/passwd",
        "../a.png",
        "a/../../b.png",
        "a\\..\\b.png",
        "s3://b/other/a.png",
        "http://h/a.png",
        "s3://b/root/../x",
    ] {
        assert!(of(path).is_err(), "{path}");
    }
}

#[test]
fn a_row_with_a_text_alone_is_an_item_and_one_with_neither_is_not() {
    let names = ["image", "text"];
    let text = wanted(&names, &Columns::default(), json!(["", "no finding"]), true).unwrap();
    assert_eq!((text.item.key.as_str(), text.image), ("line:7", None));
    let error = wanted(&names, &Columns::default(), json!(["", " "]), true).unwrap_err();
    assert!(error.starts_with("line:7 "), "{error}");
    let error = wanted(&names, &Columns::default(), json!(["../x.png", ""]), true).unwrap_err();
    assert!(error.contains("leads out"), "{error}");
}
