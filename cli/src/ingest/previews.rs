//! The previews of a run from the arguments.

use clap::{Args, ValueEnum};
use sightline_proto::v1::run_spec::{Previews, previews::Format};
use std::str::FromStr;

/// Small copies of the pictures; none without `--previews`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Previews")]
pub(crate) struct PreviewArgs {
    /// Write each picture once more, at most so large (960x540 by default), and say with its hits where.
    #[arg(long, value_name = "WIDTHxHEIGHT", num_args = 0..=1, default_missing_value = "960x540")]
    previews: Option<Size>,
    /// How previews are written; JPEG by default.
    #[arg(long, value_name = "FORMAT", requires = "previews")]
    preview_format: Option<FormatArg>,
    /// Quality of the JPEGs, 1 to 100; 85 by default.
    #[arg(long, value_name = "N", requires = "previews", value_parser = clap::value_parser!(i32).range(1..=100))]
    preview_quality: Option<i32>,
    /// Where the previews go: s3://bucket/prefix; beside the state of the runs by default.
    #[arg(long, value_name = "URL", requires = "previews")]
    previews_root: Option<String>,
}

/// A format that browsers show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// JPEG.
    Jpeg,
    /// PNG: lossless.
    Png,
}

/// `960x540`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    width: i32,
    height: i32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |side: &str| side.parse::<i32>().ok().filter(|side| *side > 0);
        let sides = text
            .split_once('x')
            .and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides.ok_or_else(|| format!("{text:?} is no size: write 960x540"))?;
        Ok(Self { width, height })
    }
}

impl PreviewArgs {
    /// The previews as the API has them.
    pub(crate) fn to_api(&self) -> Option<Previews> {
        let size = self.previews?;
        let format = match self.preview_format {
            None | Some(FormatArg::Jpeg) => Format::Jpeg,
            Some(FormatArg::Png) => Format::Png,
        };
        Some(Previews {
            width: size.width,
            height: size.height,
            format: format.into(),
            quality: self.preview_quality.unwrap_or_default(),
            root: self.previews_root.clone().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        previews: PreviewArgs,
        #[arg(long)]
        other: bool,
    }

    fn parse(arguments: &[&str]) -> Result<Option<Previews>, String> {
        let all = std::iter::once(&"program").chain(arguments);
        let program = Program::try_parse_from(all).map_err(|error| error.to_string())?;
        Ok(program.previews.to_api())
    }

    #[test]
    fn previews_are_off_until_they_are_asked_for_and_then_of_the_usual_size() {
        assert_eq!(parse(&["--other"]), Ok(None));
        let usual = parse(&["--previews", "--other"]).unwrap().unwrap();
        assert_eq!((usual.width, usual.height, usual.quality), (960, 540, 0));
        let own = parse(&[
            "--previews",
            "640x360",
            "--preview-format",
            "png",
            "--previews-root",
            "s3://pages",
        ]);
        let own = own.unwrap().unwrap();
        assert_eq!((own.width, own.height, own.format()), (640, 360, Format::Png));
        assert_eq!(own.root, "s3://pages");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            &["--previews", "640"] as &[&str],
            &["--previews", "0x5"],
            &["--preview-quality", "85"],
            &["--previews", "--preview-quality", "101"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
