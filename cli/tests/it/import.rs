//! Vectors that were made elsewhere, in and out again, through the program alone.

use crate::program::{Ran, Server, model};
use serde_json::Value;
use sightline_core::{DatasetName, ItemKey, RowId};
use sightline_npy::NpyWriter;
use std::io::Cursor;
use std::path::Path;

const ROWS: usize = 600;
const BOXES: &str = r#"[{"label":"Mass","x":1.5,"y":2.25,"width":3.5,"height":4.75}]"#;

/// A vector of length 1.
fn vector(number: usize) -> [f32; 4] {
    let mut vector = [0.5; 4];
    vector[number % 4] = -0.5;
    vector
}

/// Of so many rows one has a text's vector.
const ROWS_A_TEXT: usize = 7;

/// A table beside arrays, as people have them.
fn files(folder: &Path) {
    let array = || NpyWriter::<_, f32>::new(Cursor::new(Vec::new()), &[4]).unwrap();
    let (mut images, mut texts) = (array(), array());
    let mut table = String::from("uid,image_path,report,labels,age,boxes,content_hash\n");
    for number in 0..ROWS {
        images.push(&vector(number)).unwrap();
        let has_text = number.is_multiple_of(ROWS_A_TEXT);
        texts
            .push(&if has_text { vector(number + 1) } else { [0.0; 4] })
            .unwrap();
        let label = ["Mass", "Nodule", ""][number % 3];
        let boxes = if label == "Mass" { BOXES } else { "" }.replace('"', "\"\"");
        table += &format!(
            "{},images/{number}.png,\"line 1\nline 2 of {number}\",{label},{},\"{boxes}\",{number:064x}\n",
            number / 2,
            number % 90
        );
    }
    for (name, array) in [("i.npy", images), ("t.npy", texts)] {
        std::fs::write(folder.join(name), array.finish().unwrap().into_inner()).unwrap();
    }
    std::fs::write(folder.join("merged_df.csv"), table).unwrap();
}

/// Runs a command that is written as a shell would take it, and that has to succeed.
fn succeed(server: &Server, command: &str) -> Ran {
    let words: Vec<&str> = command.split(' ').collect();
    let ran = server.run(&words);
    assert_eq!(ran.code, 0, "{command}: {}{}", ran.out, ran.err);
    ran
}

/// Runs a command that has to end with `code`, and gives what it said.
fn refused(server: &Server, code: i32, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let ran = server.run(&words);
    assert_eq!(ran.code, code, "{command}: {}{}", ran.out, ran.err);
    format!("{}{}", ran.out, ran.err)
}

/// All that a copy of a row has to share with it: when, by which run and of what it was made differ.
const COPIED: &str = "key,dataset,image_id,uid,filename,image_path,report_text,labels,boxes,attributes,content_hash,\
                      has_image,has_text,image_embedding,text_embedding";

/// A row as a collection has it.
fn row(server: &Server, collection: &str, number: usize) -> Value {
    let key = ItemKey::new(format!("images/{number}.png")).unwrap();
    let id = RowId::of_item(&DatasetName::new("iu").unwrap(), &key);
    let get = format!("items get {id} --collection {collection} --fields {COPIED} --json");
    succeed(server, &get).json().remove(0)
}

/// Sees to it that a row is what its table and arrays say, and that other collections have the same.
fn are_copies(server: &Server, number: usize, collection: &str, copies: &[&str]) {
    let first = row(server, collection, number);
    let path = format!("/images/{number}.png");
    assert!(first["image_path"].as_str().unwrap().ends_with(&path), "{first}");
    assert_eq!(first["filename"], format!("{number}.png"));
    assert_eq!(first["content_hash"], format!("{number:064x}"));
    assert_eq!(first["report_text"], format!("line 1\nline 2 of {number}"));
    assert_eq!(first["has_text"], number.is_multiple_of(ROWS_A_TEXT));
    let attributes = first["attributes"].as_object().unwrap();
    assert_eq!(attributes.keys().collect::<Vec<_>>(), ["age"]);
    for copy in copies {
        assert_eq!(row(server, copy, number), first, "{copy}");
    }
}

#[test]
fn vectors_are_imported_counted_exported_imported_again_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    files(folder.path());
    let server = Server::start(data.path(), None);
    let root = folder.path().display();
    let create = "collections create m --field image=4:medsiglip --field text=4:medsiglip --rows 200000";
    let made = succeed(&server, create);
    assert!(made.out.contains("IVF_FLAT nlist=1024"), "{}", made.out);
    let import = format!(
        "import --root {root} --dataset iu --table merged_df.csv --image-array i.npy --text-array t.npy --collection m --model medsiglip --json"
    );
    for outcome in ["indexed", "unchanged"] {
        let ran = succeed(&server, &import);
        assert_eq!(ran.json().last().unwrap()["counts"][outcome], ROWS);
    }

    let counted = succeed(&server, "collections statistics m --json").json().remove(0);
    assert_eq!(
        (&counted["row_count"], &counted["unlabelled_count"]),
        (&ROWS.into(), &200.into())
    );
    assert_eq!(counted["attributes"][0]["maximum"], 89.0, "{counted}");

    let set = succeed(&server, "collections alias live m");
    assert!(set.out.contains("live is m"), "{}", set.out);
    assert!(succeed(&server, "collections get live").out.contains("alias live"));
    let said = refused(&server, 1, &import.replace("--collection m", "--collection live"));
    assert!(said.contains("alias of collection m"), "{said}");
    succeed(&server, "collections release live");
    succeed(&server, "collections load live");
    assert!(succeed(&server, "collections aliases").out.contains("live is m"));
    succeed(&server, "collections alias live --delete");

    let arrays = out.path().join("arrays");
    let arrays = arrays.display();
    succeed(&server, &format!("collections export m --to {arrays} --part-items 256"));
    let said = refused(&server, 2, &format!("collections export m --to {arrays}"));
    assert!(said.contains("not empty"), "{said}");
    succeed(
        &server,
        &format!("import --root {arrays} --clip-retrieval . --collection m2 --dataset iu"),
    );
    let parquet = out.path().join("parquet");
    let parquet = parquet.display();
    succeed(
        &server,
        &format!("collections export m2 --to {parquet} --layout parquet"),
    );
    succeed(
        &server,
        &format!(
            "import --root {parquet} --table items_0.parquet --image-column image_embedding --text-column text_embedding \
             --collection m3 --dataset iu"
        ),
    );
    let counted = succeed(&server, "collections statistics m3 --json").json().remove(0);
    let age = counted["attributes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|named| named["name"] == "age");
    assert_eq!(age.unwrap()["maximum"], 89.0, "{counted}");
    for number in [0, 1, 3, 7, 599] {
        are_copies(&server, number, "m", &["m2", "m3"]);
    }
    let item = row(&server, "m3", 3);
    assert_eq!(item["boxes"], serde_json::from_str::<Value>(BOXES).unwrap(), "{item}");
    let said = refused(&server, 1, "search --collection m3 --text x --json");
    assert!(said.contains("serves no model"), "{said}");

    let delete = "items delete --collection m3 --filter labels:\"Mass\"";
    let counted = succeed(&server, &format!("{delete} --dry-run"));
    assert!(counted.out.contains("200 items would be deleted"), "{}", counted.out);
    let said = refused(&server, 2, delete);
    assert!(said.contains("from m3 200 items") && said.contains("--yes"), "{said}");
    let deleted = succeed(&server, &format!("{delete} --yes"));
    assert!(deleted.out.contains("deleted 200 items"), "{}", deleted.out);
    let left = succeed(&server, "collections get m3 --json").json().remove(0);
    let texts = (0..ROWS)
        .filter(|number| number % 3 != 0 && number.is_multiple_of(ROWS_A_TEXT))
        .count();
    assert_eq!(
        (&left["row_count"], &left["vector_bytes"]),
        (&400.into(), &((400 + texts) * 16).into())
    );
    assert_eq!(server.end(), 0);
}

#[test]
fn an_import_whose_array_has_other_rows_than_its_table_writes_nothing_and_says_so() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    files(folder.path());
    let table = folder.path().join("merged_df.csv");
    let rows = std::fs::read_to_string(&table).unwrap() + "1,images/more.png,text,,1,,\n";
    std::fs::write(&table, rows).unwrap();
    let server = Server::start(data.path(), Some(&model()));
    let root = folder.path().display();
    let import = format!("import --root {root} --table merged_df.csv --image-array i.npy --collection m");
    let said = refused(&server, 4, &import);
    assert!(said.contains("600 rows") && said.contains("601"), "{said}");
    refused(&server, 1, "collections get m");
    assert_eq!(server.end(), 0);
}

#[test]
fn vectors_that_are_not_as_long_as_those_of_the_model_that_is_named_are_refused_before_anything_is_made() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    files(folder.path());
    let server = Server::start(data.path(), None);
    let (root, model) = (folder.path().display(), model());
    let import = format!(
        "import --root {root} --table merged_df.csv --image-array i.npy --collection m --model {}",
        model.display()
    );
    let said = refused(&server, 2, &import);
    assert!(said.contains("have 4 values") && said.contains("have 384"), "{said}");
    refused(&server, 1, "collections get m");
    assert_eq!(server.end(), 0);
}

#[test]
fn of_a_collection_of_several_datasets_each_is_exported_and_imported_by_itself_in_all_its_parts() {
    let data = tempfile::tempdir().unwrap();
    let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    files(folder.path());
    let server = Server::start(data.path(), None);
    let root = folder.path().display();
    for dataset in ["one", "two"] {
        succeed(
            &server,
            &format!(
                "import --root {root} --dataset {dataset} --table merged_df.csv --image-array i.npy --collection m"
            ),
        );
    }

    let to = out.path().join("at-once");
    let said = refused(&server, 2, &format!("collections export m --to {}", to.display()));
    for part in ["\"one\"", "\"two\"", "--filter 'dataset = ", "collections statistics m"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!to.exists());
    let filtered = format!("collections export m --to {} --filter labels:\"Mass\"", to.display());
    let said = refused(&server, 2, &filtered);
    assert!(said.contains("AND dataset = "), "{said}");

    let parts = out.path().join("parts");
    let export = format!(
        "collections export m --to {} --layout parquet --part-items 256 --filter dataset=\"one\"",
        parts.display()
    );
    let ran = succeed(&server, &export);
    let again = format!(
        "sightline import --root={} --table . --image-column image_embedding --model ",
        parts.display()
    );
    assert!(
        ran.err.contains(&again) && ran.err.contains(" --fingerprint image="),
        "{}",
        ran.err
    );
    let said = ran.out;
    assert!(
        said.contains("600 items of dataset one") && said.contains("3 files"),
        "{said}"
    );
    let import = format!(
        "import --root {} --table . --image-column image_embedding --collection m2 --dataset one",
        parts.display()
    );
    succeed(&server, &import);
    let arrays = out.path().join("arrays");
    let arrays = arrays.display();
    let exported = succeed(
        &server,
        &format!("collections export m --to {arrays} --part-items 256 --filter dataset=\"two\" --json"),
    );
    assert_eq!(exported.json()[0]["dataset"], "two");
    let import = format!("import --root {arrays} --clip-retrieval . --collection m2 --dataset two");
    let said = refused(&server, 4, &import);
    assert!(said.contains("--fields image"), "{said}");
    succeed(
        &server,
        &format!("import --root {arrays} --clip-retrieval . --fields image --collection m2 --dataset two"),
    );
    let copy = succeed(&server, "collections get m2 --json").json().remove(0);
    assert_eq!(copy["row_count"], 2 * ROWS);
    for dataset in ["one", "two"] {
        let id = RowId::of_item(
            &DatasetName::new(dataset).unwrap(),
            &ItemKey::new("images/599.png").unwrap(),
        );
        succeed(&server, &format!("items get {id} --collection m2"));
    }
    assert_eq!(server.end(), 0);
}
