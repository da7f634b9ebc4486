//! `sightline inspect`: what a picture is, and what a model is shown of it. Asks none of our servers and needs no libtorch.

mod output;
mod report;

use crate::console::{Console, warn};
use crate::error::{CliError, Exit, Outcome};
use crate::hub::HubArgs;
use clap::Args;
use output::Folder;
use report::Report;
use sightline_core::DicomSpec;
use sightline_model_folder::ModelFolder;
use sightline_pictures::{DecodeLimits, Preprocessor, picture};
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "Exit codes: 0 every picture was read; 3 some could not be read; 1 none could. With --out, each \
                          picture NAME (with its ending) becomes NAME.npy, height x width x 3 bytes, upright RGB; with \
                          --model also NAME.pixels.npy, 3 x height x width float32, the network's input; one that \
                          cannot be read becomes NAME.err, which says why. A second picture of the same name becomes \
                          NAME-2.npy.";

/// Files longer than this are no pictures.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// What to look at.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct InspectArgs {
    /// Picture files.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// A model's folder, or hf:ORG/NAME[@REVISION]: shows how it prepares the pictures.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Writes what was decoded and prepared into this folder, as numpy arrays.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Looks at every picture; one that cannot be read does not end it.
pub(crate) async fn run(args: &InspectArgs, console: Console) -> Outcome {
    let preprocessor = match &args.model {
        Some(model) => Some(preprocessor(&args.hub.resolve(model, console).await?)?),
        None => None,
    };
    let mut folder = args.out.as_deref().map(Folder::create).transpose()?;
    let mut failed = 0;
    for image in &args.images {
        let mut report = look(image, preprocessor.as_ref());
        if let Some(folder) = &mut folder {
            folder.write(&mut report)?;
        }
        if let Err(error) = &report.found {
            failed += 1;
            if !console.is_json() {
                warn(&format!("{}: {}", image.display(), error.message));
            }
        }
        if console.is_json() {
            console.json(&report.to_json())?;
        } else if let Some(text) = report.to_text() {
            console.say(&text)?;
        }
    }
    Ok(match failed {
        0 => Exit::Success,
        all if all == args.images.len() => Exit::Failure,
        _ => Exit::Partial,
    })
}

fn preprocessor(folder: &Path) -> Result<Preprocessor, CliError> {
    let spec = ModelFolder::preprocessing(folder)
        .map_err(|error| CliError::Usage(format!("cannot read how the model prepares pictures: {error}")))?;
    Ok(Preprocessor::new(&spec))
}

fn look(image: &Path, preprocessor: Option<&Preprocessor>) -> Report {
    let found = read(image).and_then(|bytes| {
        picture::read(&bytes, &DecodeLimits::default(), &DicomSpec::default()).map_err(|error| report::Problem {
            reason: error.reason().as_str().to_owned(),
            message: error.to_string(),
        })
    });
    Report::new(image, found, preprocessor)
}

fn read(image: &Path) -> Result<Vec<u8>, report::Problem> {
    let unreadable = |error: std::io::Error| report::Problem {
        reason: "unreadable".to_owned(),
        message: format!("cannot read the file: {error}"),
    };
    let length = std::fs::metadata(image).map_err(unreadable)?.len();
    if length > MAX_FILE_BYTES {
        let message =
            format!("the file has {length} bytes, above the limit of {MAX_FILE_BYTES}: no picture is so long");
        return Err(report::Problem {
            reason: "unreadable".to_owned(),
            message,
        });
    }
    std::fs::read(image).map_err(unreadable)
}
