//! The command that imports what was exported.

use super::{ExportArgs, Layout};
use crate::text::plain;
use sightline_proto::v1;

/// For a shell. The collection that the items go to is the reader's choice.
pub(super) fn command(args: &ExportArgs, fields: &[&str], of: &[v1::collection::Field], dataset: &str) -> String {
    let root = quoted(&args.to.to_string_lossy());
    let vectors = match (args.layout, fields) {
        (Layout::ClipRetrieval, ["image_embedding"]) => "--clip-retrieval . --fields image".to_owned(),
        (Layout::ClipRetrieval, ["text_embedding"]) => "--clip-retrieval . --fields text".to_owned(),
        (Layout::ClipRetrieval, _) => "--clip-retrieval .".to_owned(),
        (Layout::Parquet, fields) => {
            let column = |field: &&str| format!(" --{} {field}", field.replace("_embedding", "-column"));
            format!("--table .{}", fields.iter().map(column).collect::<String>())
        }
    };
    // Vectors of which no model is declared are searched by item and by vector only.
    let mut declared = Vec::new();
    for field in of.iter().filter(|field| fields.contains(&field.field.as_str())) {
        if declared.is_empty() {
            declared.push(format!(" --model {}", quoted(&plain(&field.model))));
        }
        let side = field.field.replace("_embedding", "");
        declared.push(format!(" --fingerprint {side}={}", quoted(&plain(&field.fingerprint))));
    }
    format!(
        "sightline import --root={root} {vectors}{} --dataset {} --collection NAME",
        declared.concat(),
        quoted(dataset)
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: ExportArgs,
    }

    #[test]
    fn a_command_names_the_sides_that_were_written_and_quotes_what_a_shell_would_take_apart() {
        let parse = |more: &[&str]| {
            let usual = ["export", "m", "--to"];
            Program::try_parse_from(usual.iter().chain(more)).unwrap().args
        };
        let both = ["image_embedding", "text_embedding"];
        let of = both.map(|field| v1::collection::Field {
            field: field.into(),
            model: "my model".into(),
            fingerprint: "ab".into(),
            ..v1::collection::Field::default()
        });
        let images = "--model 'my model' --fingerprint image=ab";
        assert_eq!(
            command(&parse(&["out"]), &both, &of, "iu"),
            format!(
                "sightline import --root=out --clip-retrieval . {images} --fingerprint text=ab --dataset iu --collection NAME"
            )
        );
        assert_eq!(
            command(&parse(&["my out"]), &both[..1], &of, "it's"),
            format!(
                r"sightline import --root='my out' --clip-retrieval . --fields image {images} --dataset 'it'\''s' --collection NAME"
            )
        );
        assert_eq!(
            command(&parse(&["out", "--layout", "parquet"]), &both, &[], "iu"),
            "sightline import --root=out --table . --image-column image_embedding --text-column text_embedding --dataset iu \
             --collection NAME"
        );
        assert_eq!(
            command(&parse(&["out", "--layout", "parquet"]), &both[1..], &[], "iu"),
            "sightline import --root=out --table . --text-column text_embedding --dataset iu --collection NAME"
        );
    }
}
