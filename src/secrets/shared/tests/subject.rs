//! The rule as the scheduler sees it, whole or broken in one place.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::super::rule::{Begun, PACE, Rule};

/// Ways to break the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    JoinsTheReadUnderWay,
    ForgetsLeaving,
    ExceedsTheBound,
    IgnoresThePace,
    OversleepsThePace,
    /// A request that joins others puts them at the end of the line.
    GivesUpTurns,
}

/// The rule, or what a fault makes of it.
pub(super) struct Subject {
    pub(super) rule: Rule<usize, u64>,
    fault: Option<Fault>,
    youngest: BTreeMap<usize, u64>,
}

impl Subject {
    pub(super) fn new(fault: Option<Fault>, max_reads: usize) -> Self {
        let extra = usize::from(fault == Some(Fault::ExceedsTheBound));
        let rule = Rule::new(NonZeroUsize::new(max_reads + extra).unwrap());
        Self { rule, fault, youngest: BTreeMap::new() }
    }

    pub(super) fn arrive(&mut self, now: Duration, key: usize, fresh: u64) -> u64 {
        match (self.fault, self.youngest.get(&key)) {
            (Some(Fault::JoinsTheReadUnderWay), Some(read)) => *read,
            (Some(Fault::GivesUpTurns), _) => self.arrive_anew(now, key, fresh),
            _ => self.rule.arrive(now, &key, || fresh),
        }
    }

    pub(super) fn leave(&mut self, key: usize, read: u64) {
        if self.fault != Some(Fault::ForgetsLeaving) {
            self.rule.leave(&key, &read);
        }
    }

    pub(super) fn begin(&mut self, now: Duration) -> Option<(usize, u64)> {
        let begun = self.rule.begin(match self.fault {
            Some(Fault::IgnoresThePace) => now + PACE,
            Some(Fault::OversleepsThePace) => now.saturating_sub(Duration::from_millis(1)),
            _ => now,
        })?;
        self.youngest.insert(begun.key, begun.read);
        Some((begun.key, begun.read))
    }

    pub(super) fn finish(&mut self, now: Duration, key: usize, read: u64) {
        self.youngest.retain(|_, youngest| *youngest != read);
        self.rule.finish(now, Begun { key, read, waiters: 0 });
    }

    fn arrive_anew(&mut self, now: Duration, key: usize, fresh: u64) -> u64 {
        let read = self.rule.arrive(now, &key, || fresh);
        let mut waiters = 0;
        while self.rule.is_waiting(&key, &read) {
            self.rule.leave(&key, &read);
            waiters += 1;
        }
        for _ in 0..waiters {
            self.rule.arrive(now, &key, || read);
        }
        read
    }
}
