//! Progress for people: a bar on a terminal, lines elsewhere, nothing for programs.

use super::line::{ended, facts, line};
use crate::console::Console;
use crate::text::is_final;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sightline_proto::v1;
use std::time::{Duration, Instant};

/// How often a line is written while only numbers change.
const LINE_EVERY: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(120);

/// The bar of a run, also used for other counted work.
pub(crate) fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
    let template = "{spinner:.cyan} {prefix}{bar:28.cyan/238} {human_pos} of {human_len}  {msg}";
    // A template that does not parse would show indicatif's own bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━─"));
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// What of a run is on the screen.
#[derive(Debug)]
pub(super) struct Progress {
    console: Console,
    bar: Option<ProgressBar>,
    told: Option<Told>,
    seen: bool,
}

#[derive(Debug)]
struct Told {
    state: i32,
    message: String,
    line: String,
    at: Instant,
}

impl Progress {
    pub(super) fn new(console: Console) -> Self {
        Self {
            console,
            bar: console.has_bar().then(bar),
            told: None,
            seen: false,
        }
    }

    /// Whether the run was seen at all.
    pub(super) fn has_seen_any(&self) -> bool {
        self.seen
    }

    /// Shows the run as it stands.
    pub(super) fn show(&mut self, run: &v1::Run) {
        self.seen = true;
        if let Some(bar) = &self.bar {
            bar.set_length(u64::try_from(run.planned_items).unwrap_or_default());
            bar.set_position(u64::try_from(ended(run)).unwrap_or_default());
            bar.set_message(facts(run));
            return;
        }
        if is_final(run.state()) || !self.is_due(run) {
            return;
        }
        let line = line(run);
        self.console.note(&line);
        self.told = Some(Told {
            state: run.state,
            message: run.state_message.clone(),
            line,
            at: Instant::now(),
        });
    }

    fn is_due(&self, run: &v1::Run) -> bool {
        let Some(told) = &self.told else { return true };
        if told.state != run.state || told.message != run.state_message {
            return true;
        }
        told.at.elapsed() >= LINE_EVERY && told.line != line(run)
    }

    /// The connection was lost and is made again.
    pub(super) fn reconnecting(&mut self) {
        match &self.bar {
            Some(bar) => bar.set_message("the connection was lost; connecting again"),
            None => self.console.note("the connection was lost; connecting again"),
        }
    }

    /// Takes the bar away: the summary stands in its place.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
