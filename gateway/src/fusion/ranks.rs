//! Reciprocal rank fusion: a row scores Σ weight / (60 + its rank), over the legs that list it (Cormack, Clarke and
//! Büttcher, SIGIR 2009, who give the constant). For legs whose cosines are not of one scale: it asks where a row
//! stands, not how near it is.
//!
//! Ranks begin at 1 and are those that the index gives, equal scores by id. The lists go deeper until no row can
//! change the answer any more.
//!
//! A later page is what no page before has shown: a row's rank, and with it its score, changes when others come and go, so
//! that a score says nothing of where a page ended.

use super::{FIRST_DEPTH, GROWTH, Proof, Window, by_score};
use sightline_core::RowId;
use sightline_index::FieldHits;
use std::collections::{HashMap, HashSet};

/// Added to every rank.
const CONSTANT: f64 = 60.0;

#[derive(Debug)]
struct Leg {
    /// Above 0.
    weight: f64,
    exact: bool,
    /// Whether there is more than it has shown.
    open: bool,
    ranks: HashMap<RowId, usize>,
    /// Ranks up to this one are right. Rows that it has not shown may belong between those behind.
    settled: usize,
}

impl Leg {
    /// The best rank of a row that it has not shown.
    fn next(&self) -> usize {
        self.settled.saturating_add(1)
    }

    /// Takes ranks anew without these rows, as if they had gone before the list was made.
    fn forget(&mut self, gone: &HashSet<RowId>) {
        let ranks = self.ranks.drain().filter(|(id, _)| !gone.contains(id));
        let mut left: Vec<(usize, RowId)> = ranks.map(|(id, rank)| (rank, id)).collect();
        left.sort_unstable();
        self.settled = left.partition_point(|(rank, _)| *rank <= self.settled);
        self.ranks = (1..).zip(left).map(|(rank, (_, id))| (id, rank)).collect();
    }
}

/// The state of one fusion.
#[derive(Debug)]
pub(crate) struct RankFusion {
    legs: Vec<Leg>,
    wanted: usize,
    depth: usize,
    max_depth: usize,
    window: Window,
    /// Rows that a list has shown and that are no more.
    gone: HashSet<RowId>,
}

/// What is known of a row's score.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    /// What its ranks give.
    least: f64,
    /// With the best ranks that it may have in lists that have not shown it, or not settled its rank.
    most: f64,
    /// Whether nothing of it is open.
    whole: bool,
}

impl RankFusion {
    /// Begins a fusion of legs with these weights (above 0) for `wanted` rows of the window.
    pub(crate) fn new(weights: &[f64], wanted: usize, max_depth: usize, window: Window) -> Self {
        let leg = |weight: &f64| Leg {
            weight: *weight,
            exact: true,
            open: true,
            ranks: HashMap::new(),
            settled: 0,
        };
        let rows = wanted.saturating_add(window.seen).saturating_mul(2);
        Self {
            legs: weights.iter().map(leg).collect(),
            wanted,
            depth: FIRST_DEPTH.max(rows).min(max_depth),
            max_depth,
            window,
            gone: HashSet::new(),
        }
    }

    /// How deep the legs are to be searched now.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether a leg has more to show than it has shown.
    pub(crate) fn is_open(&self, leg: usize) -> bool {
        self.legs.get(leg).is_some_and(|leg| leg.open)
    }

    /// Takes what a search of a leg to [`RankFusion::depth`] found.
    pub(crate) fn take_list(&mut self, leg: usize, list: &FieldHits) {
        let Some(leg) = self.legs.get_mut(leg) else { return };
        leg.exact &= list.exact;
        leg.open = list.hits.len() >= self.depth;
        leg.ranks = (1..)
            .zip(&list.hits)
            .map(|(rank, hit)| (hit.id.clone(), rank))
            .collect();
        leg.settled = list.settled;
        // A replica may not know yet what is gone.
        if !self.gone.is_empty() {
            leg.forget(&self.gone);
        }
    }

    /// Takes note that rows which the lists have shown are no more.
    pub(crate) fn forget(&mut self, gone: Vec<RowId>) {
        self.gone.extend(gone);
        for leg in &mut self.legs {
            leg.forget(&self.gone);
        }
    }

    /// Whether the legs have to be searched deeper; [`RankFusion::depth`] says how deep.
    pub(crate) fn deepen(&mut self) -> bool {
        if self.depth >= self.max_depth || self.is_proven() {
            return false;
        }
        self.depth = self.depth.saturating_mul(GROWTH).min(self.max_depth);
        true
    }

    /// The answer, as far as the lists tell: scores and ids.
    pub(crate) fn best(&self) -> Vec<(f64, RowId)> {
        let mut ranked = self.ranked();
        ranked.truncate(self.wanted);
        let answer = ranked.into_iter().map(|(known, id)| (known.least, id.clone()));
        answer.collect()
    }

    /// How far the answer is proven.
    pub(crate) fn proof(&self) -> Proof {
        if self.legs.iter().all(|leg| leg.exact) && self.is_proven() {
            Proof::Exact
        } else {
            Proof::OverCandidates { unseen: self.unseen() }
        }
    }

    /// What a row scores at most that no list has shown.
    fn unseen(&self) -> f64 {
        let open = self.legs.iter().filter(|leg| leg.open);
        open.map(|leg| share(leg.weight, leg.next())).sum()
    }

    fn known(&self, id: &RowId) -> Known {
        let mut known = Known {
            least: 0.0,
            most: 0.0,
            whole: true,
        };
        for leg in &self.legs {
            let rank = leg.ranks.get(id).copied();
            known.least += rank.map_or(0.0, |rank| share(leg.weight, rank));
            match rank {
                Some(rank) if rank <= leg.settled => known.most += share(leg.weight, rank),
                None if !leg.open => {}
                _ => {
                    known.most += share(leg.weight, leg.next());
                    known.whole = false;
                }
            }
        }
        known
    }

    /// Every row of the window that a list has shown, best first.
    fn ranked(&self) -> Vec<(Known, &RowId)> {
        let ids: HashSet<&RowId> = self.legs.iter().flat_map(|leg| leg.ranks.keys()).collect();
        let mut all: Vec<(Known, &RowId)> = ids.into_iter().map(|id| (self.known(id), id)).collect();
        all.retain(|(known, id)| self.window.holds(known.least, id));
        all.sort_unstable_by(|(a, a_id), (b, b_id)| by_score(&(a.least, *a_id), &(b.least, *b_id)));
        all
    }

    /// Whether each row of the answer has its whole score, and every other row less.
    fn is_proven(&self) -> bool {
        if self.legs.iter().all(|leg| !leg.open) {
            return true;
        }
        let ranked = self.ranked();
        if ranked.len() < self.wanted {
            return false;
        }
        let (answer, rest) = ranked.split_at(self.wanted);
        let Some((worst, _)) = answer.last() else { return false };
        answer.iter().all(|(known, _)| known.whole)
            && worst.least > self.unseen()
            // A row whose score is known whole is in its place, by its id too.
            && rest.iter().all(|(known, _)| known.whole || known.most < worst.least)
    }
}

fn share(weight: f64, rank: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rank of at most some tens of thousands")]
    let rank = rank as f64;
    weight / (CONSTANT + rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sightline_index::ScoredId;

    fn id(number: usize) -> RowId {
        RowId::new(format!("{number:032x}")).unwrap()
    }

    /// The rows of an order, as an index lists them.
    fn list(order: &[usize], depth: usize) -> FieldHits {
        let hits = order.iter().take(depth).map(|number| ScoredId {
            id: id(*number),
            score: 0.0,
        });
        let hits: Vec<ScoredId> = hits.collect();
        FieldHits {
            settled: hits.len(),
            hits,
            exact: true,
        }
    }

    fn brute_force(orders: &[Vec<usize>], weights: &[f64]) -> Vec<(f64, RowId)> {
        let mut scores: HashMap<RowId, f64> = HashMap::new();
        for (order, weight) in orders.iter().zip(weights) {
            for (rank, number) in (1..).zip(order) {
                *scores.entry(id(*number)).or_default() += share(*weight, rank);
            }
        }
        let mut all: Vec<(f64, RowId)> = scores.into_iter().map(|(id, score)| (score, id)).collect();
        all.sort_by(by_score);
        all
    }

    fn run(orders: &[Vec<usize>], weights: &[f64], wanted: usize, max_depth: usize) -> (Vec<(f64, RowId)>, Proof) {
        let mut fusion = RankFusion::new(weights, wanted, max_depth, Window::default());
        loop {
            for (leg, order) in orders.iter().enumerate() {
                if fusion.is_open(leg) {
                    let list = list(order, fusion.depth());
                    fusion.take_list(leg, &list);
                }
            }
            if !fusion.deepen() {
                return (fusion.best(), fusion.proof());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn ranks_fuse_to_what_whole_lists_give_wherever_it_is_called_exact(
            one in Just((0..700_usize).collect::<Vec<_>>()).prop_shuffle(),
            other in Just((300..900_usize).collect::<Vec<_>>()).prop_shuffle(),
            weights in prop::collection::vec(0.01..2.0_f64, 2),
            wanted in 1..30_usize,
            max_depth in prop_oneof![Just(150_usize), Just(16_384)],
        ) {
            let orders = [one, other];
            let (answer, proof) = run(&orders, &weights, wanted, max_depth);
            if max_depth > 1000 {
                prop_assert_eq!(proof, Proof::Exact);
            }
            if proof == Proof::Exact {
                let best = brute_force(&orders, &weights);
                prop_assert_eq!(&answer[..], &best[..wanted]);
            }
        }
    }

    #[test]
    fn ranks_in_a_tie_of_which_an_engine_shows_a_part_prove_nothing() {
        let orders = [(0..300).collect::<Vec<usize>>(), (0..300).rev().collect()];
        let proof = |settled: usize| {
            let mut fusion = RankFusion::new(&[1.0, 0.001], 5, 200, Window::default());
            loop {
                let first = list(&orders[0], fusion.depth());
                fusion.take_list(0, &FieldHits { settled, ..first });
                let other = list(&orders[1], fusion.depth());
                fusion.take_list(1, &other);
                if !fusion.deepen() {
                    return (fusion.depth(), fusion.proof());
                }
            }
        };
        let (depth, unsettled) = proof(3);
        let unseen = share(1.0, 4) + share(0.001, 201);
        assert_eq!((depth, unsettled), (200, Proof::OverCandidates { unseen }));
    }

    #[test]
    fn rows_that_are_gone_leave_their_ranks_to_those_behind_them() {
        let orders = [vec![1, 2, 3, 4], vec![2, 1, 4, 3]];
        let mut fusion = RankFusion::new(&[1.0, 1.0], 2, 16_384, Window::default());
        let take = |fusion: &mut RankFusion| {
            for (leg, order) in orders.iter().enumerate() {
                fusion.take_list(leg, &list(order, 100));
            }
        };
        take(&mut fusion);
        for _ in 0..2 {
            fusion.forget(vec![id(1), id(2)]);
            let first = share(1.0, 1) + share(1.0, 2);
            assert_eq!(fusion.best(), [(first, id(3)), (first, id(4))]);
            // A list that comes later may still show them.
            take(&mut fusion);
        }
        assert_eq!(fusion.proof(), Proof::Exact);
    }

    #[test]
    fn a_row_that_both_legs_rank_well_stands_before_the_first_of_either() {
        let orders = [vec![1, 2, 3], vec![4, 2, 5]];
        let (answer, proof) = run(&orders, &[1.0, 1.0], 3, 16_384);
        assert_eq!(proof, Proof::Exact);
        let ids: Vec<RowId> = answer.iter().map(|(_, id)| id.clone()).collect();
        assert_eq!(ids, [id(2), id(1), id(4)]);
        assert!((answer[0].0 - 2.0 / 62.0).abs() < 1e-12);
    }
}
