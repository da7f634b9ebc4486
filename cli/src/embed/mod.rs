//! `sightline embed`: vectors of pictures or texts into a file, without any server.

mod decode;
mod input;
mod output;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::models::LoadArgs;
use crate::watch::progress;
use clap::{Args, ValueEnum};
use decode::Decoder;
use indicatif::ProgressBar;
use input::{Content, Inputs, Source};
use output::Output;
use sightline_core::VectorField;
use sightline_core::vector::normalize;
use sightline_models::{LoadedModel, ModelError, TextRole};
use sightline_pictures::DecodeLimits;
use std::path::PathBuf;

/// Embed pictures or texts into a .npy file; no server is needed.
///
/// Rows are in the order of the input. What cannot be embedded has no row: FILE.keys.txt names the rows one by one, and
/// FILE.errors.jsonl holds what failed, with reasons.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 all is embedded; 3 some inputs failed; 1 failure; 2 wrong usage.")]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    source: SourceArgs,
    /// The .npy file to write: one row of f32 an input.
    #[arg(long, value_name = "FILE.npy")]
    out: PathBuf,
    /// As the network gives them, before they are brought to length 1.
    #[arg(long)]
    raw: bool,
    /// Embed texts as what is looked for, not as what is stored: some models put other words before the one than
    /// before the other.
    #[arg(long)]
    query: bool,
    /// Of items that have both: which side is embedded. Pictures where the model embeds pictures, by default.
    #[arg(long, value_name = "SIDE", requires = "items")]
    side: Option<Side>,
    /// Inputs that are computed together.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch_size: u16,
}

/// What is embedded.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// A folder: every picture in it and below, in the order of their paths; or one picture.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// A file with a text a line.
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// A manifest with an item a row (.csv, .jsonl, .parquet); pictures lie beside it.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// The picture.
    Image,
    /// The text.
    Text,
}

/// Embeds.
pub(crate) async fn run(args: &EmbedArgs, console: Console) -> Outcome {
    let model = args.load.load(console).await?;
    let side = args.side(&model)?;
    let field = match side {
        Side::Image => VectorField::Image,
        Side::Text => VectorField::Text,
    };
    let Some(dimension) = model.folder.spaces.get(&field).map(|space| space.dimension) else {
        let what = if side == Side::Image { "pictures" } else { "texts" };
        return Err(CliError::Usage(format!(
            "model {} embeds no {what}: use a model that does",
            model.folder.name
        )));
    };
    let mut inputs = Inputs::open(args.source(side), side == Side::Image).await?;
    let mut output = Output::create(&args.out, dimension)?;
    let bar = console.has_bar().then(progress::bar);
    let embedder = Embedder {
        decoder: model.preprocessor().map(|shared| Decoder {
            preprocessor: (*shared).clone(),
            decode: args.load.compute.decode,
            limits: DecodeLimits::default(),
        }),
        model,
        role: if args.query {
            TextRole::Query
        } else {
            TextRole::Document
        },
        raw: args.raw,
    };
    while let Some(batch) = inputs.next(usize::from(args.batch_size)).await? {
        embedder.embed(batch, &mut output)?;
        if let Some(bar) = &bar {
            tell(bar, &inputs, &output);
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (rows, failed) = output.finish()?;
    console.note(&format!(
        "{rows} rows of {dimension} values are in {}",
        args.out.display()
    ));
    if failed == 0 {
        return Ok(Exit::Success);
    }
    console.note(&format!(
        "{failed} inputs failed: see {}",
        output::errors_file(&args.out).display()
    ));
    Ok(Exit::Partial)
}

fn tell(bar: &ProgressBar, inputs: &Inputs, output: &Output) {
    let done = output.rows() + output.failed();
    bar.set_length(inputs.total().unwrap_or(done));
    bar.set_position(done);
}

impl EmbedArgs {
    fn side(&self, model: &LoadedModel) -> Result<Side, CliError> {
        match (&self.source, self.side) {
            (SourceArgs { images: Some(_), .. }, _) => Ok(Side::Image),
            (SourceArgs { texts: Some(_), .. }, _) => Ok(Side::Text),
            (_, Some(side)) => Ok(side),
            _ if model.folder.image.is_some() => Ok(Side::Image),
            _ => Ok(Side::Text),
        }
    }

    fn source(&self, side: Side) -> Source<'_> {
        match &self.source {
            SourceArgs { images: Some(path), .. } => Source::Images(path),
            SourceArgs { texts: Some(path), .. } => Source::Texts(path),
            SourceArgs { items, .. } => {
                Source::Items(items.as_deref().unwrap_or_else(|| "".as_ref()), side == Side::Image)
            }
        }
    }
}

struct Embedder {
    model: LoadedModel,
    decoder: Option<Decoder>,
    role: TextRole,
    raw: bool,
}

impl Embedder {
    /// Embeds a batch and writes its rows; what fails is written down and costs no other its row.
    fn embed(&self, batch: Vec<input::Input>, output: &mut Output) -> Result<(), CliError> {
        let mut prepared = Vec::with_capacity(batch.len());
        if let Some(decoder) = &self.decoder {
            prepared = decode::all(&batch, decoder);
        }
        let mut prepared = prepared.into_iter();
        let (mut pictures, mut texts, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for input in &batch {
            let picture = prepared.next().flatten();
            kinds.push(match (&input.content, picture) {
                (Content::Picture(_), Some(Ok(picture))) => {
                    pictures.push(picture);
                    Kind::Row
                }
                (Content::Picture(_), Some(Err(reason))) => Kind::Failed(reason),
                (Content::Picture(_), None) => Kind::Failed("the model embeds no pictures".to_owned()),
                (Content::Text(text), _) => {
                    texts.push(text.clone());
                    Kind::Row
                }
                (Content::Failed(reason), _) => Kind::Failed(reason.clone()),
            });
        }
        let mut vectors = self.vectors(&pictures, &texts)?.into_iter();
        for (input, kind) in batch.into_iter().zip(kinds) {
            let outcome = match kind {
                Kind::Row => self.finished(vectors.next()),
                Kind::Failed(reason) => Err(reason),
            };
            output.write(&input.key, outcome)?;
        }
        Ok(())
    }

    /// A batch holds pictures or texts, never both.
    fn vectors(
        &self,
        pictures: &[sightline_pictures::PreparedPicture],
        texts: &[String],
    ) -> Result<Vec<Vec<f32>>, CliError> {
        let failed = |error: ModelError| CliError::Failed(format!("cannot embed: {error}"));
        if pictures.is_empty() {
            if texts.is_empty() {
                return Ok(Vec::new());
            }
            return self.model.raw_texts(texts, self.role).map_err(failed);
        }
        self.model.raw_images(pictures).map_err(failed)
    }

    fn finished(&self, vector: Option<Vec<f32>>) -> Result<Vec<f32>, String> {
        let mut vector = vector.ok_or("the model gave no vector for it")?;
        if !self.raw {
            normalize(&mut vector).map_err(|error| error.to_string())?;
        }
        Ok(vector)
    }
}

enum Kind {
    Row,
    Failed(String),
}
