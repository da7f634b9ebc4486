//! Fills a collection with given vectors, for `make bench-query`: `fill ADDRESS COLLECTION NLIST DIMENSION FIELD=FILE…`.
//!
//! NLIST 0 is FLAT, more is IVF_FLAT. A FILE holds f32, little endian, row after row; a row of zeros is a missing side.
//! Row n has the key `n`, nine digits with zeros before it.

#![expect(clippy::print_stdout, reason = "a program of one measurement says what it did")]

use sightline_core::{
    CollectionDescription, CollectionName, DatasetName, FieldDescription, IndexKind, Item, ItemKey, ModelName, Row,
    RunId, Timestamp, VectorField, VectorSpace,
};
use sightline_index::{OpenOptions, open};
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};

/// Rows that are written at once.
const BATCH: usize = 1000;

struct Side {
    field: VectorField,
    file: BufReader<File>,
}

impl Side {
    fn open(argument: &str) -> Result<Self, Box<dyn Error>> {
        let (name, path) = argument.split_once('=').ok_or("give FIELD=FILE")?;
        let field = VectorField::ALL.into_iter().find(|field| field.as_str() == name);
        Ok(Self {
            field: field.ok_or("give image_embedding or text_embedding")?,
            file: BufReader::new(File::open(path)?),
        })
    }

    /// The next row's vector; none at the end, an empty one for a missing side.
    fn next(&mut self, dimension: usize) -> Result<Option<Vec<f32>>, Box<dyn Error>> {
        let mut bytes = vec![0; dimension * 4];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let values: Vec<f32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        let is_missing = values.iter().all(|value| *value == 0.0);
        Ok(Some(if is_missing { Vec::new() } else { values }))
    }
}

fn description(
    name: &str,
    nlist: u32,
    dimension: u32,
    sides: &[Side],
) -> Result<CollectionDescription, Box<dyn Error>> {
    let model = ModelName::new("bench")?;
    let space = |field: VectorField| VectorSpace {
        model: model.clone(),
        weights: format!("bench {field}"),
        preprocessing: "{}".into(),
        decode: "exact".into(),
        pooling: "none".into(),
        prefix: String::new(),
        dimension,
        normalized: true,
    };
    let fields = sides
        .iter()
        .map(|side| (side.field, FieldDescription::new(space(side.field), Vec::new())));
    Ok(CollectionDescription {
        name: CollectionName::new(name)?,
        fields: fields.collect(),
        index: match nlist {
            0 => IndexKind::Flat,
            nlist => IndexKind::IvfFlat { nlist },
        },
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, name, nlist, dimension, files @ ..] = &arguments[..] else {
        return Err("give ADDRESS COLLECTION NLIST DIMENSION FIELD=FILE…".into());
    };
    let mut sides = files
        .iter()
        .map(|file| Side::open(file))
        .collect::<Result<Vec<_>, _>>()?;
    let dimension: u32 = dimension.parse()?;
    let description = description(name, nlist.parse()?, dimension, &sides)?;
    let index = open(address, &OpenOptions::default()).await?;
    index.drop_collection(&description.name).await?;
    index.create(&description).await?;
    let (dataset, run) = (DatasetName::new("bench")?, RunId::of_request("bench", "fill"));
    let mut batch = Vec::with_capacity(BATCH);
    let mut count = 0_usize;
    'rows: loop {
        let item = Item::new(ItemKey::new(format!("{count:09}"))?);
        let mut row = Row::of_item(&item, &dataset, "bench", &run, count.to_string(), Timestamp(0))?;
        row.uid = format!("patient-{}", count / 5);
        for side in &mut sides {
            let Some(vector) = side.next(dimension as usize)? else {
                break 'rows;
            };
            let vector = Some(vector).filter(|vector| !vector.is_empty());
            match side.field {
                VectorField::Image => row.image_embedding = vector,
                VectorField::Text => row.text_embedding = vector,
            }
        }
        batch.push(row);
        count += 1;
        if batch.len() == BATCH {
            index.upsert(&description.name, &batch).await?;
            batch.clear();
        }
    }
    index.upsert(&description.name, &batch).await?;
    println!("{count} rows");
    Ok(())
}
