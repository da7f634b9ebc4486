//! What a row can score at most that was not seen, or not everywhere.

use sightline_index::FieldHits;

/// What is known of one leg's list.
#[derive(Debug)]
pub(super) struct Leg {
    /// Above 0.
    pub(super) weight: f64,
    exact: bool,
    /// Score of the last hit; none before the first search, and where the list has ended.
    tail: Option<f64>,
    searched: bool,
}

impl Leg {
    pub(super) fn new(weight: f64) -> Self {
        Self {
            weight,
            exact: true,
            tail: None,
            searched: false,
        }
    }

    pub(super) fn take(&mut self, list: &FieldHits, depth: usize) {
        self.searched = true;
        self.exact &= list.exact;
        // A list that is shorter than asked for has shown every row that has this side.
        let last = list.hits.last().filter(|_| list.hits.len() >= depth);
        self.tail = last.map(|hit| f64::from(hit.score));
    }

    pub(super) fn is_exact(&self) -> bool {
        self.exact
    }

    pub(super) fn is_open(&self) -> bool {
        !self.searched || self.tail.is_some()
    }
}

/// What a row can score at most that no list has shown; none where there can be no such row.
///
/// Such a row has at least one side. In an open leg it scores at most the tail or lacks that side; an ended leg has
/// shown every row that has the side, so it lacks it. Its score is largest when it has exactly the sides whose tails
/// are above 0, and where none is, the one side whose tail is largest.
pub(super) fn unseen(legs: &[Leg]) -> Option<f64> {
    let terms = || legs.iter().filter_map(|leg| leg.tail.map(|tail| tail * leg.weight));
    let largest = terms().max_by(f64::total_cmp)?;
    Some(if largest > 0.0 {
        terms().map(|term| term.max(0.0)).sum()
    } else {
        largest
    })
}

/// What a candidate can score at most, of which the lists gave these scores. One that stands at the top of a list is bounded by
/// what a cosine allows in approximate lists that do not show it: they may have overlooked it. The others are taken for what
/// complete lists would say.
pub(super) fn candidate(legs: &[Leg], scores: &[Option<f32>], is_top: bool) -> f64 {
    let terms = legs.iter().zip(scores).map(|(leg, score)| match (score, leg.tail) {
        (Some(score), _) => f64::from(*score) * leg.weight,
        (None, _) if is_top && !leg.exact => leg.weight,
        (None, Some(tail)) => (tail * leg.weight).max(0.0),
        (None, None) => 0.0,
    });
    terms.sum()
}

/// The bound as it is told: within what cosines allow, also where nothing is unseen. The tails of lists that cannot be
/// trusted, since the index's scores are not those of the vectors, bound nothing: then it is what cosines allow.
pub(super) fn reported(legs: &[Leg], trusted: bool) -> f64 {
    let largest: f64 = legs.iter().map(|leg| leg.weight).sum();
    match unseen(legs) {
        None => -largest,
        Some(_) if !trusted => largest,
        Some(bound) => bound.clamp(-largest, largest),
    }
}
