//! The dataset of a run from the arguments.

use crate::error::CliError;
use clap::{Args, ValueEnum};
use sightline_proto::v1;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use url::Url;

/// Where items come from. Without `--manifest`, `--nih-boxes` and `--webdataset`: every picture below the root.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dataset")]
pub(crate) struct DatasetArgs {
    /// Where the objects lie: s3://bucket/prefix, or a folder where the server allows it.
    #[arg(long, value_name = "URL|DIR")]
    pub(crate) root: String,
    /// The dataset's name, a part of every row's key; the root's last part by default.
    #[arg(long = "dataset", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// A table with a row an item, below the root: .csv, .jsonl or .parquet.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["nih_boxes", "images", "descriptions"])]
    pub(crate) manifest: Option<String>,
    /// Which column of the table means what: `image=path,text=report,labels=findings,attributes=age;sex`. Known are
    /// key, image, text, image_id, uid, labels and attributes.
    #[arg(long, value_name = "MEANING=COLUMN,…", requires = "manifest")]
    pub(crate) columns: Option<String>,
    /// NIH ChestX-ray14: the path of BBox_List_2017.csv below the root.
    #[arg(long, value_name = "PATH")]
    pub(crate) nih_boxes: Option<String>,
    /// The folder of the pictures below the root; the root itself by default.
    #[arg(long, value_name = "DIR", requires = "nih_boxes")]
    pub(crate) images: Option<String>,
    /// A file with a description for each label: a TOML or JSON table of texts, in which {label} stands for the label.
    #[arg(long, value_name = "FILE", requires = "nih_boxes")]
    pub(crate) descriptions: Option<PathBuf>,
    /// WebDataset: the tars whose keys below the root start with this, `train/` or `train/0000` say; `.` for all.
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["manifest", "nih_boxes"])]
    pub(crate) webdataset: Option<String>,
    /// Tags of DICOM files that become attributes: usual (all that identify nobody; the default), technical, none, and
    /// keywords such as PatientID.
    #[arg(long, value_name = "TAG,…", value_delimiter = ',')]
    pub(crate) dicom_tags: Vec<String>,
    /// Which frame of a DICOM file with several is the picture; with reject such an item fails. The first by default.
    #[arg(long, value_name = "FRAME")]
    pub(crate) dicom_frame: Option<FrameArg>,
}

/// Which frame of several is the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FrameArg {
    /// The first.
    First,
    /// The one in the middle.
    Middle,
    /// None: the item fails.
    Reject,
}

impl DatasetArgs {
    /// The dataset as the API has it.
    pub(crate) fn to_api(&self) -> Result<v1::Dataset, CliError> {
        let root = root_url(&self.root)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => name_of(&root)?,
        };
        Ok(v1::Dataset {
            name,
            source: Some(self.source(&root)?),
            dicom: self.dicom(),
            root,
        })
    }

    fn dicom(&self) -> Option<v1::dataset::Dicom> {
        use v1::dataset::dicom::Frame;
        let frame = match self.dicom_frame {
            None if self.dicom_tags.is_empty() => return None,
            None | Some(FrameArg::First) => Frame::First,
            Some(FrameArg::Middle) => Frame::Middle,
            Some(FrameArg::Reject) => Frame::Reject,
        };
        Some(v1::dataset::Dicom {
            tags: self.dicom_tags.iter().map(|tag| tag.trim().to_owned()).collect(),
            frame: frame.into(),
        })
    }

    fn source(&self, root: &str) -> Result<v1::dataset::Source, CliError> {
        use v1::dataset::Source;
        if let Some(boxes) = &self.nih_boxes {
            let descriptions = self.descriptions.as_deref().map(read_descriptions).transpose()?;
            return Ok(Source::NihBoxes(v1::NihBoxesSource {
                boxes: below(root, boxes, "--nih-boxes")?,
                images: self
                    .images
                    .as_deref()
                    .map(|dir| below(root, dir, "--images"))
                    .transpose()?
                    .unwrap_or_default(),
                descriptions: descriptions.unwrap_or_default(),
            }));
        }
        if let Some(prefix) = &self.webdataset {
            let below = prefix.strip_prefix("./").unwrap_or(prefix);
            let prefix = if below == "." { "" } else { below }.to_owned();
            return Ok(Source::Webdataset(v1::WebdatasetSource { prefix }));
        }
        let Some(manifest) = &self.manifest else {
            return Ok(Source::Prefix(v1::PrefixSource {}));
        };
        Ok(Source::Manifest(v1::ManifestSource {
            path: below(root, manifest, "--manifest")?,
            columns: self.columns.as_deref().map(columns).transpose()?,
            ..v1::ManifestSource::default()
        }))
    }
}

/// The URL of a root: a folder becomes the `file:` URL of its absolute path.
pub(crate) fn root_url(root: &str) -> Result<String, CliError> {
    if root.contains("://") {
        let trimmed = root.trim_end_matches('/');
        return Ok(if trimmed.ends_with(':') {
            root.to_owned()
        } else {
            trimmed.to_owned()
        });
    }
    let wrong = |why: &str| CliError::Usage(format!("cannot read --root {root:?}: {why}"));
    let path = Path::new(root)
        .canonicalize()
        .map_err(|error| wrong(&error.to_string()))?;
    if !path.is_dir() {
        return Err(wrong(
            "it is no folder; name the folder that the pictures lie in, or s3://bucket/prefix",
        ));
    }
    Ok(Url::from_file_path(&path)
        .map_err(|()| wrong("it has no URL"))?
        .to_string())
}

/// The root's last part, as far as a name can hold it.
pub(crate) fn name_of(root: &str) -> Result<String, CliError> {
    let path = Url::parse(root).ok().and_then(|url| url.to_file_path().ok());
    let last = match path.as_deref().and_then(Path::file_name) {
        Some(folder) => folder.to_string_lossy().into_owned(),
        None => root
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or_default()
            .to_owned(),
    };
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = last.chars().map(fit).take(63).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() || root.ends_with("://") {
        return Err(CliError::Usage(format!(
            "cannot make a dataset's name of {root:?}: give one with --dataset"
        )));
    }
    Ok(name.to_owned())
}

/// A path below the root. A person may also name a local file by its path from here.
pub(crate) fn below(root: &str, path: &str, flag: &str) -> Result<String, CliError> {
    let folder = Url::parse(root)
        .ok()
        .filter(|url| url.scheme() == "file")
        .and_then(|url| url.to_file_path().ok());
    let Some(folder) = folder else {
        return Ok(path.to_owned());
    };
    if Path::new(path).is_relative() && folder.join(path).exists() {
        return Ok(path.to_owned());
    }
    let wrong = |why: String| CliError::Usage(format!("cannot use {flag} {path:?}: {why}"));
    let found = Path::new(path).canonicalize();
    let found = found.map_err(|error| wrong(format!("{error}; it has to lie below {}", folder.display())))?;
    let inner = found.strip_prefix(&folder).ok().and_then(Path::to_str);
    inner
        .map(str::to_owned)
        .ok_or_else(|| wrong(format!("it does not lie below the root {}", folder.display())))
}

/// Reads `image=path,text=report,attributes=a;b`.
pub(crate) fn columns(text: &str) -> Result<v1::manifest_source::Columns, CliError> {
    let wrong = |why: String| CliError::Usage(format!("cannot use --columns {text:?}: {why}"));
    let mut columns = v1::manifest_source::Columns::default();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (meaning, column) = pair
            .split_once('=')
            .ok_or_else(|| wrong(format!("{pair:?} is not MEANING=COLUMN")))?;
        let column = column.trim().to_owned();
        let place = match meaning.trim() {
            "key" => &mut columns.key,
            "image" => &mut columns.image,
            "text" => &mut columns.text,
            "image_id" => &mut columns.image_id,
            "uid" => &mut columns.uid,
            "labels" => &mut columns.labels,
            "attributes" => {
                columns
                    .attributes
                    .extend(column.split(';').map(|name| name.trim().to_owned()));
                continue;
            }
            other => {
                let known = "key, image, text, image_id, uid, labels, attributes";
                return Err(wrong(format!("{other:?} is none of {known}")));
            }
        };
        if !std::mem::replace(place, column).is_empty() {
            return Err(wrong(format!("{:?} is given twice", meaning.trim())));
        }
    }
    Ok(columns)
}

/// Label → description, from a table of texts.
fn read_descriptions(path: &Path) -> Result<HashMap<String, String>, CliError> {
    let wrong = |why: String| CliError::Usage(format!("cannot read --descriptions {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let is_json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let read: Result<HashMap<String, String>, String> = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.message().to_owned())
    };
    read.map_err(|error| {
        wrong(format!(
            "{error}; it has to be a table of texts: \"Mass\" = \"A mass in the lung.\""
        ))
    })
}

#[cfg(test)]
mod tests;
