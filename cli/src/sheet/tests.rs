use super::page;
use crate::ingest::FieldArg;
use crate::search::{Example, Picture, Query};
use sightline_proto::v1;
use sightline_proto::v1::search_response::Ranking;

const JPEG: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 1, 2, 3];
const EVIL: &str = "\"><script>alert('x')</script>&";

fn by_words() -> Query {
    Query {
        collection: "stamps".into(),
        examples: vec![Example::text("a red apple")],
        ..Query::default()
    }
}

fn hit() -> v1::Hit {
    let item = v1::Item {
        key: "fruit/apple.png".into(),
        filename: "apple.png".into(),
        image_path: "file:///data/fruit/apple.png".into(),
        report_text: "사과 하나".into(),
        labels: vec!["food".into(), "fruit".into()],
        boxes: vec![v1::item::Box {
            label: "Apple".into(),
            x: 10.5,
            y: 400.0,
            width: 100.0,
            height: 50.25,
        }],
        has_image: true,
        ..v1::Item::default()
    };
    v1::Hit {
        item: Some(item),
        score: 0.43219,
        parts: vec![
            v1::hit::Part {
                field: "image_embedding".into(),
                score: 0.9,
                weight: 0.5,
            },
            v1::hit::Part {
                field: "text_embedding".into(),
                score: -0.035,
                weight: 0.5,
            },
        ],
        thumbnail: JPEG.to_vec(),
        source_width: 1024,
        source_height: 768,
        group: String::new(),
    }
}

fn found(hits: Vec<v1::Hit>) -> v1::SearchResponse {
    v1::SearchResponse {
        hits,
        ranking: Ranking::Exact.into(),
        unseen_bound: 0.0,
        next_page_token: String::new(),
    }
}

#[test]
fn a_hit_shows_its_picture_score_parts_labels_caption_and_path() {
    let page = page(&by_words(), &found(vec![hit()]));
    for part in [
        "<img src=\"data:image/jpeg;base64,/9j/4AECAw==\" alt=\"apple.png\">",
        "<b>0.4322</b>",
        "<dt>picture</dt><dd class=\"image\"><span class=\"bar\"><i style=\"width:90.0%\"></i></span>\
         <span class=\"number\">0.9000</span></dd>",
        "<i style=\"width:0.0%\"></i></span><span class=\"number\">-0.0350</span>",
        "<li>food</li><li>fruit</li>",
        "<p class=\"caption\">사과 하나</p>",
        "<a href=\"file:///data/fruit/apple.png\">fruit/apple.png</a>",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn boxes_are_drawn_in_pixels_of_the_source() {
    let page = page(&by_words(), &found(vec![hit()]));
    assert!(page.contains("<svg viewBox=\"0 0 1024 768\""), "{page}");
    assert!(
        page.contains("<rect x=\"10.5\" y=\"400\" width=\"100\" height=\"50.25\"/>"),
        "{page}"
    );
    assert!(page.contains(">Apple</text>"), "{page}");
}

#[test]
fn a_box_that_is_no_number_is_left_out() {
    let mut broken = hit();
    broken.item.as_mut().unwrap().boxes[0].width = f64::NAN;
    let page = page(&by_words(), &found(vec![broken]));
    assert!(!page.contains("NaN") && !page.contains("<rect"), "{page}");
}

#[test]
fn nothing_that_a_dataset_or_a_person_says_becomes_markup() {
    let mut evil = hit();
    let item = evil.item.as_mut().unwrap();
    for text in [
        &mut item.key,
        &mut item.filename,
        &mut item.image_path,
        &mut item.report_text,
        &mut item.boxes[0].label,
    ] {
        *text = EVIL.into();
    }
    item.labels = vec![EVIL.into()];
    evil.parts[0].field = EVIL.into();
    let evil_picture = Example::picture(Picture::File {
        name: EVIL.into(),
        content: JPEG.to_vec(),
    });
    let query = Query {
        collection: EVIL.into(),
        examples: [EVIL; 2].map(Example::text).into_iter().chain([evil_picture]).collect(),
        filter: EVIL.into(),
        ..Query::default()
    };
    let page = page(&query, &found(vec![evil]));
    assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
    // Quotes that the page itself does not write would end an attribute.
    assert!(
        !page.contains("\"\">") && page.contains("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)"),
        "{page}"
    );
}

#[test]
fn an_address_that_a_browser_would_run_is_no_link() {
    let mut evil = hit();
    evil.item.as_mut().unwrap().image_path = "javascript:alert(1)".into();
    assert!(!page(&by_words(), &found(vec![evil])).contains("<a href"));
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = page(&by_words(), &found(vec![hit()]));
    assert!(page.contains("default-src 'none'; img-src data:"), "{page}");
    for outside in ["http://", "https://", "<script", "@import", "url(", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn the_head_shows_the_query_with_its_weights() {
    let picture = Picture::File {
        name: "apple.jpg".into(),
        content: JPEG.to_vec(),
    };
    let both = Query {
        examples: vec![Example::picture(picture), Example::text("a red apple")],
        alpha: Some(0.25),
        filter: "labels:\"fruit\"".into(),
        ..by_words()
    };
    let page = page(&both, &found(vec![hit()]));
    for part in [
        "<title>apple.jpg + “a red apple” · Sightline</title>",
        "<img src=\"data:image/jpeg;base64,/9j/4AECAw==\" alt=\"The picture that was searched with\">",
        "<h1 class=\"words\">a red apple</h1>",
        "aria-label=\"alpha 0.25\"><i style=\"width:25.0%\">",
        "score = 0.25 · cos(picture) + 0.75 · cos(text)",
        "where <code>labels:&quot;fruit&quot;</code>",
        "<li>1 hit</li>",
        "exact over the whole collection",
    ] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
}

#[test]
fn the_head_shows_several_examples_and_what_they_are_not() {
    let not = |example: Example, weight: f64| Example {
        weight: -weight,
        ..example
    };
    let query = Query {
        examples: vec![
            Example::picture(Picture::Item("ab".into())),
            Example::text("a red apple"),
            not(Example::text("on <a> table"), 2.0),
        ],
        ..by_words()
    };
    let head = page(&query, &found(vec![hit()]));
    for part in [
        "<title>item ab + “a red apple” − “on &lt;a&gt; table” · Sightline</title>",
        "<p class=\"named\">item <code>ab</code></p>\n<span class=\"plus\" aria-hidden=\"true\">+</span>",
        "<span class=\"plus\" role=\"img\" aria-label=\"not like\">−</span>\n<h1 class=\"words\">on &lt;a&gt; table</h1>",
        "score = 0.25 · cos(picture, item ab) + 0.25 · cos(text, “a red apple”) − 0.50 · cos(text, “on &lt;a&gt; table”)",
    ] {
        assert!(head.contains(part), "{part} is not in {head}");
    }
    assert!(!head.contains("class=\"balance\""), "one bar cannot show three weights");
    let away = Query {
        examples: vec![not(Example::text("a table"), 1.0)],
        ..by_words()
    };
    let away = page(&away, &found(vec![hit()]));
    assert!(
        away.contains("<title>not “a table” ·") && away.contains("score = −cos(text)"),
        "{away}"
    );
}

#[test]
fn words_against_pictures_are_scored_by_the_picture() {
    let page = page(
        &Query {
            against: Some(FieldArg::Image),
            ..by_words()
        },
        &found(vec![hit()]),
    );
    assert!(page.contains("score = cos(picture)"), "{page}");
}

#[test]
fn a_hit_without_a_picture_says_so_and_no_hits_are_told() {
    let mut blind = hit();
    blind.thumbnail = Vec::new();
    assert!(page(&by_words(), &found(vec![blind.clone()])).contains("the picture could not be read"));
    blind.item.as_mut().unwrap().has_image = false;
    assert!(page(&by_words(), &found(vec![blind])).contains("no picture"));
    assert!(page(&by_words(), &found(Vec::new())).contains("Nothing was found."));
}
