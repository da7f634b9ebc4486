//! Many seeds, side by side; what they showed, as JSON; and the mistakes that are seeded on purpose.

use crate::bugs::Bug;
use crate::scenario::simulate;
use crate::world::Shown;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of every run of the tests; `make simulate` takes more.
const SEEDS: u64 = 150;
/// Seeds within which a seeded mistake has to show.
const SEEDS_PER_BUG: u64 = 60;
/// Violations that are printed with their traces.
const PRINTED: usize = 3;

#[expect(
    clippy::disallowed_methods,
    reason = "a person chooses how many seeds there are, and which"
)]
fn chosen(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text:?}: give a number")),
    )
}

/// Simulates seeds on as many threads as there are processors: each has a runtime and a world of its own.
fn all(seeds: std::ops::Range<u64>) -> (BTreeMap<&'static str, u64>, Vec<Shown>, u64) {
    let next = AtomicU64::new(seeds.start);
    let sums = Mutex::new((BTreeMap::new(), Vec::new(), 0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let shown = simulate(seed, None, false);
                    let mut sums = sums.lock().unwrap();
                    for (event, count) in &shown.events {
                        *sums.0.entry(*event).or_default() += count;
                    }
                    sums.2 += shown.steps;
                    if !shown.violations.is_empty() {
                        sums.1.push(shown);
                    }
                }
            });
        }
    });
    sums.into_inner().unwrap()
}

#[test]
fn no_interleaving_loses_an_item_or_counts_one_twice() {
    let first = chosen("SIGHTLINE_TEST_FIRST_SEED").unwrap_or(0);
    let seeds = chosen("SIGHTLINE_TEST_SEEDS").unwrap_or(SEEDS);
    let (events, mut wrong, steps) = all(first..first + seeds);
    wrong.sort_by_key(|shown| shown.seed);
    let report = json!({
        "first_seed": first,
        "seeds": seeds,
        "violations": wrong.iter().map(|shown| shown.violations.len()).sum::<usize>(),
        "seeds_with_violations": wrong.iter().map(|shown| shown.seed).collect::<Vec<u64>>(),
        "steps": steps,
        "events": events,
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/simulation.json");
    std::fs::write(path, format!("{report:#}\n")).unwrap();
    for shown in wrong.iter().take(PRINTED) {
        let again = simulate(shown.seed, None, true);
        eprintln!("{}", again.lines.join("\n"));
        eprintln!("seed {}: {:#?}", shown.seed, shown.violations);
        eprintln!("again: make simulate FIRST_SEED={} SEEDS=1", shown.seed);
    }
    assert!(wrong.is_empty(), "{report:#}");
    for event in [
        "crashes",
        "duplicates",
        "reorderings",
        "delays",
        "changes",
        "lost_sessions",
        "late_effects",
        "engine_deaths",
        "contested_links",
        "mirrored_rows",
        "refused_mirrors",
        "retries",
        "repairs",
        "resumes",
        "refused_too_early",
        "watched_to_the_end",
    ] {
        assert!(
            seeds < SEEDS || events.contains_key(event),
            "nothing of {event}: {report:#}"
        );
    }
}

#[test]
fn a_seed_fixes_everything_that_happens() {
    for seed in 0..6 {
        let (first, second) = (simulate(seed, None, true), simulate(seed, None, true));
        let differs = first.lines.iter().zip(&second.lines).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let from = at.saturating_sub(5);
            panic!(
                "seed {seed} differs at step {at}:\n{:#?}\n{:#?}",
                &first.lines[from..=at],
                &second.lines[from..=at]
            );
        }
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed}");
    }
}

/// The first seed that shows a mistake, and how.
fn caught(bug: Bug, as_what: &str) {
    let mut others = Vec::new();
    for seed in 0..SEEDS_PER_BUG {
        let shown = simulate(seed, Some(bug), false);
        if shown.violations.iter().any(|violation| violation.contains(as_what)) {
            eprintln!("{bug:?} shows with seed {seed}: {}", shown.violations[0]);
            return;
        }
        others.extend(shown.violations);
    }
    panic!("{bug:?} does not show within {SEEDS_PER_BUG} seeds; what showed: {others:#?}");
}

#[test]
fn a_worker_that_acks_before_it_upserts_is_caught() {
    caught(Bug::AckBeforeUpsert, "too early: nobody is asked to work on shard");
}

#[test]
fn a_coordinator_that_acks_before_it_publishes_is_caught() {
    caught(Bug::AckBeforePublish, "too early: nobody is asked to follow link");
}

#[test]
fn a_coordinator_that_lists_a_repeated_link_again_is_caught() {
    caught(Bug::ListAgain, "listed a link again that had a node");
}

#[test]
fn a_worker_that_does_not_look_for_a_result_is_caught() {
    caught(Bug::ResultNotChecked, "worked again on a shard that had a result");
}

#[test]
fn one_key_twice_in_a_batch_is_caught() {
    caught(Bug::OneKeyTwice, "is indexed and has 2 rows");
}

#[test]
fn rows_that_are_deleted_before_every_item_has_ended_are_caught() {
    caught(Bug::MirrorEarly, "not every item of the run has ended");
}

#[test]
fn rows_of_another_dataset_that_a_mirroring_run_deletes_are_caught() {
    caught(Bug::MirrorOthers, "a row of another dataset");
}

/// Where several branches are ready, chance must not decide which goes first: a seed would show something else each
/// time.
#[test]
fn every_select_of_what_is_simulated_says_which_branch_goes_first() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut open: Vec<_> = ["coordinator/src", "worker/src"].map(|folder| root.join(folder)).into();
    let (mut selects, mut unordered) = (0, Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for after in text.split("select! {").skip(1) {
            selects += 1;
            if !after.trim_start().starts_with("biased;") {
                unordered.push(path.display().to_string());
            }
        }
    }
    assert!(selects > 10, "the sources are not where they were");
    assert_eq!(
        unordered,
        Vec::<String>::new(),
        "write `biased;` first, and the branches in their order"
    );
}
