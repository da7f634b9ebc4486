//! Which rows of a collection have one picture: a part of all hashes at a time, so that memory holds the ids of one part.

use crate::error::GatewayError;
use sightline_core::filter::{Comparison, Field, Filter, Literal, TextField};
use sightline_core::{CollectionName, DatasetName, RowId};
use sightline_index::{Projection, VectorIndex};

/// Rows of a page of a scan.
const PAGE_ROWS: usize = 1000;
/// Rows of which hash and id are in memory at a time, about: 64 MiB.
const PART_ROWS: u64 = 2_000_000;

/// Where duplicates are looked for.
pub(super) struct Finding<'a> {
    pub(super) index: &'a dyn VectorIndex,
    pub(super) collection: &'a CollectionName,
    pub(super) dataset: Option<&'a DatasetName>,
}

/// In how many parts so many rows are compared.
pub(super) fn parts(rows: u64) -> u64 {
    rows.div_ceil(PART_ROWS).max(1)
}

impl Finding<'_> {
    /// Rows with a picture.
    pub(super) async fn rows(&self) -> Result<u64, GatewayError> {
        Ok(self.index.count(self.collection, Some(&self.filter(0, 1))).await?)
    }

    /// How many rows a part has, and the ids of those that share a picture.
    pub(super) async fn same_pictures(&self, part: u64, parts: u64) -> Result<(u64, Vec<Vec<RowId>>), GatewayError> {
        let filter = self.filter(part, parts);
        let mut pictures: Vec<(u128, u128)> = Vec::new();
        let mut after: Option<RowId> = None;
        loop {
            let page = self.index.scan(
                self.collection,
                Some(&filter),
                after.as_ref(),
                PAGE_ROWS,
                Projection::Metadata,
            );
            let page = page.await?;
            let number = |digits: &str| {
                digits
                    .get(..32)
                    .and_then(|digits| u128::from_str_radix(digits, 16).ok())
            };
            let both = page
                .iter()
                .filter_map(|row| Some((number(&row.content_hash)?, number(row.id.as_str())?)));
            pictures.extend(both);
            if page.len() < PAGE_ROWS {
                break;
            }
            after = page.last().map(|row| row.id.clone());
        }
        pictures.sort_unstable();
        let same = pictures.chunk_by(|one, other| one.0 == other.0);
        let ids = |same: &[(u128, u128)]| {
            let id = |(_, id): &(u128, u128)| RowId::new(format!("{id:032x}")).ok();
            same.iter().filter_map(id).collect()
        };
        let several = same.filter(|same| same.len() > 1).map(ids).collect();
        Ok((pictures.len() as u64, several))
    }

    /// Rows with a picture of which the hash is in a part of all hashes.
    fn filter(&self, part: u64, parts: u64) -> Filter {
        let hash = |op, value: String| Filter::Compare {
            field: Field::Text(TextField::ContentHash),
            op,
            value: Literal::Text(value),
        };
        let mut all = vec![hash(Comparison::NotEqual, String::new())];
        let border = |at: u64| format!("{:08x}", (at << 32) / parts.max(1));
        if part > 0 {
            all.push(hash(Comparison::GreaterOrEqual, border(part)));
        }
        if part + 1 < parts {
            all.push(hash(Comparison::Less, border(part + 1)));
        }
        if let Some(dataset) = self.dataset {
            all.push(Filter::Compare {
                field: Field::Text(TextField::Dataset),
                op: Comparison::Equal,
                value: Literal::Text(dataset.to_string()),
            });
        }
        match all.len() {
            1 => all.remove(0),
            _ => Filter::And(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sightline_core::digest::sha256_hex;
    use sightline_core::{Item, ItemKey, Row, RunId, Timestamp};

    #[tokio::test]
    async fn parts_of_all_hashes_leave_no_picture_out_and_count_none_twice() {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("sqlite:{}", folder.path().join("i.db").display());
        let index = sightline_index::open(&address, &sightline_index::OpenOptions::default())
            .await
            .unwrap();
        let dataset = DatasetName::new("d").unwrap();
        let collection = CollectionName::new("c").unwrap();
        let rows: Vec<Row> = (0..40)
            .map(|at: u32| {
                let item = Item::new(ItemKey::new(at.to_string()).unwrap());
                let run = RunId::of_request("a", "b");
                let mut row = Row::of_item(&item, &dataset, "s3://b", &run, "d".into(), Timestamp(1)).unwrap();
                row.content_hash = sha256_hex(&(at / 2).to_le_bytes());
                row
            })
            .collect();
        let description = sightline_core::CollectionDescription {
            name: collection.clone(),
            fields: Default::default(),
            index: sightline_core::IndexKind::Flat,
        };
        index.create(&description).await.unwrap();
        index.upsert(&collection, &rows).await.unwrap();
        let finding = Finding {
            index: index.as_ref(),
            collection: &collection,
            dataset: None,
        };
        for parts in [1, 2, 3, 16] {
            let (mut looked_at, mut groups) = (0, 0);
            for part in 0..parts {
                let (rows, same) = finding.same_pictures(part, parts).await.unwrap();
                looked_at += rows;
                groups += same.len();
                assert!(same.iter().all(|ids| ids.len() == 2));
            }
            assert_eq!((looked_at, groups), (40, 20), "{parts}");
        }
    }
}
