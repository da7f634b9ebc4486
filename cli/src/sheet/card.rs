//! One hit: its picture with boxes, its score and parts, its words.

use super::html::{coordinate, data_uri, escape, percent};
use sightline_core::VectorField;
use sightline_proto::v1;
use std::fmt::Write;

/// Colours of boxes in the style; labels take them in turn.
const COLOURS: usize = 6;

/// The hit as an element of the list.
pub(super) fn card(rank: usize, hit: &v1::Hit) -> String {
    let item = hit.item.clone().unwrap_or_default();
    let mut card = format!("<li class=\"hit\">\n{}", picture(hit, &item));
    let _written = writeln!(
        card,
        "<div class=\"told\">\n<p class=\"score\"><span class=\"rank\">{rank}</span><b>{:.4}</b></p>",
        hit.score
    );
    card.push_str(&parts(&hit.parts));
    if !item.report_text.is_empty() {
        let _written = writeln!(card, "<p class=\"caption\">{}</p>", escape(&item.report_text));
    }
    if !item.labels.is_empty() {
        let labels: Vec<String> = item
            .labels
            .iter()
            .map(|label| format!("<li>{}</li>", escape(label)))
            .collect();
        let _written = writeln!(card, "<ul class=\"labels\">{}</ul>", labels.join(""));
    }
    card.push_str(&path(&item));
    card.push_str("</div>\n</li>\n");
    card
}

fn picture(hit: &v1::Hit, item: &v1::Item) -> String {
    let Some(uri) = data_uri(&hit.thumbnail) else {
        let why = if item.has_image {
            "the picture could not be read"
        } else {
            "no picture"
        };
        return format!("<div class=\"picture none\"><span>{why}</span></div>\n");
    };
    let name = escape(&item.filename);
    format!(
        "<div class=\"picture\"><img src=\"{uri}\" alt=\"{name}\">{}</div>\n",
        boxes(hit, item)
    )
}

/// The boxes over the picture. Both are fitted into the same square, so the source's own pixels are the coordinates.
fn boxes(hit: &v1::Hit, item: &v1::Item) -> String {
    let (width, height) = (hit.source_width, hit.source_height);
    if item.boxes.is_empty() || width < 1 || height < 1 {
        return String::new();
    }
    let letters = f64::from(width.max(height)) * 0.042;
    let mut labels: Vec<&str> = Vec::new();
    let mut drawn = String::new();
    for found in &item.boxes {
        let colour = labels
            .iter()
            .position(|label| *label == found.label)
            .unwrap_or_else(|| {
                labels.push(&found.label);
                labels.len() - 1
            })
            % COLOURS;
        let edges = [found.x, found.y, found.width, found.height].map(coordinate);
        let [Some(x), Some(y), Some(w), Some(h)] = edges else {
            continue;
        };
        // A label stands above its box, or inside where there is no room above.
        let above = found.y - letters * 0.35;
        let base = if above >= letters {
            above
        } else {
            found.y + letters * 1.1
        };
        let (Some(base), Some(size)) = (coordinate(base), coordinate(letters)) else {
            continue;
        };
        let label = escape(&found.label);
        let _written = write!(
            drawn,
            "<g class=\"box c{colour}\"><title>{label}</title>\
             <rect class=\"halo\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/>\
             <rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/>\
             <text x=\"{x}\" y=\"{base}\" font-size=\"{size}\">{label}</text></g>"
        );
    }
    format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"boxes\">{drawn}</svg>")
}

fn parts(parts: &[v1::hit::Part]) -> String {
    let mut text = String::from("<dl class=\"parts\">");
    for part in parts {
        let (name, class) = match VectorField::ALL.into_iter().find(|field| field.as_str() == part.field) {
            Some(VectorField::Image) => ("picture".to_owned(), "image"),
            Some(VectorField::Text) => ("text".to_owned(), "text"),
            None => (escape(&part.field), "other"),
        };
        let _written = write!(
            text,
            "<dt>{name}</dt><dd class=\"{class}\"><span class=\"bar\"><i style=\"width:{}\"></i></span>\
             <span class=\"number\">{:.4}</span></dd>",
            percent(part.score),
            part.score
        );
    }
    text.push_str("</dl>\n");
    text
}

/// Where it lies; a link where a browser may open it.
fn path(item: &v1::Item) -> String {
    let shown = escape(if item.key.is_empty() {
        &item.image_path
    } else {
        &item.key
    });
    if shown.is_empty() {
        return String::new();
    }
    // Keys are written as they are; in an address these would end the path.
    let address = escape(&item.image_path.replace('#', "%23").replace('?', "%3F"));
    let opens = ["file:///", "https://"]
        .iter()
        .any(|scheme| item.image_path.starts_with(scheme));
    if opens {
        format!("<p class=\"path\"><a href=\"{address}\">{shown}</a></p>\n")
    } else {
        format!("<p class=\"path\" title=\"{address}\">{shown}</p>\n")
    }
}
