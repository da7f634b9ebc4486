//! Searches of a collection of patterns, through the program alone.

use crate::program::Server;
use serde_json::Value;
use std::path::Path;

/// A picture alone and one among others have vectors that differ by their last bits.
const ROUNDING: f64 = 1e-4;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The keys of hits, best first.
fn keys(response: &Value) -> Vec<&str> {
    let hits = response["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["item"]["key"].as_str().unwrap()).collect()
}

/// By picture, words, both and item, filtered, as a table and as a page.
pub(crate) fn search_all_ways(server: &Server, pictures: &Path, data: &Path) {
    let picture = pictures.join("pictures/07.bmp");
    let sheet = data.join("sheets/new/hits.html");
    let base = ["search", "--collection", "patterns", "--json", "--top-k", "5"];
    let by_picture = server.run(&[&base[..], &["--image", text(&picture), "--html", text(&sheet)]].concat());
    assert_eq!(by_picture.code, 0, "{}", by_picture.err);
    let found = by_picture.json().remove(0);
    assert_eq!(keys(&found)[0], "pictures/07.bmp");
    assert!(found["hits"][0]["score"].as_f64().unwrap() > 0.9999, "{found}");
    assert_eq!(found["ranking"], "EXACT");
    let page = std::fs::read_to_string(&sheet).unwrap();
    assert_eq!(page.matches("<li class=\"hit\">").count(), 5);
    // Five thumbnails and the query.
    assert_eq!(page.matches("src=\"data:image/").count(), 6);

    let words = server
        .run(&[&base[..], &["--text", "Pattern number 12."]].concat())
        .json()
        .remove(0);
    assert_eq!(keys(&words)[0], "pictures/12.bmp", "{words}");
    let filter = [
        "--text",
        "Pattern number 12.",
        "--filter",
        "attributes.parity = \"odd\" AND labels:\"pattern\"",
    ];
    let odd = server.run(&[&base[..], &filter].concat()).json().remove(0);
    assert!(
        keys(&odd).len() == 5 && keys(&odd).iter().all(|key| key[9..11].parse::<u32>().unwrap() % 2 == 1),
        "{odd}"
    );

    let both = [
        "--image",
        text(&picture),
        "--text",
        "Pattern number 7.",
        "--alpha",
        "0.25",
    ];
    let both = server.run(&[&base[..], &both].concat()).json().remove(0);
    let best = &both["hits"][0];
    assert_eq!(best["item"]["key"], "pictures/07.bmp");
    let parts = best["parts"].as_array().unwrap();
    let sum: f64 = parts
        .iter()
        .map(|part| part["score"].as_f64().unwrap() * part["weight"].as_f64().unwrap())
        .sum();
    assert!(
        parts.len() == 2 && (sum - best["score"].as_f64().unwrap()).abs() < 1e-9,
        "{best}"
    );

    let id = best["item"]["id"].as_str().unwrap();
    let by_item = server.run(&[&base[..], &["--item", id]].concat()).json().remove(0);
    assert_eq!(keys(&by_item)[0], "pictures/07.bmp");
    let item = server
        .run(&["items", "get", id, "--collection", "patterns", "--json"])
        .json()
        .remove(0);
    assert_eq!(
        (&item["report_text"], &item["attributes"]["parity"]),
        (&"Pattern number 7.".into(), &"odd".into())
    );
    let table = server.run(&["search", "--collection", "patterns", "--image", text(&picture)]);
    assert!(
        table.out.contains("RANK") && table.out.contains("pictures/07.bmp"),
        "{}",
        table.out
    );
}

/// "Like these", "like this but not that", and weights.
pub(crate) fn search_by_examples(server: &Server, pictures: &Path) {
    let picture = |number: u32| pictures.join(format!("pictures/{number:02}.bmp"));
    let base = ["search", "--collection", "patterns", "--json", "--top-k", "30"];
    let ask = |more: &[&str]| {
        let ran = server.run(&[&base[..], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.json().remove(0)
    };
    let score = |answer: &Value, number: u32| {
        let key = format!("pictures/{number:02}.bmp");
        let hits = answer["hits"].as_array().unwrap();
        let hit = hits.iter().find(|hit| hit["item"]["key"] == *key).unwrap();
        hit["score"].as_f64().unwrap()
    };
    let (seven, twelve) = (picture(7), picture(12));
    let alike = score(&ask(&["--image", text(&seven)]), 12);
    let like_both = ask(&["--image", text(&seven), "--image", text(&twelve)]);
    for number in [7, 12] {
        assert!(
            (score(&like_both, number) - f64::midpoint(1.0, alike)).abs() < ROUNDING,
            "{like_both}"
        );
    }
    let not_that = ask(&["--image", text(&seven), "--not-image", text(&twelve)]);
    let apart = (1.0 - alike) / 2.0;
    assert!(
        (score(&not_that, 7) - apart).abs() < ROUNDING && (score(&not_that, 12) + apart).abs() < ROUNDING,
        "{not_that}"
    );

    let by_weight = ask(&["--image", text(&seven), "--weight", "3", "--text", "Pattern number 9."]);
    let by_alpha = ask(&[
        "--image",
        text(&seven),
        "--text",
        "Pattern number 9.",
        "--alpha",
        "0.75",
    ]);
    assert_eq!(keys(&by_weight), keys(&by_alpha));
    assert_eq!(by_weight["ranking"], "EXACT");
    let cancelled = server.run(&[&base[..], &["--text", "same", "--not-text", "same"]].concat());
    assert!(
        cancelled.code == 2 && cancelled.err.contains("cancel each other out"),
        "{}",
        cancelled.err
    );
}
