use super::*;
use proptest::prelude::*;
use sightline_index::ScoredId;

/// Parts of a row in two legs.
type Sides = [Option<f64>; 2];

fn id(number: usize) -> RowId {
    RowId::new(format!("{number:032x}")).unwrap()
}

/// What an index answers: the rows with that side, by falling score in f32, then id.
fn list(rows: &[Sides], leg: usize, depth: usize, exact: bool) -> FieldHits {
    let mut hits: Vec<ScoredId> = rows
        .iter()
        .enumerate()
        .filter_map(|(number, sides)| {
            #[expect(clippy::cast_possible_truncation, reason = "as an index rounds")]
            let score = sides[leg]? as f32;
            Some(ScoredId { id: id(number), score })
        })
        .collect();
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.id.cmp(&b.id)));
    hits.truncate(depth);
    FieldHits {
        settled: hits.len(),
        hits,
        exact,
    }
}

fn run(mut fusion: Fusion, legs: usize, rows: &[Sides], exact: bool) -> (Vec<Fused>, Proof, usize) {
    let mut read = 0;
    loop {
        for leg in 0..legs {
            if fusion.is_open(leg) {
                let list = list(rows, leg, fusion.depth(), exact);
                fusion.take_list(leg, &list);
            }
        }
        loop {
            let ids = fusion.unscored(7);
            if ids.is_empty() {
                break;
            }
            read += ids.len();
            for id in ids {
                let number = usize::from_str_radix(id.as_str(), 16).unwrap();
                fusion.take_parts(&id, Some(rows[number][..legs].to_vec()));
            }
        }
        if !fusion.deepen() {
            let (rows, proof) = fusion.finish();
            return (rows, proof, read);
        }
    }
}

fn brute_force(rows: &[Sides], weights: &[f64]) -> Vec<(f64, RowId)> {
    let mut all: Vec<(f64, RowId)> = rows
        .iter()
        .enumerate()
        .filter(|(_, sides)| sides[..weights.len()].iter().any(Option::is_some))
        .map(|(number, sides)| {
            let terms = sides.iter().zip(weights);
            (
                terms
                    .filter_map(|(side, weight)| side.map(|side| side * weight))
                    .sum::<f64>()
                    + 0.0,
                id(number),
            )
        })
        .collect();
    all.sort_by(by_score);
    all
}

#[test]
fn a_candidate_that_one_approximate_list_overlooked_is_read_and_ranked() {
    let rows: Vec<Sides> = vec![[Some(0.62), Some(0.62)], [Some(0.6), Some(0.9)], [Some(0.5), Some(0.4)]];
    for (wanted, overlooked) in [(1, 1), (2, 1), (1, 2)] {
        let mut fusion = Fusion::new(&[0.5, 0.5], wanted, 16_384, true);
        fusion.take_list(0, &list(&rows, 0, fusion.depth(), false));
        let mut texts = list(&rows, 1, fusion.depth(), false);
        texts.hits.retain(|hit| hit.id != id(overlooked));
        fusion.take_list(1, &texts);
        loop {
            let ids = fusion.unscored(7);
            if ids.is_empty() {
                break;
            }
            for id in ids {
                let number = usize::from_str_radix(id.as_str(), 16).unwrap();
                fusion.take_parts(&id, Some(rows[number].to_vec()));
            }
        }
        let (answer, proof) = fusion.finish();
        assert_eq!(answer[0].id, id(1), "{overlooked} was overlooked");
        assert!(matches!(proof, Proof::OverCandidates { .. }));
    }
}

/// Few distinct values, so that there are ties; missing sides; negative scores.
fn sides() -> impl Strategy<Value = Sides> {
    let side = || {
        prop_oneof![
            1 => Just(None),
            2 => (-4_i32..=4).prop_map(|step| Some(f64::from(step) / 4.0)),
            3 => (-1.0..1.0).prop_map(Some),
        ]
    };
    [side(), side()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn an_answer_that_claims_to_be_exact_is_the_brute_force_one(
        rows in prop::collection::vec(sides(), 0..400),
        weights in prop_oneof![
            prop::collection::vec(0.01..2.0_f64, 1..=2),
            (0.0..1.0_f64).prop_map(|alpha| vec![alpha + 1e-3, 1.0 - alpha + 1e-3]),
        ],
        wanted in 1..30_usize,
        max_depth in prop_oneof![Just(20_usize), Just(150), Just(16_384)],
    ) {
        let fusion = Fusion::new(&weights, wanted, max_depth, true);
        let (answer, proof, _) = run(fusion, weights.len(), &rows, true);
        let best = brute_force(&rows, &weights);
        if max_depth > rows.len() {
            prop_assert_eq!(proof, Proof::Exact);
        }
        match proof {
            Proof::Exact => {
                let ids: Vec<_> = answer.iter().map(|row| row.id.clone()).collect();
                let expected: Vec<_> = best.iter().take(wanted).map(|(_, id)| id.clone()).collect();
                prop_assert_eq!(ids, expected);
            }
            Proof::OverCandidates { unseen } => {
                let inside: Vec<_> = answer.iter().map(|row| &row.id).collect();
                for (score, id) in best.iter().take(wanted).filter(|(_, id)| !inside.contains(&id)) {
                    prop_assert!(*score <= unseen + 1e-5, "{} scores {score} above {unseen}", id);
                }
            }
        }
        for row in &answer {
            let number = usize::from_str_radix(row.id.as_str(), 16).unwrap();
            let parts = row.parts.iter().zip(&rows[number]);
            for (part, right) in parts {
                let apart = part.zip(*right).map(|(part, right)| (part - right).abs());
                prop_assert!(part.is_some() == right.is_some() && apart.is_none_or(|apart| apart <= ROUNDING));
            }
            let sum: f64 = row.parts.iter().zip(&weights).filter_map(|(part, weight)| part.map(|p| p * weight)).sum();
            prop_assert!((sum - row.score).abs() < 1e-12);
        }
    }

    #[test]
    fn approximate_lists_are_never_called_exact(rows in prop::collection::vec(sides(), 0..200), wanted in 1..20_usize) {
        let (_, proof, _) = run(Fusion::new(&[0.5, 0.5], wanted, 16_384, false), 2, &rows, false);
        let Proof::OverCandidates { unseen } = proof else { panic!("{proof:?}") };
        prop_assert!((-1.0..=1.0).contains(&unseen));
    }
}

#[test]
fn the_best_sum_wins_though_neither_list_begins_with_it() {
    // 300 rows are good in one leg and bad in the other; one is fair in both.
    let mut rows: Vec<Sides> = (0..300)
        .map(|n| {
            if n % 2 == 0 {
                [Some(0.9), Some(-0.9)]
            } else {
                [Some(-0.9), Some(0.9)]
            }
        })
        .collect();
    rows.push([Some(0.5), Some(0.5)]);
    let (answer, proof, _) = run(Fusion::new(&[0.5, 0.5], 1, 16_384, true), 2, &rows, true);
    assert_eq!((answer[0].id.clone(), proof), (id(300), Proof::Exact));
}

#[test]
fn a_row_without_a_side_can_win_where_all_others_score_below_zero() {
    let mut rows: Vec<Sides> = vec![[Some(-0.5), Some(-0.5)]; 200];
    rows.push([None, Some(-0.6)]);
    let (answer, proof, _) = run(Fusion::new(&[0.5, 0.5], 1, 16_384, true), 2, &rows, true);
    assert_eq!((answer[0].id.clone(), proof), (id(200), Proof::Exact));
    assert_eq!(answer[0].parts, [None, Some(-0.6)]);
}

#[test]
fn a_budget_that_ends_early_leaves_a_bound_instead_of_a_claim() {
    let rows: Vec<Sides> = vec![[Some(0.5), Some(0.5)]; 500];
    let (answer, proof, _) = run(Fusion::new(&[0.5, 0.5], 10, 200, true), 2, &rows, true);
    assert_eq!((answer.len(), proof), (10, Proof::OverCandidates { unseen: 0.5 }));
}

#[test]
fn one_list_that_ends_among_equal_scores_leaves_a_bound_instead_of_a_claim() {
    // Which of equal rows an engine shows is its own choice.
    let rows: Vec<Sides> = vec![[Some(0.5), None]; 500];
    for wanted in [1, 200] {
        let (answer, proof, _) = run(Fusion::new(&[1.0], wanted, 200, true), 1, &rows, true);
        assert_eq!((answer.len(), proof), (wanted, Proof::OverCandidates { unseen: 0.5 }));
    }
}

#[test]
fn candidates_that_cannot_win_are_not_read() {
    let rows: Vec<Sides> = (0..5000)
        .map(|n| {
            let score = 1.0 - f64::from(n) / 5000.0;
            [Some(score), Some(score)]
        })
        .collect();
    let (_, proof, read) = run(Fusion::new(&[0.5, 0.5], 10, 16_384, true), 2, &rows, true);
    assert_eq!(proof, Proof::Exact);
    assert!(read <= 21, "{read} rows were read for 10");
}

#[test]
fn quantised_scores_bound_nothing() {
    let rows: Vec<Sides> = vec![[Some(0.5), Some(0.5)]; 500];
    let proof = |true_scores, depth| {
        let fusion = Fusion::new(&[0.5, 0.25], 10, depth, true_scores);
        run(fusion, 2, &rows, false).1
    };
    let (unseen, whole) = (0.75 * 0.5, 0.75);
    assert_eq!(proof(true, 200), Proof::OverCandidates { unseen });
    assert_eq!(proof(false, 200), Proof::OverCandidates { unseen: whole });
    // Lists that have shown all they have leave nothing unseen, whatever their scores are.
    assert_eq!(proof(false, 16_384), Proof::OverCandidates { unseen: -whole });
}

#[test]
fn of_one_list_only_rows_that_rounding_could_move_are_read() {
    let scores = [0.9, 0.8, 0.7, 0.7, 0.6, 0.5];
    let rows: Vec<Sides> = scores.map(|score| [Some(score), None]).into();
    let read = |wanted, window, true_scores, exact| {
        let fusion = Fusion::new(&[1.0], wanted, 16_384, true_scores).within(window);
        let (answer, _, read) = run(fusion, 1, &rows, exact);
        assert_eq!(answer.len(), wanted.min(6));
        read
    };
    assert_eq!(read(2, Window::default(), true, true), 0);
    // The third is as good as the fourth.
    assert_eq!(read(3, Window::default(), true, true), 2);
    assert_eq!(read(6, Window::default(), true, true), 2);
    let page = Window {
        is_page: true,
        ..Window::default()
    };
    assert!(read(2, page, true, true) >= 2, "pages have the same bits");
    let at_a_score = Window {
        floor: Some(0.5),
        ..Window::default()
    };
    assert_eq!(read(6, at_a_score, true, true), 3);
    assert!(
        read(2, Window::default(), false, false) >= 6,
        "a quantised score decides nothing"
    );
}

#[test]
fn one_list_that_is_its_own_answer_is_read_little_deeper_than_what_is_wanted() {
    let depth = |weights: &[f64], true_scores, window: Window| {
        let fusion = Fusion::new(weights, 10, 16_384, true_scores).within(window);
        fusion.depth()
    };
    assert_eq!(depth(&[1.0], true, Window::default()), 10 + MARGIN);
    let page = Window {
        is_page: true,
        ..Window::default()
    };
    let at_a_score = Window {
        floor: Some(0.5),
        ..Window::default()
    };
    for (weights, true_scores, window) in [
        (&[0.5, 0.5][..], true, Window::default()),
        (&[1.0], false, Window::default()),
        (&[1.0], true, page),
        (&[1.0], true, at_a_score),
    ] {
        assert_eq!(depth(weights, true_scores, window), FIRST_DEPTH);
    }
}

#[test]
fn a_candidate_that_is_gone_when_it_is_read_is_no_hit() {
    let mut fusion = Fusion::new(&[1.0], 2, 16_384, true);
    fusion.take_list(0, &list(&[[Some(0.8), None], [Some(0.8), None]], 0, 100, true));
    fusion.take_parts(&id(0), None);
    fusion.take_parts(&id(1), Some(vec![Some(0.8)]));
    assert!(!fusion.deepen());
    let (answer, proof) = fusion.finish();
    assert_eq!((answer.len(), answer[0].id.clone(), proof), (1, id(1), Proof::Exact));
}

#[test]
fn of_minus_zero_and_zero_neither_is_better_and_the_smaller_id_comes_first() {
    let rows = [[Some(-0.0), None], [Some(0.0), None]];
    let (found, ..) = run(Fusion::new(&[1.0, 1.0], 2, 100, true), 2, &rows, true);
    let ids: Vec<RowId> = found.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, [id(0), id(1)]);
}
