//! Fusion of ranked lists by the threshold algorithm. Pure: `retrieval` does what it asks for.
//!
//! Every leg is searched to some depth. A row that a list shows is a candidate; its score is computed from its own
//! vectors, whichever list showed it. One list alone, of an index that compares with the vectors themselves, says the
//! scores itself; only rows of which rounding may have changed the place are computed. What no list shows is bounded:
//! in a leg it scores at most what the leg's last hit does, or lacks that side and contributes 0. The lists go deeper
//! until the worst row of the answer scores above that bound; then nothing unseen can belong to the answer.

mod bound;
pub(crate) mod ranks;
#[cfg(test)]
mod tests;

use bound::Leg;
use sightline_core::RowId;
use sightline_index::FieldHits;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Depth of the first search of several legs, or of one that is not its own answer. Measured on 60,000 clustered vectors: 100 candidates a leg held the true
/// first ten at every weight; twice the hits wanted held 95 to 98 % of them.
const FIRST_DEPTH: usize = 100;
/// Rows that one list alone is read beyond those wanted: one proves the last of them, the others spare a second search
/// where rounding leaves some of them in doubt.
const MARGIN: usize = 15;
/// Each search reads a leg from its top again, so a step of 4 repeats a third of the work where 2 repeats all of it.
const GROWTH: usize = 4;
/// What an index's f32 arithmetic may differ from ours by, for vectors of length 1 and a weight of 1.
pub(crate) const ROUNDING: f64 = 2e-6;

/// How far the answer is proven.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Proof {
    /// No row of the collection scores higher than the answer's rows.
    Exact,
    /// Scores are exact; no row outside the candidates scores above this, if the lists were complete. What cosines
    /// allow where the index's scores are not those of the vectors.
    OverCandidates {
        /// The bound on what was not seen.
        unseen: f64,
    },
}

/// Which part of the ranking is wanted: all of it by default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// Only rows that score at least this.
    pub floor: Option<f64>,
    /// Only rows that come after this score and id: a later page.
    pub after: Option<(f64, RowId)>,
    /// Not these: a later page of a ranking in which a row's score follows from what other rows there are.
    pub shown: Arc<HashSet<RowId>>,
    /// Digests of the groups that the pages before have shown, where rows are grouped: none comes again.
    pub groups: Arc<HashSet<u128>>,
    /// How many rows come before: the lists begin that much deeper.
    pub seen: usize,
    /// Whether it is a page of several: then scores have to have the same bits in all of them, and are computed.
    pub is_page: bool,
}

impl Window {
    /// Whether a row with this score belongs to it.
    #[must_use]
    pub fn holds(&self, score: f64, id: &RowId) -> bool {
        !self.shown.contains(id)
            && self.floor.is_none_or(|floor| score >= floor)
            && self
                .after
                .as_ref()
                .is_none_or(|(last, last_id)| by_score(&(*last, last_id), &(score, id)).is_lt())
    }
}

/// A row of the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// The row.
    pub id: RowId,
    /// Σ weight · part.
    pub score: f64,
    /// The row's part in each leg, within 2e-6; none where it lacks that side.
    pub parts: Vec<Option<f64>>,
}

/// What is known of a candidate.
#[derive(Debug)]
enum Candidate {
    /// What each list said of it, and whether it stands at the top of one; not computed yet.
    Listed { scores: Vec<Option<f32>>, is_top: bool },
    /// Computed from its vectors.
    Scored { score: f64, parts: Vec<Option<f64>> },
    /// It is gone, has none of the sides any more, or is outside the window.
    Gone,
}

/// The state of one fusion. Weights are positive: "not like this" is a query turned round.
#[derive(Debug)]
pub struct Fusion {
    legs: Vec<Leg>,
    wanted: usize,
    depth: usize,
    max_depth: usize,
    true_scores: bool,
    window: Window,
    candidates: HashMap<RowId, Candidate>,
    /// Scores of the best `wanted` candidates, falling; ids break ties.
    best: Vec<(f64, RowId)>,
    /// What `wanted` rows score at least, by what a list alone says; none where that is not known.
    reached: Option<f64>,
}

impl Fusion {
    /// Begins a fusion of legs with these weights (above 0) for `wanted` rows, searching no leg deeper than
    /// `max_depth`. `true_scores` says that the lists' scores are those of the stored vectors: those of an index
    /// that quantises may be far from them and rule no candidate out.
    #[must_use]
    pub fn new(weights: &[f64], wanted: usize, max_depth: usize, true_scores: bool) -> Self {
        let fusion = Self {
            legs: weights.iter().map(|weight| Leg::new(*weight)).collect(),
            wanted,
            depth: 0,
            max_depth,
            true_scores,
            window: Window::default(),
            candidates: HashMap::new(),
            best: Vec::new(),
            reached: None,
        };
        fusion.within(Window::default())
    }

    /// Wants this part of the ranking only.
    #[must_use]
    pub fn within(mut self, window: Window) -> Self {
        // With a floor, how many rows will be found is unknown, and most often few of those that are allowed.
        let rows = if window.floor.is_some() { 0 } else { self.wanted };
        let is_its_own_answer = self.legs.len() == 1 && self.true_scores && !window.is_page && window.floor.is_none();
        let depth = if is_its_own_answer {
            rows.saturating_add(MARGIN)
        } else {
            FIRST_DEPTH.max(rows.saturating_add(window.seen).saturating_mul(2))
        };
        self.depth = depth.min(self.max_depth);
        self.window = window;
        self
    }

    /// How deep the legs are to be searched now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether a leg has more to show than it has shown.
    #[must_use]
    pub fn is_open(&self, leg: usize) -> bool {
        self.legs.get(leg).is_some_and(Leg::is_open)
    }

    /// Takes what a search of a leg to [`Fusion::depth`] found.
    pub fn take_list(&mut self, leg: usize, list: &FieldHits) {
        let legs = self.legs.len();
        let Some(state) = self.legs.get_mut(leg) else { return };
        state.take(list, self.depth);
        for (place, hit) in list.hits.iter().enumerate() {
            let candidate = self.candidates.entry(hit.id.clone());
            let new = || Candidate::Listed {
                scores: vec![None; legs],
                is_top: false,
            };
            if let Candidate::Listed { scores, is_top } = candidate.or_insert_with(new) {
                scores[leg] = Some(hit.score);
                *is_top |= place < FIRST_DEPTH;
            }
        }
        if self.legs.len() == 1 && !self.window.is_page && self.is_trusted() {
            self.take_clear_scores(list);
        }
    }

    /// Takes the scores of one list as they are, where rounding cannot have changed a row's place: it is farther from
    /// both neighbours, and from the least score wanted, than two scores may be off.
    fn take_clear_scores(&mut self, list: &FieldHits) {
        let Some(weight) = self.legs.first().map(|leg| leg.weight) else {
            return;
        };
        let doubt = 2.0 * self.slack();
        let scores: Vec<f64> = list.hits.iter().map(|hit| f64::from(hit.score) * weight).collect();
        let has_ended = list.hits.len() < self.depth;
        let is_gone = |id: &RowId| matches!(self.candidates.get(id), Some(Candidate::Gone));
        let mut there = list.hits.iter().zip(&scores).filter(|(hit, _)| !is_gone(&hit.id));
        let last = there.nth(self.wanted.saturating_sub(1));
        self.reached = last.map(|(_, score)| score - self.slack());
        for (place, hit) in list.hits.iter().enumerate().take(self.wanted) {
            let above = place.checked_sub(1).map(|before| scores[before]);
            let below = scores.get(place + 1).copied();
            let mut others = above.into_iter().chain(below).chain(self.window.floor);
            let is_clear = others.all(|other| (other - scores[place]).abs() > doubt);
            let is_listed = matches!(self.candidates.get(&hit.id), Some(Candidate::Listed { .. }));
            if is_listed && is_clear && (below.is_some() || has_ended) {
                self.take_parts(&hit.id, Some(vec![Some(f64::from(hit.score))]));
            }
        }
    }

    /// Whether the lists' scores are those of the stored vectors, but for rounding.
    fn is_trusted(&self) -> bool {
        self.true_scores || self.legs.iter().all(Leg::is_exact)
    }

    /// At most `limit` candidates whose scores have to be computed, the most promising first; none where no other
    /// can belong to the answer.
    #[must_use]
    pub fn unscored(&self, limit: usize) -> Vec<RowId> {
        let worst = self.worst();
        let slack = self.slack();
        let trusted = self.is_trusted();
        let mut open: Vec<(f64, &RowId)> = self
            .candidates
            .iter()
            .filter_map(|(id, candidate)| match candidate {
                Candidate::Listed { scores, is_top } => Some((bound::candidate(&self.legs, scores, *is_top), id)),
                Candidate::Scored { .. } | Candidate::Gone => None,
            })
            .filter(|(bound, _)| {
                let least = worst.into_iter().chain(self.reached).chain(self.window.floor);
                let least = least.max_by(f64::total_cmp);
                !trusted || least.is_none_or(|least| *bound + slack >= least)
            })
            .collect();
        if open.len() > limit {
            open.select_nth_unstable_by(limit, by_score);
            open.truncate(limit);
        }
        open.sort_unstable_by(by_score);
        open.into_iter().map(|(_, id)| id.clone()).collect()
    }

    /// Takes the parts of candidates that [`Fusion::unscored`] named: none for a row that is gone.
    pub fn take_parts(&mut self, id: &RowId, parts: Option<Vec<Option<f64>>>) {
        let Some(candidate) = self.candidates.get_mut(id) else {
            return;
        };
        let parts = match parts {
            Some(parts) if parts.iter().any(Option::is_some) => parts,
            _ => {
                *candidate = Candidate::Gone;
                self.reached = None;
                return;
            }
        };
        let terms = parts.iter().zip(&self.legs);
        let sum: f64 = terms.filter_map(|(part, leg)| part.map(|part| part * leg.weight)).sum();
        // Of −0 and 0 neither is better: adding 0 makes them one, so that their ids decide.
        let score = sum + 0.0;
        if !self.window.holds(score, id) {
            *candidate = Candidate::Gone;
            return;
        }
        *candidate = Candidate::Scored { score, parts };
        let entry = (score, id.clone());
        let place = self.best.partition_point(|other| by_score(other, &entry).is_lt());
        if place < self.wanted {
            self.best.insert(place, entry);
            self.best.truncate(self.wanted);
        }
    }

    /// Whether the legs have to be searched deeper, now that [`Fusion::unscored`] is empty; [`Fusion::depth`] says
    /// how deep.
    pub fn deepen(&mut self) -> bool {
        if self.is_closed() || self.depth >= self.max_depth {
            return false;
        }
        self.depth = self.depth.saturating_mul(GROWTH).min(self.max_depth);
        true
    }

    /// The answer.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Fused>, Proof) {
        let exact_lists = self.legs.iter().all(Leg::is_exact);
        let proof = if exact_lists && self.is_closed() {
            Proof::Exact
        } else {
            Proof::OverCandidates {
                unseen: bound::reported(&self.legs, self.is_trusted()),
            }
        };
        let best = std::mem::take(&mut self.best);
        let fused = best
            .into_iter()
            .filter_map(|(_, id)| match self.candidates.remove(&id) {
                Some(Candidate::Scored { score, parts }) => Some(Fused { id, score, parts }),
                _ => None,
            });
        (fused.collect(), proof)
    }

    /// Whether nothing unseen can belong to the answer. Equal to the bound is not enough: of equal scores the
    /// smaller id comes first, and the unseen row's may be smaller. Over lists that are not trusted it only says that
    /// deeper ones are not worth their reading; no such answer is called exact.
    fn is_closed(&self) -> bool {
        match bound::unseen(&self.legs) {
            None => true,
            Some(bound) => {
                let least = self.worst().into_iter().chain(self.window.floor);
                least
                    .max_by(f64::total_cmp)
                    .is_some_and(|least| least > bound + self.slack())
            }
        }
    }

    /// The score that a row has to reach; none while there is room.
    fn worst(&self) -> Option<f64> {
        let full = self.best.len() == self.wanted;
        self.best.last().filter(|_| full).map(|(score, _)| *score)
    }

    fn slack(&self) -> f64 {
        ROUNDING * self.legs.iter().map(|leg| leg.weight).sum::<f64>()
    }
}

/// Falling scores, rising ids.
pub(crate) fn by_score<T: Ord>(a: &(f64, T), b: &(f64, T)) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1))
}
