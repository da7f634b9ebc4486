//! `sightline collections export`: a collection's items as files.

mod again;
mod dataset;
mod table;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::servers::Servers;
use crate::text::{items, plain, resource};
use clap::{Args, ValueEnum};
use sightline_npy::NpyWriter;
use sightline_proto::v1;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use table::Table;

/// The vector fields and the folders that clip-retrieval has for them.
const SIDES: [(&str, &str); 2] = [("image_embedding", "img_emb"), ("text_embedding", "text_emb")];

/// How the files are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// `metadata/metadata_N.parquet`, `img_emb/img_emb_N.npy`, `text_emb/text_emb_N.npy`: a row of zeros is a missing side.
    ClipRetrieval,
    /// `items_N.parquet`, with the vectors as columns `image_embedding` and `text_embedding`.
    Parquet,
}

/// Write a collection's items into files, which `sightline import` reads. They have to be of one dataset, since that is what
/// they are imported as.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Its name.
    collection: String,
    /// The folder that the files go to; it must not be there, or be empty.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// How the files are laid out.
    #[arg(long, value_enum, default_value_t = Layout::ClipRetrieval)]
    layout: Layout,
    /// Only items for which this holds: `labels:"Cardiomegaly" AND attributes.age > 60`.
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// Items in a file.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    part_items: u64,
}

/// Does it.
pub(crate) async fn run(args: &ExportArgs, servers: &Servers, console: Console) -> Outcome {
    let mut client = servers.search().await?;
    let name = resource("collections", &args.collection);
    let described = client
        .get_collection(v1::GetCollectionRequest { name: name.clone() })
        .await;
    let described = described
        .map_err(|status| CliError::call("read the collection", &status))?
        .into_inner();
    let of = dataset::only_one(&mut client, &name, &args.filter).await?;
    let mut folder = Folder::new(args, &described)?;
    let mut fields: Vec<String> = FIELDS.iter().map(|name| (*name).to_owned()).collect();
    fields.extend(folder.sides.iter().map(|side| side.field.to_owned()));
    let request = v1::ExportItemsRequest {
        parent: name.clone(),
        filter: args.filter.clone(),
        fields,
    };
    let failed = |status: tonic::Status| CliError::call("export the collection", &status);
    let mut stream = client.export_items(request).await.map_err(failed)?.into_inner();
    while let Some(message) = stream.message().await.map_err(failed)? {
        for item in message.items {
            // Rows that were written since are of another, too.
            if let Some(one) = of.as_ref().filter(|one| **one != item.dataset) {
                return Err(dataset::several(&name, &args.filter, one, &item.dataset));
            }
            folder.push(item)?;
        }
    }
    let written: Vec<&str> = folder.sides.iter().map(|side| side.field).collect();
    let (count, parts) = folder.finish()?;
    if console.is_json() {
        console.json(&serde_json::json!({ "items": count, "dataset": of, "parts": parts, "folder": args.to }))?;
    } else {
        let count = items(i64::try_from(count).unwrap_or(i64::MAX));
        let again = of
            .as_ref()
            .map(|of| again::command(args, &written, &described.fields, &plain(of)));
        let of = of.map(|of| format!(" of dataset {}", plain(&of))).unwrap_or_default();
        let to = args.to.display();
        console.say(&match (args.layout, parts) {
            (Layout::Parquet, 2..) => format!("exported {count}{of} to {to}, in {parts} files"),
            _ => format!("exported {count}{of} to {to}"),
        })?;
        if let Some(again) = again {
            console.note(&format!("import it with `{again}`"));
        }
    }
    Ok(Exit::Success)
}

/// What is asked for beside the vectors.
const FIELDS: [&str; 11] = [
    "id",
    "key",
    "dataset",
    "image_id",
    "uid",
    "image_path",
    "report_text",
    "labels",
    "boxes",
    "attributes",
    "content_hash",
];

/// One vector field of the collection.
#[derive(Debug, Clone, Copy)]
struct Side {
    field: &'static str,
    folder: &'static str,
    dimension: usize,
}

/// The files of one part.
struct Part {
    table: Table,
    arrays: Vec<NpyWriter<BufWriter<File>, f32>>,
    items: u64,
}

struct Folder<'a> {
    root: &'a Path,
    layout: Layout,
    part_items: u64,
    sides: Vec<Side>,
    part: Option<Part>,
    parts: u64,
    items: u64,
}

fn cannot(what: &Path) -> impl Fn(&dyn std::fmt::Display) -> CliError + '_ {
    move |error| CliError::Failed(format!("cannot write {}: {error}", what.display()))
}

impl<'a> Folder<'a> {
    fn new(args: &'a ExportArgs, collection: &v1::Collection) -> Result<Self, CliError> {
        let root = args.to.as_path();
        std::fs::create_dir_all(root).map_err(|error| cannot(root)(&error))?;
        let mut there = std::fs::read_dir(root).map_err(|error| cannot(root)(&error))?;
        if there.next().is_some() {
            let message = format!(
                "cannot export to {}: it is not empty; name another folder",
                root.display()
            );
            return Err(CliError::Usage(message));
        }
        let side = |(field, folder): (&'static str, &'static str)| {
            let found = collection.fields.iter().find(|found| found.field == field)?;
            let dimension = usize::try_from(found.dimension).ok()?;
            Some(Side {
                field,
                folder,
                dimension,
            })
        };
        Ok(Self {
            root,
            layout: args.layout,
            part_items: args.part_items,
            sides: SIDES.into_iter().filter_map(side).collect(),
            part: None,
            parts: 0,
            items: 0,
        })
    }

    fn push(&mut self, mut item: v1::Item) -> Result<(), CliError> {
        let mut part = match self.part.take() {
            Some(part) => part,
            None => self.open()?,
        };
        for (side, array) in self.sides.iter().zip(&mut part.arrays) {
            let vector = match side.field {
                "image_embedding" => item.image_embedding.take(),
                _ => item.text_embedding.take(),
            };
            let values = vector.map_or_else(|| vec![0.0; side.dimension], |vector| vector.values);
            array.push(&values).map_err(|error| cannot(self.root)(&error))?;
        }
        part.table.push(item).map_err(|error| cannot(self.root)(&error))?;
        part.items += 1;
        self.items += 1;
        if part.items >= self.part_items {
            self.close(part)
        } else {
            self.part = Some(part);
            Ok(())
        }
    }

    fn create(&self, path: &str) -> Result<File, CliError> {
        let path = self.root.join(path);
        let folder = path.parent().unwrap_or(self.root);
        std::fs::create_dir_all(folder)
            .and_then(|()| File::create_new(&path))
            .map_err(|error| cannot(&path)(&error))
    }

    fn open(&self) -> Result<Part, CliError> {
        let number = self.parts;
        let fail = |error: &dyn std::fmt::Display| cannot(self.root)(error);
        let (table, arrays) = match self.layout {
            Layout::Parquet => {
                let file = self.create(&format!("items_{number}.parquet"))?;
                let columns = self.sides.iter().map(|side| side.field).collect();
                (Table::new(file, columns).map_err(|error| fail(&error))?, Vec::new())
            }
            Layout::ClipRetrieval => {
                let file = self.create(&format!("metadata/metadata_{number}.parquet"))?;
                let mut arrays = Vec::new();
                for side in &self.sides {
                    let file = self.create(&format!("{0}/{0}_{number}.npy", side.folder))?;
                    let array = NpyWriter::new(BufWriter::new(file), &[side.dimension]);
                    arrays.push(array.map_err(|error| fail(&error))?);
                }
                (Table::new(file, Vec::new()).map_err(|error| fail(&error))?, arrays)
            }
        };
        Ok(Part {
            table,
            arrays,
            items: 0,
        })
    }

    fn close(&mut self, part: Part) -> Result<(), CliError> {
        part.table.finish().map_err(|error| cannot(self.root)(&error))?;
        for array in part.arrays {
            let file = array.finish().map_err(|error| cannot(self.root)(&error))?;
            let file = file.into_inner().map_err(|error| cannot(self.root)(&error))?;
            file.sync_all().map_err(|error| cannot(self.root)(&error))?;
        }
        self.parts += 1;
        Ok(())
    }

    /// How many items were written, in how many parts.
    fn finish(mut self) -> Result<(u64, u64), CliError> {
        if let Some(part) = self.part.take() {
            self.close(part)?;
        }
        Ok((self.items, self.parts))
    }
}
