//! NIH ChestX-ray14: `BBox_List_2017.csv` beside the pictures.
//!
//! Its header has nine fields, since the box's own header is split at its commas; rows have six, and may or may not
//! end in more commas. Labels are kept as they are spelt there (`Infiltrate`). The file has a row a box and names a
//! picture in several places, so it is read whole; an item stands where its picture is named first.

use crate::cursor::FileCursor;
use crate::entry::{Draft, Wanted};
use crate::pin::pin;
use crate::{DatasetError, Page, Reader};
use csv::{ByteRecord, ReaderBuilder, StringRecord};
use sightline_core::{BoundingBox, Item, ItemKey};
use std::collections::{BTreeMap, HashMap};

/// Where the dataset's parts lie.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) boxes: &'a str,
    pub(crate) images: &'a str,
    pub(crate) descriptions: &'a BTreeMap<String, String>,
}

pub(crate) async fn page(
    reader: &Reader,
    files: Files<'_>,
    start_after: Option<&str>,
    limit: usize,
) -> Result<Page, DatasetError> {
    let of_manifest = |error| DatasetError::of_manifest(files.boxes, error);
    let meta = reader.store.head(files.boxes).await.map_err(of_manifest)?;
    let cursor = start_after.map(FileCursor::<usize>::read).transpose()?;
    let (etag, from) = cursor.map_or((meta.etag, 0), |cursor| (cursor.etag, cursor.at));
    if meta.size > reader.options.max_boxes_bytes {
        let message = format!(
            "it has {} bytes, more than the limit of {}; use a CSV manifest for a table of this size",
            meta.size, reader.options.max_boxes_bytes
        );
        return Err(DatasetError::unreadable(files.boxes, message));
    }
    let bytes = reader.store.get(files.boxes, Some(&etag)).await.map_err(of_manifest)?;
    let drafts = parse(&bytes, files)?;
    let to = from.saturating_add(limit).min(drafts.len());
    let next = (to < drafts.len()).then(|| FileCursor { etag, at: to }.write());
    let wanted = drafts.into_iter().take(to).skip(from).collect();
    Ok(Page {
        entries: pin(reader, wanted).await?,
        next,
    })
}

fn parse(bytes: &[u8], files: Files<'_>) -> Result<Vec<Draft>, DatasetError> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut csv = ReaderBuilder::new().flexible(true).from_reader(bytes);
    let broken = |error: csv::Error| DatasetError::unreadable(files.boxes, error.to_string());
    let header = csv.byte_headers().map_err(broken)?;
    let is = |at: usize, name: &str| {
        header
            .get(at)
            .is_some_and(|field| field.trim_ascii() == name.as_bytes())
    };
    if !is(0, "Image Index") || !is(1, "Finding Label") {
        let message = "it does not start with \"Image Index,Finding Label,Bbox [x,y,w,h],,,\"; is it the boxes file?";
        return Err(DatasetError::unreadable(files.boxes, message));
    }
    let mut drafts = Vec::new();
    let mut by_image: HashMap<String, usize> = HashMap::new();
    let mut record = ByteRecord::new();
    while csv.read_byte_record(&mut record).map_err(broken)? {
        let line = line_of(bytes, &record);
        match row(&record) {
            Ok((image, found)) => {
                let at = *by_image.entry(image.clone()).or_insert(drafts.len());
                if at == drafts.len() {
                    drafts.push(start(&image, line, files));
                }
                if let Some(Draft::Wanted(wanted)) = drafts.get_mut(at) {
                    add(&mut wanted.item, found);
                }
            }
            Err(message) => drafts.push(Draft::invalid(None, line, message)),
        }
    }
    for draft in &mut drafts {
        if let Draft::Wanted(wanted) = draft {
            describe(&mut wanted.item, files.descriptions);
        }
    }
    Ok(drafts)
}

/// The line that a record starts in: the reader's own count stands before the line ends that it skips.
fn line_of(bytes: &[u8], record: &ByteRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX).min(bytes.len());
    let skipped = bytes[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
}

fn row(record: &ByteRecord) -> Result<(String, BoundingBox), String> {
    let text = StringRecord::from_byte_record(record.clone()).map_err(|_| "it is not UTF-8".to_owned())?;
    let field = |at: usize, name: &str| match text.get(at).map(str::trim) {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(format!("it has no {name}")),
    };
    let number = |at: usize, name: &str| {
        let value = field(at, name)?;
        let parsed = value.parse::<f64>().ok().filter(|number| number.is_finite());
        parsed.ok_or_else(|| format!("its {name} {value:?} is not a number"))
    };
    let image = field(0, "image")?;
    let found = BoundingBox {
        label: field(1, "finding label")?,
        x: number(2, "box x")?,
        y: number(3, "box y")?,
        width: number(4, "box width")?,
        height: number(5, "box height")?,
    };
    if found.width <= 0.0 || found.height <= 0.0 {
        return Err(format!(
            "its box is {} by {} pixels; both must be above 0",
            found.width, found.height
        ));
    }
    Ok((image, found))
}

fn start(image: &str, line: u64, files: Files<'_>) -> Draft {
    let folder = files.images.trim_end_matches('/');
    let path = if folder.is_empty() {
        image.to_owned()
    } else {
        format!("{folder}/{image}")
    };
    if let Err(message) = crate::columns::check_path(&path) {
        return Draft::invalid(Some(ItemKey::clamped(&path)), line, message);
    }
    let Ok(key) = ItemKey::new(path.as_str()) else {
        return Draft::invalid(None, line, "its path is longer than 1024 bytes");
    };
    let mut item = Item::new(key);
    item.image_id = Some(image.to_owned());
    item.line = Some(line);
    Draft::Wanted(Box::new(Wanted {
        item,
        image: Some(path),
    }))
}

fn add(item: &mut Item, found: BoundingBox) {
    if !item.labels.contains(&found.label) {
        item.labels.push(found.label.clone());
    }
    item.boxes.push(found);
}

/// What users of this dataset expect beside the vector.
fn describe(item: &mut Item, descriptions: &BTreeMap<String, String>) {
    let sentences: Vec<String> = item
        .labels
        .iter()
        .filter_map(|label| Some(descriptions.get(label)?.replace("{label}", label)))
        .collect();
    let corners: Vec<String> = item
        .boxes
        .iter()
        .map(|found| {
            let (right, bottom) = (found.x + found.width, found.y + found.height);
            format!("{:.0},{:.0},{:.0},{:.0}", found.x, found.y, right, bottom)
        })
        .collect();
    if !sentences.is_empty() {
        let text = sentences.join(" ");
        item.attributes.insert("description".into(), text.clone().into());
        item.text = Some(text);
    }
    item.attributes.insert("label_count".into(), item.labels.len().into());
    if let Some(first) = item.labels.first() {
        item.attributes.insert("primary_label".into(), first.clone().into());
    }
    item.attributes.insert("bbox".into(), corners.join(";").into());
}
