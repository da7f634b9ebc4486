//! The head of a page: what was asked.

use super::html::{data_uri, escape, percent};
use crate::search::{Example, Input, Picture, Query};
use crate::text::{count, short};
use sightline_core::VectorField;
use sightline_proto::v1;
use sightline_proto::v1::search_response::Ranking;
use std::fmt::Write;

/// A larger query is named, not shown: a page of many megabytes opens slowly.
const MAX_SHOWN_BYTES: usize = 8 << 20;
/// Characters of an example's name in the formula.
const NAME: usize = 32;

/// The query in a few words.
pub(super) fn title(query: &Query) -> String {
    let mut title = String::new();
    for example in &query.examples {
        title.push_str(match (title.is_empty(), example.weight < 0.0) {
            (true, false) => "",
            (true, true) => "not ",
            (false, false) => " + ",
            (false, true) => " − ",
        });
        title.push_str(&example.name());
    }
    title
}

/// The head.
pub(super) fn header(query: &Query, response: &v1::SearchResponse) -> String {
    let mut head = String::from("<header>\n<p class=\"mark\">Sightline</p>\n<div class=\"query\">\n");
    for (place, example) in query.examples.iter().enumerate() {
        head.push_str(match (place, example.weight < 0.0) {
            (_, true) => "<span class=\"plus\" role=\"img\" aria-label=\"not like\">−</span>\n",
            (0, false) => "",
            (_, false) => "<span class=\"plus\" aria-hidden=\"true\">+</span>\n",
        });
        head.push_str(&asked(example));
    }
    head.push_str("</div>\n");
    if let Some((Some(_), Some(_), alpha)) = query.everyday() {
        head.push_str(&balance(alpha));
    }
    head.push_str(&facts(query, response));
    head.push_str("</header>\n");
    head
}

fn asked(example: &Example) -> String {
    match &example.input {
        Input::Picture(picture) => asked_picture(picture),
        Input::Text(text) => format!("<h1 class=\"words\">{}</h1>\n", escape(text)),
    }
}

fn asked_picture(picture: &Picture) -> String {
    match picture {
        Picture::File { name, content } => {
            let name = escape(name);
            let shown = (content.len() <= MAX_SHOWN_BYTES).then(|| data_uri(content)).flatten();
            match shown {
                Some(uri) => format!(
                    "<figure class=\"asked\"><img src=\"{uri}\" alt=\"The picture that was searched with\">\
                     <figcaption>{name}</figcaption></figure>\n"
                ),
                None => format!("<p class=\"named\">{name}</p>\n"),
            }
        }
        Picture::Item(id) => format!("<p class=\"named\">item <code>{}</code></p>\n", escape(id)),
    }
}

/// How picture and words weigh, as a bar of two colours.
fn balance(alpha: f64) -> String {
    format!(
        "<div class=\"balance\"><span>picture {alpha:.2}</span>\
         <span class=\"scale\" role=\"img\" aria-label=\"alpha {alpha:.2}\"><i style=\"width:{}\"></i></span>\
         <span>words {:.2}</span></div>\n",
        percent(alpha),
        1.0 - alpha
    )
}

fn facts(query: &Query, response: &v1::SearchResponse) -> String {
    let hits = i64::try_from(response.hits.len()).unwrap_or(i64::MAX);
    let mut facts = vec![
        format!("{} {}", count(hits), if hits == 1 { "hit" } else { "hits" }),
        format!("in <b>{}</b>", escape(&query.collection)),
        format!("score = {}", formula(query)),
    ];
    if !query.filter.is_empty() {
        facts.push(format!("where <code>{}</code>", escape(&query.filter)));
    }
    match response.ranking() {
        Ranking::Unspecified => {}
        Ranking::Exact => facts.push("exact over the whole collection".into()),
        Ranking::ExactOverCandidates => facts.push(format!(
            "exact over the candidates of an approximate index; the rest scores at most {:.4}",
            response.unseen_bound
        )),
    }
    let listed: Vec<String> = facts.into_iter().map(|fact| format!("<li>{fact}</li>")).collect();
    format!("<ul class=\"facts\">{}</ul>\n", listed.join(""))
}

fn formula(query: &Query) -> String {
    if let Some((Some(_), Some(_), alpha)) = query.everyday() {
        return format!("{alpha:.2} · cos(picture) + {:.2} · cos(text)", 1.0 - alpha);
    }
    let field = |example: &Example| match example.field(query.against) {
        VectorField::Image => "picture",
        VectorField::Text => "text",
    };
    let weighted = query.weighted();
    if let [(example, weight)] = weighted.as_slice() {
        let sign = if *weight < 0.0 { "−" } else { "" };
        return format!("{sign}cos({})", field(example));
    }
    let mut formula = String::new();
    for (example, weight) in weighted {
        let name = escape(&short(&example.name(), NAME));
        let sign = match (formula.is_empty(), weight < 0.0) {
            (true, false) => "",
            (true, true) => "−",
            (false, false) => " + ",
            (false, true) => " − ",
        };
        let _written = write!(formula, "{sign}{:.2} · cos({}, {name})", weight.abs(), field(example));
    }
    formula
}
