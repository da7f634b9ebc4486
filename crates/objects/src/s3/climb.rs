//! Going on with a listing from the middle.
//!
//! Servers that keep objects in directories may give less than there is when a listing starts in the middle. MinIO
//! does: told to start after `train/0999.jpg`, it counts the objects of `train-extra/` and `train.old/`, whose names
//! sort behind `train` and before `train/`, towards the page that it then filters them out of, and gives a short or an
//! empty page as the last one. It is right within one directory, and where the start is no directory's name. So
//! a listing goes on with questions of these two kinds, level by level upwards from the start. While one directory fills
//! the page that is one request, as ever; its end costs two more a level.

/// A question that even such a server answers right.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The keys with a prefix after a start.
    After {
        /// What they start with.
        prefix: String,
        /// Not this one, and none before it.
        start: String,
    },
    /// One key, if it is there.
    Exactly(String),
}

/// What gives, in order, all keys that start with `prefix` and come after `last`.
pub(super) fn steps(prefix: &str, last: &str, fold: bool) -> Vec<Step> {
    let base = prefix.rfind('/').map_or(0, |slash| slash + 1);
    let slashes: Vec<usize> = last
        .match_indices('/')
        .map(|(at, _)| at)
        .filter(|at| *at >= base)
        .collect();
    let mut steps = Vec::new();
    // What is folded lies on one level.
    if let Some(deepest) = slashes.last().filter(|_| !fold) {
        steps.push(Step::After {
            prefix: last[..=*deepest].to_owned(),
            start: last.to_owned(),
        });
    }
    for (at, slash) in slashes.iter().enumerate().rev() {
        // `0` is the character after `/`: nothing lies between the keys below a directory and this.
        let start = format!("{}0", &last[..*slash]);
        let prefix = match at.checked_sub(1) {
            Some(above) => last[..=slashes[above]].to_owned(),
            None => prefix.to_owned(),
        };
        steps.push(Step::Exactly(start.clone()));
        steps.push(Step::After { prefix, start });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::prop;
    use std::collections::BTreeSet;

    proptest::proptest! {
        #[test]
        fn the_steps_together_give_every_later_key_once_and_in_order(
            keys in prop::collection::btree_set("[-./0a]{1,6}", 0..40),
            pick in 0..40_usize,
            cut in 0..6_usize,
        ) {
            let Some(last) = keys.iter().nth(pick) else { return Ok(()) };
            let prefix = &last[..cut.min(last.len())];
            let expected: Vec<&String> = keys.iter().filter(|key| key.starts_with(prefix) && *key > last).collect();
            let mut found = Vec::new();
            if steps(prefix, last, false).is_empty() {
                // Within one directory the first answer was right.
                return Ok(());
            }
            for step in steps(prefix, last, false) {
                match step {
                    Step::After { prefix, start } => {
                        found.extend(keys.iter().filter(|key| key.starts_with(&prefix) && **key > start));
                    }
                    Step::Exactly(key) => found.extend(keys.get(&key)),
                }
            }
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_folded_listing_is_asked_for_behind_the_last_folder_only() {
        let found: BTreeSet<String> = steps("x/", "x/a/\u{10FFFF}", true)
            .into_iter()
            .map(|step| format!("{step:?}"))
            .collect();
        let expected = [
            r#"After { prefix: "x/", start: "x/a0" }"#.to_owned(),
            r#"Exactly("x/a0")"#.to_owned(),
        ];
        assert_eq!(found, BTreeSet::from(expected));
    }
}
