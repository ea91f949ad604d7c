//! Which faults are to be told: one that lasts is one line in the log and not one for each request
//! that meets it, and its end is another.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After which a fault that lasts is told again.
const REPEAT_AFTER: Duration = Duration::from_secs(600);
/// How long a fault that comes and goes is told once.
const FLAPPING: Duration = Duration::from_secs(60);
/// How many faults are told apart. What callers ask for may fail in more ways than that.
const MAX_FAULTS: usize = 64;

/// The faults that were seen, each by what tells it apart from others.
pub struct FaultLog<K>(Mutex<State<K>>);

struct State<K> {
    faults: HashMap<K, Fault>,
    /// All beyond [`MAX_FAULTS`] together.
    rest: Option<Fault>,
}

struct Fault {
    /// How often it was seen since it was last over.
    times: u64,
    seen: Instant,
    told: Instant,
    /// Whether it was told, and its end was not.
    open: bool,
}

impl<K> Default for FaultLog<K> {
    fn default() -> Self {
        Self(Mutex::new(State { faults: HashMap::new(), rest: None }))
    }
}

impl<K: Eq + Hash> FaultLog<K> {
    /// Notes that `fault` was seen. `Some` if it is to be told: how often it was seen by now.
    pub fn seen(&self, fault: K) -> Option<u64> {
        self.with(|state| state.seen(fault, Instant::now()))
    }

    /// Notes that these faults are over. `Some` if that is to be told: how often they were seen.
    pub fn over(&self, which: impl Fn(&K) -> bool) -> Option<u64> {
        self.with(|state| state.over(which))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State<K>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Eq + Hash> State<K> {
    fn seen(&mut self, fault: K, now: Instant) -> Option<u64> {
        if let Some(known) = self.faults.get_mut(&fault) {
            return known.again(now);
        }
        if self.faults.len() >= MAX_FAULTS {
            self.faults.retain(|_, fault| fault.open && fault.is_recent(now));
        }
        if self.faults.len() < MAX_FAULTS {
            self.faults.insert(fault, Fault::new(now));
            return Some(1);
        }
        match &mut self.rest {
            Some(rest) => rest.again(now),
            none => {
                *none = Some(Fault::new(now));
                Some(1)
            }
        }
    }

    fn over(&mut self, which: impl Fn(&K) -> bool) -> Option<u64> {
        let ended = self.faults.iter_mut().filter(|(key, fault)| fault.open && which(key));
        ended.fold(None, |times, (_, fault)| {
            fault.open = false;
            Some(times.unwrap_or(0) + std::mem::take(&mut fault.times))
        })
    }
}

impl Fault {
    fn new(now: Instant) -> Self {
        Self { times: 1, seen: now, told: now, open: true }
    }

    fn again(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        self.seen = now;
        let silent_for = if self.open { REPEAT_AFTER } else { FLAPPING };
        if now.duration_since(self.told) < silent_for {
            return None;
        }
        (self.told, self.open) = (now, true);
        Some(self.times)
    }

    fn is_recent(&self, now: Instant) -> bool {
        now.duration_since(self.seen) < REPEAT_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state, and the instants at which something happens, in seconds.
    fn state() -> (State<u32>, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let state = State { faults: HashMap::new(), rest: None };
        (state, move |second| start + Duration::from_secs(second))
    }

    #[test]
    fn a_fault_that_lasts_is_told_once_and_again_after_a_long_while() {
        let (mut state, at) = state();
        assert_eq!(state.seen(1, at(0)), Some(1));
        for second in 1..600 {
            assert_eq!(state.seen(1, at(second)), None);
        }
        assert_eq!(state.seen(1, at(600)), Some(601));
        assert_eq!(state.seen(1, at(601)), None);
    }

    #[test]
    fn the_end_of_a_fault_is_told_once() {
        let (mut state, at) = state();
        assert_eq!(state.over(|_| true), None, "nothing was there");
        for second in 0..50 {
            state.seen(1, at(second));
        }
        assert_eq!(state.over(|fault| *fault == 2), None);
        assert_eq!(state.over(|fault| *fault == 1), Some(50));
        assert_eq!(state.over(|_| true), None);
        assert_eq!(state.seen(1, at(100)), Some(1), "a new one is told at once");
    }

    #[test]
    fn a_fault_that_is_over_gives_its_place_to_a_new_one() {
        let (mut state, at) = state();
        for fault in 0..64 {
            state.seen(fault, at(0));
        }
        state.over(|fault| *fault == 0);
        assert_eq!(state.seen(100, at(1)), Some(1));
        assert_eq!(state.over(|fault| *fault == 100), Some(1), "it was told apart");
    }

    #[test]
    fn a_fault_that_comes_and_goes_is_told_once_a_minute() {
        let (mut state, at) = state();
        let (mut told, mut ended, mut seen) = (Vec::new(), 0, 0);
        for second in 0..150 {
            told.extend(state.seen(1, at(second)));
            seen += 1;
            ended += u64::from(state.over(|_| true).is_some());
        }
        assert_eq!((told, ended, seen), (vec![1, 60, 60], 3, 150));
    }

    #[test]
    fn faults_are_told_apart() {
        let (mut state, at) = state();
        assert_eq!(state.seen(1, at(0)), Some(1));
        assert_eq!(state.seen(2, at(0)), Some(1));
        assert_eq!(state.over(|fault| *fault == 1), Some(1));
        assert_eq!(state.seen(2, at(1)), None);
        assert_eq!(state.over(|_| true), Some(2));
    }

    #[test]
    fn however_many_faults_there_are_the_lines_are_few() {
        let (mut state, at) = state();
        let told = (0..10_000).filter_map(|fault| state.seen(fault, at(1))).count();
        assert_eq!(told, MAX_FAULTS + 1);
        assert_eq!(state.faults.len(), MAX_FAULTS);
        // What was not seen for long makes room.
        assert_eq!(state.seen(10_000, at(1 + 600)), Some(1));
        assert_eq!(state.faults.len(), 1);
    }
}
