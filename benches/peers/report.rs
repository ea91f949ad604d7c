//! What was measured, as Markdown.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::rounds::{Rounds, Spread, micros};

/// The marks in docs/performance.md between which the report stands.
const MARKS: [&str; 2] = ["<!-- figures: written by the benchmark -->\n", "<!-- /figures -->"];

/// All that one run has measured.
#[derive(Default)]
pub(crate) struct Report {
    setting: String,
    goals: Vec<Goal>,
    servers: Vec<String>,
    notes: Vec<String>,
}

/// A figure, and what it is meant to reach.
pub(crate) struct Goal {
    pub(crate) figure: String,
    pub(crate) measured: Spread,
    pub(crate) bound: Bound,
    /// Stands behind the numbers.
    pub(crate) unit: &'static str,
}

/// What a figure is meant to reach.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    /// Nothing measured yet, in this setting.
    pub(crate) fn new(setting: String) -> Self {
        Self { setting, ..Self::default() }
    }

    pub(crate) fn goal(
        &mut self,
        figure: String,
        measured: Spread,
        bound: Bound,
        unit: &'static str,
    ) {
        let goal = Goal { figure, measured, bound, unit };
        eprintln!("  {goal}");
        self.goals.push(goal);
    }

    pub(crate) fn note(&mut self, note: String) {
        eprintln!("  {note}");
        self.notes.push(note);
    }

    /// Adds a line of the table of servers.
    pub(crate) fn server(&mut self, load: &str, rounds: &Rounds) {
        self.servers.push(format!(
            "| {load} | {} | {:.1} µs | {:.0} | {} | {} | {:.0} MiB |",
            rounds.server,
            rounds.median(|round| micros(round.cpu_per_request)),
            rounds.median(|round| round.per_second),
            milliseconds(rounds.median(|round| micros(round.p50))),
            milliseconds(rounds.median(|round| micros(round.p99))),
            mebibytes(rounds.resident),
        ));
    }

    /// Puts the report into a document, between its marks.
    pub(crate) fn write_into(&self, document: &Path) -> Result<()> {
        let text = fs::read_to_string(document)?;
        let [begin, end] = MARKS;
        let (before, rest) =
            text.split_once(begin).context("the mark of the figures is not there")?;
        let (_, after) = rest.split_once(end).context("the mark of their end is not there")?;
        Ok(fs::write(document, format!("{before}{begin}{self}{end}{after}"))?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let today = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let mut text = format!("Measured on {today}: {}.\n", self.setting);
        if !self.goals.is_empty() {
            text.push_str("\n| figure | measured | goal | |\n| --- | --- | --- | --- |\n");
        }
        for Goal { figure, measured, bound, unit } in &self.goals {
            let reached = if bound.holds(measured.median) { "reached" } else { "**missed**" };
            writeln!(text, "| {figure} | {measured}{unit} | {bound}{unit} | {reached} |")?;
        }
        if !self.servers.is_empty() {
            text.push_str("\n| load | server | CPU per request | requests per second | p50 | p99 | memory |\n");
            text.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
        }
        for line in &self.servers {
            writeln!(text, "{line}")?;
        }
        text.push('\n');
        for note in &self.notes {
            writeln!(text, "- {note}")?;
        }
        f.write_str(&text)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { figure, measured, bound, unit } = self;
        write!(f, "{figure}: {measured}{unit} (goal: {bound}{unit})")
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "at most {bound}"),
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
        }
    }
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(bound) => figure <= bound,
            Self::AtLeast(bound) => figure >= bound,
        }
    }
}

fn milliseconds(micros: f64) -> String {
    format!("{:.2} ms", micros / 1000.0)
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
