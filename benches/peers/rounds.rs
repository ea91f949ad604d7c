//! Rounds of the same load on several servers in turn, and what is made of them.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use crate::load::{Load, Outcome};
use crate::server::Server;

/// A round that does not count. After three, files that were written before have settled.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long things are measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds of each server.
    pub(crate) rounds: usize,
    /// One round.
    pub(crate) round: Duration,
}

/// One round of one server.
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) cpu_per_request: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// All rounds of one server.
pub(crate) struct Rounds {
    pub(crate) server: &'static str,
    pub(crate) rounds: Vec<Round>,
    /// Memory in use after the last round, in bytes.
    pub(crate) resident: u64,
}

/// A median, and what it lies between.
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Round {
    /// Runs `load` on `server`.
    pub(crate) async fn run(server: &Server, load: &Load) -> Result<Self> {
        let before = server.cpu()?;
        let Outcome { elapsed, mut latencies, .. } = server.ask(load.clone()).await?;
        let cpu = server.cpu()? - before;
        latencies.sort_unstable();
        let requests = latencies.len().max(1);
        Ok(Self {
            per_second: requests as f64 / elapsed.as_secs_f64(),
            cpu_per_request: cpu / u32::try_from(requests)?,
            p50: percentile(&latencies, 50),
            p99: percentile(&latencies, 99),
        })
    }
}

impl Rounds {
    /// Lets `measure` run `load` on each of `servers` in turn, again and again, after a short
    /// round each that does not count.
    pub(crate) async fn alternate(
        servers: &[&Server],
        load: &Load,
        plan: Plan,
        mut measure: impl AsyncFnMut(&Server, &Load) -> Result<Round>,
    ) -> Result<Vec<Self>> {
        use crate::load::End::After;
        let mut all: Vec<Self> = Vec::new();
        for server in servers {
            let warm_up = Load { end: After(WARM_UP), ..load.clone() };
            Round::run(server, &warm_up).await?;
            all.push(Self { server: server.name, rounds: Vec::new(), resident: 0 });
        }
        let load = Load { end: After(plan.round), ..load.clone() };
        for number in 1..=plan.rounds {
            for (server, rounds) in servers.iter().zip(&mut all) {
                let round = measure(server, &load).await?;
                eprintln!(
                    "  round {number} of {}: {:<18} {:>7.1} µs CPU per request, {:>6.0} requests/s",
                    plan.rounds,
                    server.name,
                    micros(round.cpu_per_request),
                    round.per_second,
                );
                rounds.rounds.push(round);
                rounds.resident = server.resident()?;
            }
        }
        Ok(all)
    }

    /// The median over the rounds of what `figure` tells of each.
    pub(crate) fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        Spread::of(self.rounds.iter().map(figure)).median
    }

    /// `figure` of this server over that of `other`, round by round.
    pub(crate) fn ratio(&self, other: &Self, figure: impl Fn(&Round) -> f64) -> Spread {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.map(|(mine, other)| figure(mine) / figure(other)))
    }
}

impl Spread {
    pub(crate) fn one(figure: f64) -> Self {
        Self { low: figure, median: figure, high: figure }
    }

    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Self {
            low: at(0),
            median: at(figures.len() / 2),
            high: at(figures.len().saturating_sub(1)),
        }
    }
}

/// Of sorted values, the one that so many in a hundred do not exceed.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, median, high } = self;
        write!(f, "{median:.2}")?;
        if low < high { write!(f, " ({low:.2} to {high:.2})") } else { Ok(()) }
    }
}
