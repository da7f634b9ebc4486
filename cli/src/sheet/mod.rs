//! Hits as a page for people: a contact sheet in one HTML file.
//!
//! Promises: the file needs neither network nor scripts (its own policy forbids both); everything that comes from a
//! dataset or a person is escaped; boxes lie over the pictures in pixels of the source; it reads well in light and
//! dark, on paper and on a phone. Leaves to others: the pictures, which the gateway makes.

mod card;
mod head;
mod html;

#[cfg(test)]
mod tests;

use crate::search::Query;
use html::escape;
use sightline_proto::v1;
use std::fmt::Write;

const STYLE: &str = include_str!("sheet.css");
/// Nothing is loaded and nothing runs, whatever a caption says.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// The page of a query and what it found.
pub(crate) fn page(query: &Query, response: &v1::SearchResponse) -> String {
    let mut page = String::new();
    let title = escape(&head::title(query));
    // Writing to a string cannot fail.
    let _written = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · Sightline</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    page.push_str(&head::header(query, response));
    page.push_str("<main>\n");
    if response.hits.is_empty() {
        page.push_str("<p class=\"nothing\">Nothing was found.</p>\n");
    } else {
        page.push_str("<ol class=\"hits\">\n");
        for (rank, hit) in response.hits.iter().enumerate() {
            page.push_str(&card::card(rank + 1, hit));
        }
        page.push_str("</ol>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}
