//! The examples among the arguments, in the order in which they were given: a weight belongs to the one before it.

use super::example::{Example, Input, Picture};
use crate::error::CliError;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};
use std::path::PathBuf;

/// All arguments that name an example.
pub(super) const NAMES: [&str; 6] = ["image", "item", "text", "not_image", "not_item", "not_text"];

/// The examples of a search.
#[derive(Debug, Clone, Default)]
pub(super) struct ExampleArgs(Vec<Given>);

/// One example as it was given.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    source: Source,
    weight: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Image(PathBuf),
    Item(String),
    Text(String),
}

#[derive(Debug, Args)]
struct Flags {
    /// A picture to search with; several for "like all of these".
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// An indexed item to search with, by its id.
    #[arg(long, value_name = "ID")]
    item: Vec<String>,
    /// Words to search with.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    text: Vec<String>,
    /// "But not like this picture".
    #[arg(long, value_name = "FILE")]
    not_image: Vec<PathBuf>,
    /// "But not like this item".
    #[arg(long, value_name = "ID")]
    not_item: Vec<String>,
    /// "But not like these words".
    #[arg(long, value_name = "TEXT", value_parser = words)]
    not_text: Vec<String>,
    /// The weight of the example before it, above 0; 1 by default. Weights count beside each other.
    #[arg(long, value_name = "W", allow_negative_numbers = true, value_parser = weight)]
    weight: Vec<f64>,
}

/// Refused here and not by the gateway, which takes an empty text beside a picture for none.
fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is blank: give a text".into()),
        _ => Ok(text.to_owned()),
    }
}

/// Far more than any example can count beside another, and no sum of such overflows.
const MAX_WEIGHT: f64 = 1e6;

fn weight(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(weight) if weight > 0.0 && weight <= MAX_WEIGHT => Ok(weight),
        Ok(weight) if weight < 0.0 => Err("give a number above 0, and --not-image, --not-item or --not-text".into()),
        _ => Err(format!("give a number above 0, at most {MAX_WEIGHT}")),
    }
}

impl Args for ExampleArgs {
    fn augment_args(command: Command) -> Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for ExampleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        let places = |name| matches.indices_of(name).into_iter().flatten().collect::<Vec<usize>>();
        let [image, item, text, not_image, not_item, not_text] = NAMES.map(places);
        let weights = places("weight");
        let flags = Flags::from_arg_matches_mut(matches)?;
        let mut given: Vec<(usize, Given)> = Vec::new();
        let mut add = |places: Vec<usize>, sources: Vec<Source>, sign: f64| {
            let placed = places.into_iter().zip(sources);
            given.extend(placed.map(|(place, source)| (place, Given { source, weight: sign })));
        };
        for (places, pictures, sign) in [(image, flags.image, 1.0), (not_image, flags.not_image, -1.0)] {
            add(places, pictures.into_iter().map(Source::Image).collect(), sign);
        }
        for (places, items, sign) in [(item, flags.item, 1.0), (not_item, flags.not_item, -1.0)] {
            add(places, items.into_iter().map(Source::Item).collect(), sign);
        }
        for (places, texts, sign) in [(text, flags.text, 1.0), (not_text, flags.not_text, -1.0)] {
            add(places, texts.into_iter().map(Source::Text).collect(), sign);
        }
        given.sort_by_key(|(place, _)| *place);
        weigh(&mut given, weights.into_iter().zip(flags.weight))?;
        Ok(Self(given.into_iter().map(|(_, given)| given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Gives each weight to the example before it.
fn weigh(given: &mut [(usize, Given)], weights: impl Iterator<Item = (usize, f64)>) -> Result<(), Error> {
    let mut weighed = None;
    for (place, weight) in weights {
        let before = given.iter_mut().rfind(|(example, _)| *example < place);
        match before {
            Some((example, given)) if weighed != Some(*example) => {
                weighed = Some(*example);
                given.weight *= weight;
            }
            Some(_) => return Err(wrong("two --weight follow one example: give each example at most one")),
            None => {
                return Err(wrong(
                    "--weight stands before every example: put it behind the one that it weighs",
                ));
            }
        }
    }
    Ok(())
}

fn wrong(message: &str) -> Error {
    Error::raw(ErrorKind::ArgumentConflict, message)
}

impl ExampleArgs {
    /// Reads the files.
    pub(super) async fn read(&self) -> Result<Vec<Example>, CliError> {
        let mut examples = Vec::with_capacity(self.0.len());
        for given in &self.0 {
            let input = match &given.source {
                Source::Image(path) => Input::Picture(Picture::read(path).await?),
                Source::Item(id) => Input::Picture(Picture::Item(id.clone())),
                Source::Text(text) => Input::Text(text.clone()),
            };
            examples.push(Example {
                input,
                weight: given.weight,
            });
        }
        Ok(examples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(args: &[&str]) -> Result<Vec<Given>, Error> {
        let command = ExampleArgs::augment_args(Command::new("search").no_binary_name(true));
        let matches = command.try_get_matches_from(args)?;
        Ok(ExampleArgs::from_arg_matches(&matches)?.0)
    }

    fn text(text: &str, weight: f64) -> Given {
        Given {
            source: Source::Text(text.into()),
            weight,
        }
    }

    #[test]
    fn examples_keep_their_order_and_a_weight_belongs_to_the_one_before_it() {
        let args =
            "--text a --image b.png --weight 2 --not-text c --weight=0.5 --item d --not-image e.png --not-item f";
        let given = parse(&args.split(' ').collect::<Vec<_>>()).unwrap();
        let image = |path: &str, weight| Given {
            source: Source::Image(path.into()),
            weight,
        };
        let item = |id: &str, weight| Given {
            source: Source::Item(id.into()),
            weight,
        };
        assert_eq!(
            given,
            [
                text("a", 1.0),
                image("b.png", 2.0),
                text("c", -0.5),
                item("d", 1.0),
                image("e.png", -1.0),
                item("f", -1.0),
            ]
        );
    }

    #[test]
    fn a_weight_that_weighs_nothing_is_refused_with_what_to_do() {
        for (args, told) in [
            ("--weight 2 --text a", "behind the one"),
            ("--text a --weight 2 --weight 3", "at most one"),
            ("--text a --weight 0", "above 0"),
            ("--text a --weight NaN", "above 0"),
            ("--text a --weight inf", "at most 1000000"),
            ("--text a --weight much", "above 0"),
            ("--text a --weight -1", "--not-image, --not-item or --not-text"),
        ] {
            let error = parse(&args.split(' ').collect::<Vec<_>>()).unwrap_err();
            assert!(error.to_string().contains(told), "{args}: {error}");
        }
    }

    #[test]
    fn words_that_are_blank_are_refused_though_a_picture_is_given_too() {
        for flag in ["--text", "--not-text"] {
            for blank in ["", " ", "\n\u{3000}"] {
                let error = parse(&["--image", "a.png", flag, blank]).unwrap_err().to_string();
                assert!(error.contains(flag) && error.contains("blank"), "{error}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_examples_in_any_order_come_back_as_they_were_given(
            given in prop::collection::vec(("[a-z]{1,3}", any::<bool>(), prop::option::of(1_u32..100)), 1..12)
        ) {
            let mut args = Vec::new();
            let mut expected = Vec::new();
            for (words, negative, weight) in &given {
                args.extend([if *negative { "--not-text".to_owned() } else { "--text".to_owned() }, words.clone()]);
                args.extend(weight.iter().flat_map(|weight| ["--weight".to_owned(), weight.to_string()]));
                let size = weight.map_or(1.0, f64::from);
                expected.push(text(words, if *negative { -size } else { size }));
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            prop_assert_eq!(parse(&args).unwrap(), expected);
        }
    }
}
