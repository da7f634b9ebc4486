//! From pictures in a folder to searches, through the program alone.

use crate::pictures::dataset;
use crate::program::{Server, model, run};
use crate::searches::{search_all_ways, search_by_examples};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn ingest<'a>(data: &'a Path, model: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "ingest",
        "--root",
        text(data),
        "--dataset",
        "patterns",
        "--manifest",
        "table.csv",
    ];
    args.extend(["--collection", "patterns", "--model", text(model), "--shard-items", "8"]);
    args.extend(more);
    args
}

#[test]
fn pictures_are_indexed_searched_listed_and_deleted() {
    let (data, pictures) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    dataset(pictures.path());
    let model = model();
    let server = Server::start(data.path(), Some(&model));

    let ran = server.run(&ingest(
        pictures.path(),
        &model,
        &["--json", "--window-shards", "2", "--index", "IVF_FLAT,nlist=1024"],
    ));
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    let states = ran.json();
    let last = states.last().unwrap();
    assert_eq!(
        (&last["state"], &last["counts"]["indexed"]),
        (&"PARTIALLY_SUCCEEDED".into(), &30.into()),
        "{last}"
    );
    assert_eq!(
        last["failures"],
        serde_json::json!([{ "reason": "corrupt_image", "count": 1 }])
    );
    let run_name = last["name"].as_str().unwrap();

    let again = server.run(&ingest(pictures.path(), &model, &[]));
    assert_eq!(again.code, 3, "{}", again.err);
    assert!(
        again.out.contains("unchanged         30") && again.out.contains("sightline runs failures"),
        "{}",
        again.out
    );

    let failures = server.run(&["runs", "failures", run_name, "--csv"]);
    let lines: Vec<&str> = failures.out.lines().collect();
    assert_eq!(lines[0], "key,reason,message,line,stale");
    assert!(
        lines[1].starts_with("pictures/broken.png,corrupt_image,") && lines.len() == 2,
        "{}",
        failures.out
    );

    search_all_ways(&server, pictures.path(), data.path());
    search_by_examples(&server, pictures.path());

    let collection = server
        .run(&["collections", "get", "patterns", "--json"])
        .json()
        .remove(0);
    assert_eq!(
        (&collection["row_count"], &collection["image_count"]),
        (&30.into(), &30.into()),
        "{collection}"
    );
    assert_eq!(collection["index"], "IVF_FLAT nlist=1024");
    let status = server.run(&["worker", "status", "--json"]).json().remove(0);
    let top = server
        .run(&["top", "--readings", "2", "--interval", "1", "--json"])
        .json();
    let upsert = &top[1]["stages"][3];
    assert_eq!(
        (&upsert["name"], &upsert["waiting"]),
        (&"upsert".into(), &0.into()),
        "{top:?}"
    );
    assert_eq!(top[1]["limited_by"], "no work", "{top:?}");
    assert_eq!(top[1]["devices"][0]["name"], "cpu", "{top:?}");
    assert_eq!(status["state"], "SERVING", "{status}");
    let refused = server.run(&["collections", "delete", "patterns"]);
    assert!(refused.code == 2 && refused.err.contains("--yes"), "{}", refused.err);
    assert_eq!(server.run(&["collections", "delete", "patterns", "--yes"]).code, 0);
    let gone = server.run(&["search", "--collection", "patterns", "--text", "x"]);
    assert!(
        gone.code == 1 && gone.err.contains("patterns") && gone.err.lines().count() == 1,
        "{}",
        gone.err
    );
    assert_eq!(server.end(), 0);
}

#[test]
fn a_worker_that_goes_away_while_programs_watch_it_is_a_line_of_json_too() {
    let data = tempfile::tempdir().unwrap();
    // A worker without a model answers, too.
    let server = Server::start(data.path(), None);
    let url = server.url.clone();
    // So many that it ends where no line ever says so.
    let mut watching = server
        .command(&["top", "--json", "--interval", "1", "--readings", "100"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut readings = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let first = readings.next().unwrap();
    assert!(first["state"].is_string() && first.get("error").is_none(), "{first}");
    assert_eq!(first["url"], *url, "{first}");
    assert_eq!(server.end(), 0);
    let gone = readings.find(|reading| reading.get("error").is_some()).unwrap();
    assert_eq!(gone["url"], *url, "{gone}");
    assert!(!gone["error"].as_str().unwrap().is_empty(), "{gone}");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn a_run_that_had_not_ended_goes_on_after_a_restart_and_a_cancelled_one_does_not() {
    let (data, pictures) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    dataset(pictures.path());
    let model = model();
    // Without a model nobody works on what is planned.
    let server = Server::start(data.path(), None);
    let other = run(&["standalone", "--data", text(data.path()), "--listen", "127.0.0.1:0"]);
    assert!(
        other.code == 1 && other.err.contains("in use by another sightline"),
        "{}",
        other.err
    );

    let created = server.run(&ingest(
        pictures.path(),
        &model,
        &["--json", "--no-wait", "--request-id", "first"],
    ));
    assert_eq!(created.code, 0, "{}", created.err);
    let first = created.json()[0]["name"].as_str().unwrap().to_owned();
    let same = server.run(&ingest(
        pictures.path(),
        &model,
        &["--json", "--no-wait", "--request-id", "first"],
    ));
    assert_eq!(same.json()[0]["name"], *first);
    let mut other = ingest(pictures.path(), &model, &["--no-wait", "--request-id", "second"]);
    let refused = server.run(&other);
    assert!(refused.code == 1 && refused.err.contains(&first), "{}", refused.err);
    let collection = other.iter().position(|arg| *arg == "--collection").unwrap() + 1;
    other[collection] = "elsewhere";
    let second = server.run(&other).out;
    let cancelled = server
        .run(&["runs", "cancel", second.trim(), "--json"])
        .json()
        .remove(0);
    assert_eq!(cancelled["state"], "CANCELLED");
    assert_eq!(server.run(&["runs", "watch", second.trim()]).code, 4);

    // The run is planned and waits for a worker: what is in the queue is lost with the process.
    let mut watching = server
        .command(&["runs", "watch", &first, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let states = BufReader::new(watching.stdout.take().unwrap()).lines();
    let waits = |state: &Value| state["state"] == "WAITING" && state["plan_complete"] == true;
    let waiting = states
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .find(waits)
        .unwrap();
    assert!(
        waiting["state_message"]
            .as_str()
            .unwrap()
            .starts_with("no worker serves model"),
        "{waiting}"
    );
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert_eq!(server.end(), 0);

    let server = Server::start(data.path(), Some(&model));
    let watched = server.run(&["runs", "watch", &first, "--json"]);
    assert_eq!(watched.code, 3, "{}{}", watched.out, watched.err);
    let last = watched.json().pop().unwrap();
    assert_eq!(
        (&last["counts"]["indexed"], &last["done_shards"]),
        (&30.into(), &4.into()),
        "{last}"
    );
    let runs = server.run(&["runs", "list", "--json"]).json();
    let states: Vec<&Value> = runs.iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["CANCELLED", "PARTIALLY_SUCCEEDED"]);
    assert_eq!(server.end(), 0);
}
