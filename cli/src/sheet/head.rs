//! The head of a page: what was asked.

use super::html::{data_uri, escape, percent};
use crate::ingest::FieldArg;
use crate::search::{Picture, Query};
use crate::text::count;
use sightline_proto::v1;
use sightline_proto::v1::search_response::Ranking;
use std::fmt::Write;

/// A larger query is named, not shown: a page of many megabytes opens slowly.
const MAX_SHOWN_BYTES: usize = 8 << 20;
const DEFAULT_ALPHA: f64 = 0.5;

/// The query in a few words.
pub(super) fn title(query: &Query) -> String {
    let picture = query.picture.as_ref().map(|picture| match picture {
        Picture::File { name, .. } => name.clone(),
        Picture::Item(id) => format!("item {id}"),
    });
    let words = query.text.as_ref().map(|text| format!("“{text}”"));
    let parts: Vec<String> = picture.into_iter().chain(words).collect();
    parts.join(" + ")
}

/// The head.
pub(super) fn header(query: &Query, response: &v1::SearchResponse) -> String {
    let mut head = String::from("<header>\n<p class=\"mark\">Sightline</p>\n<div class=\"query\">\n");
    if let Some(picture) = &query.picture {
        head.push_str(&asked_picture(picture));
    }
    if query.picture.is_some() && query.text.is_some() {
        head.push_str("<span class=\"plus\" aria-hidden=\"true\">+</span>\n");
    }
    if let Some(text) = &query.text {
        let _written = writeln!(head, "<h1 class=\"words\">{}</h1>", escape(text));
    }
    head.push_str("</div>\n");
    if query.picture.is_some() && query.text.is_some() {
        head.push_str(&balance(query.alpha.unwrap_or(DEFAULT_ALPHA)));
    }
    head.push_str(&facts(query, response));
    head.push_str("</header>\n");
    head
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
    match (&query.picture, &query.text, query.against) {
        (Some(_), Some(_), _) => {
            let alpha = query.alpha.unwrap_or(DEFAULT_ALPHA);
            format!("{alpha:.2} · cos(picture) + {:.2} · cos(text)", 1.0 - alpha)
        }
        (_, _, Some(FieldArg::Image)) | (Some(_), None, None) => "cos(picture)".into(),
        _ => "cos(text)".into(),
    }
}
