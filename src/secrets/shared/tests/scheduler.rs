//! The rule under a seeded scheduler: random interleavings, each checked step by step against
//! what the rule promises, and proof that the check sees a rule that is broken.

use std::ops::Range;
use std::time::Duration;

use super::super::rule::{PACE, READS_PER_SECRET};
use super::subject::{Fault, Subject};

/// What a rule may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Violation {
    /// An answer from a read that began before the request arrived.
    Stale,
    /// A request that is never answered.
    Lost,
    /// A read that serves only some of those who wait for its Secret, or those of another.
    NotShared,
    /// More reads of one Secret than may be under way.
    TooManyOfOneSecret,
    /// More reads than may be under way.
    TooMany,
    /// A read that begins for nobody, or though one younger than 250 ms is under way.
    TooEarly,
    /// A read that could begin and does not.
    TooLate,
    /// A read that begins though another Secret was ready before.
    OutOfTurn,
    /// Something is kept of a Secret that nobody waits for, or nothing of one in use.
    Kept,
}

/// A request that waits: for which Secret and read, and the step at which it arrived.
struct Waiter {
    key: usize,
    read: u64,
    arrived: usize,
}

/// A read under way, and the step at which it began.
struct UnderWay {
    key: usize,
    read: u64,
    began: usize,
}

/// What is promised for one Secret, kept by the checker's own book.
#[derive(Default)]
struct Secret {
    waiting: usize,
    under_way: usize,
    /// The youngest read under way, and until when it holds up the next.
    youngest: Option<(u64, Duration)>,
    /// From when on its next read may begin, and the step that brought this about.
    ready: Option<(Duration, usize)>,
}

/// One interleaving: the events of several threads, in an order drawn from a seed.
struct Interleaving {
    random: u64,
    subject: Subject,
    max_reads: usize,
    now: Duration,
    step: usize,
    reads: u64,
    secrets: Vec<Secret>,
    waiters: Vec<Waiter>,
    under_way: Vec<UnderWay>,
    /// Threads that have reported an event and not yet asked what begins.
    to_ask: usize,
}

impl Interleaving {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut random = seed;
        let max_reads = 1 + draw(&mut random, 8);
        let secrets = 1 + draw(&mut random, 6);
        Self {
            random,
            subject: Subject::new(fault, max_reads),
            max_reads,
            now: Duration::ZERO,
            step: 0,
            reads: 0,
            secrets: std::iter::repeat_with(Secret::default).take(secrets).collect(),
            waiters: Vec::new(),
            under_way: Vec::new(),
            to_ask: 0,
        }
    }

    fn run(mut self) -> Result<(), Violation> {
        let steps = 1 << self.draw(7);
        let weights = [(); 5].map(|()| 1 + self.draw(8));
        while self.step < steps {
            let mut pick = self.draw(weights.iter().sum());
            let event = weights.iter().position(|weight| {
                let found = pick < *weight;
                pick = pick.saturating_sub(*weight);
                found
            });
            match event {
                Some(0) => self.arrive(),
                Some(1) => self.leave(),
                Some(2) => self.finish()?,
                Some(3) => self.ask()?,
                _ => self.pass_time()?,
            }
            self.check_kept()?;
        }
        self.wind_up()
    }

    /// No further arrivals: whoever is left is answered, and nothing remains.
    fn wind_up(mut self) -> Result<(), Violation> {
        let mut patience = 10 + 2 * self.reads;
        while patience > 0 && !(self.waiters.is_empty() && self.under_way.is_empty()) {
            patience -= 1;
            self.pass_time()?;
            self.finish()?;
            self.check_kept()?;
        }
        if !self.waiters.is_empty() {
            return Err(Violation::Lost);
        }
        self.subject.rule.is_idle().then_some(()).ok_or(Violation::Kept)
    }

    fn draw(&mut self, below: usize) -> usize {
        draw(&mut self.random, below)
    }

    fn arrive(&mut self) {
        let key = self.draw(self.secrets.len());
        self.reads += 1;
        let read = self.subject.arrive(self.now, key, self.reads);
        self.step += 1;
        self.waiters.push(Waiter { key, read, arrived: self.step });
        if self.under_way.iter().all(|begun| begun.read != read) {
            self.secrets[key].waiting += 1;
        }
        self.note(key);
        self.to_ask += 1;
    }

    fn leave(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let pick = self.draw(self.waiters.len());
        let Waiter { key, read, .. } = self.waiters.swap_remove(pick);
        self.step += 1;
        self.subject.leave(key, read);
        if self.under_way.iter().all(|begun| begun.read != read) {
            self.secrets[key].waiting -= 1;
        }
        self.note(key);
    }

    fn finish(&mut self) -> Result<(), Violation> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        let pick = self.draw(self.under_way.len());
        let ended = self.under_way.swap_remove(pick);
        self.step += 1;
        self.subject.finish(self.now, ended.key, ended.read);
        // Whether it is a value or an error: all who were told this read get it, nobody else.
        for waiter in self.waiters.extract_if(.., |waiter| waiter.read == ended.read) {
            if waiter.arrived >= ended.began {
                return Err(Violation::Stale);
            }
        }
        let secret = &mut self.secrets[ended.key];
        secret.under_way -= 1;
        secret.youngest.take_if(|(read, _)| *read == ended.read);
        self.note(ended.key);
        self.to_ask += 1;
        Ok(())
    }

    /// Some thread that has reported an event asks, once, what begins.
    fn ask(&mut self) -> Result<(), Violation> {
        if self.to_ask == 0 {
            return Ok(());
        }
        self.step += 1;
        let Some((key, read)) = self.subject.begin(self.now) else {
            self.to_ask -= 1;
            return Ok(());
        };
        self.check_begin(key, read)?;
        let secret = &mut self.secrets[key];
        secret.waiting = 0;
        secret.under_way += 1;
        secret.youngest = Some((read, self.now + PACE));
        self.under_way.push(UnderWay { key, read, began: self.step });
        self.note(key);
        Ok(())
    }

    /// Time passes once all threads have asked; then a timer asks.
    fn pass_time(&mut self) -> Result<(), Violation> {
        while self.to_ask > 0 {
            self.ask()?;
        }
        let next = self.secrets.iter().filter_map(|secret| secret.ready).min();
        let due = next.is_some_and(|(next, _)| next <= self.now);
        if due && self.under_way.len() < self.max_reads {
            return Err(Violation::TooLate);
        }
        self.now = match next {
            Some((next, _)) if next > self.now && self.draw(2) == 0 => next,
            _ => self.now + Duration::from_millis(1 + self.draw(100) as u64),
        };
        self.step += 1;
        self.to_ask += 1;
        Ok(())
    }

    /// Brings up to date since when the next read of `key` may begin.
    fn note(&mut self, key: usize) {
        let secret = &mut self.secrets[key];
        let held = secret.youngest.map_or(self.now, |(_, until)| until.max(self.now));
        let may = secret.waiting > 0 && secret.under_way < READS_PER_SECRET;
        secret.ready.take_if(|(ready, _)| !may || *ready > held);
        if may && secret.ready.is_none() {
            secret.ready = Some((held, self.step));
        }
    }

    fn check_begin(&self, key: usize, read: u64) -> Result<(), Violation> {
        let secret = &self.secrets[key];
        let served = self.waiters.iter().filter(|waiter| waiter.read == read);
        let ready = secret.ready.filter(|(ready, _)| *ready <= self.now);
        if self.under_way.len() >= self.max_reads {
            Err(Violation::TooMany)
        } else if secret.under_way >= READS_PER_SECRET {
            Err(Violation::TooManyOfOneSecret)
        } else if served.filter(|waiter| waiter.key == key).count() != secret.waiting {
            Err(Violation::NotShared)
        } else if ready.is_none() {
            Err(Violation::TooEarly)
        } else if self.secrets.iter().any(|other| other.ready.is_some() && other.ready < ready) {
            Err(Violation::OutOfTurn)
        } else {
            Ok(())
        }
    }

    fn check_kept(&self) -> Result<(), Violation> {
        let in_use = |secret: &&Secret| secret.waiting > 0 || secret.under_way > 0;
        let in_use = self.secrets.iter().filter(in_use).count();
        (self.subject.rule.secrets() == in_use).then_some(()).ok_or(Violation::Kept)
    }
}

/// A number below `below`: SplitMix64.
fn draw(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) % below as u64) as usize
}

/// Runs one interleaving a seed; fails with the first seed that shows a violation.
fn check(fault: Option<Fault>, mut seeds: Range<u64>) -> Result<(), (u64, Violation)> {
    seeds.try_for_each(|seed| Interleaving::new(seed, fault).run().map_err(|found| (seed, found)))
}

#[test]
fn the_rule_holds_over_a_million_interleavings() {
    let halves = [0..500_000, 500_000..1_000_000];
    for half in halves.map(|seeds| std::thread::spawn(|| check(None, seeds))) {
        if let Err((seed, violation)) = half.join().unwrap() {
            panic!("seed {seed}: {violation:?}");
        }
    }
}

#[test]
fn joining_the_read_under_way_is_caught() {
    let caught = check(Some(Fault::JoinsTheReadUnderWay), 0..1000);
    assert!(matches!(caught, Err((_, Violation::Stale))), "{caught:?}");
}

#[test]
fn other_faults_are_caught() {
    for fault in [
        Fault::ForgetsLeaving,
        Fault::ExceedsTheBound,
        Fault::IgnoresThePace,
        Fault::OversleepsThePace,
        Fault::GivesUpTurns,
    ] {
        assert!(check(Some(fault), 0..1000).is_err(), "{fault:?}");
    }
}
