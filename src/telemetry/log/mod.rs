//! Logs: lines on stdout, one JSON object each, or text on a terminal.

mod audit_lines;
mod batches;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use audit_lines::AuditLines;
use batches::Batches;

use crate::fault_log::FaultLog;

/// Lines that wait where stdout is slow; further ones are dropped, since a blocked stdout must
/// not block a request.
const WAITING_LINES: usize = 8192;

/// How long what waits may take to be written at the end. tracing-appender gives up after 1.1 s.
const LAST: Duration = Duration::from_millis(1500);

/// The levels where RUST_LOG does not say otherwise. What a peer does below HTTP is no warning,
/// which is what h2 and rustls make of it: it is counted, by the reason why its connection ended.
const LEVELS: &str = "info,h2=error,rustls=error";

/// What is not logged at any level: h2 quotes paths that it finds malformed, query strings and all.
const NEVER: &str = "h2::server=off";

/// The form of a line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl LogFormat {
    /// Text where a person looks on.
    pub fn or_default(chosen: Option<Self>) -> Self {
        chosen.unwrap_or(if std::io::stdout().is_terminal() { Self::Text } else { Self::Json })
    }
}

/// The running log. What waits is written when it is dropped, if stdout takes it.
pub struct Log {
    /// Counts the lines that stdout did not take.
    pub dropped_lines: DroppedLines,
    guard: Option<WorkerGuard>,
}

/// How many lines stdout did not take.
#[derive(Clone, Debug)]
pub struct DroppedLines {
    too_slow: ErrorCounter,
    refused: Arc<AtomicU64>,
}

impl DroppedLines {
    /// Their number until now.
    pub fn count(&self) -> u64 {
        self.too_slow.dropped_lines() as u64 + self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let guard = self.guard.take();
        let (done, end) = mpsc::channel::<()>();
        // On a thread of its own: where the lines that wait are not taken, tracing-appender says so
        // on that very stdout, and waits for ever.
        let ending = thread::Builder::new().spawn(move || {
            drop(guard);
            drop(done);
        });
        if ending.is_ok() {
            let _ = end.recv_timeout(LAST);
        }
    }
}

/// Writes lines to `output` on a thread of its own, until the guard is dropped.
pub fn lines_to(output: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard, DroppedLines) {
    let batches = Batches::to(output);
    let refused = batches.lost();
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(batches);
    let too_slow = writer.error_counter();
    (writer, guard, DroppedLines { too_slow, refused })
}

/// Puts warnings about manifests on stderr, for a verb whose stdout is its result: errors do not
/// name the file.
pub fn warn_of_manifests() {
    let manifests = "vsecm_scout::secrets::manifests";
    let only = Targets::new().with_target(manifests, LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    // It fails where a log is there already, which then tells.
    let _ = tracing_subscriber::registry().with(lines.with_filter(only)).try_init();
}

/// Starts the log.
pub fn start(format: LogFormat) -> anyhow::Result<Log> {
    // A level for one target alone leaves the others as they are.
    let levels = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = EnvFilter::builder()
        .parse(format!("{LEVELS},{levels}"))
        .context("RUST_LOG is not a level such as info, or TARGET=LEVEL, several with commas")?
        .add_directive(NEVER.parse()?);
    let (writer, guard, dropped_lines) = lines_to(std::io::stdout());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stdout().is_terminal()).try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .map_event_format(AuditLines)
            .try_init(),
    }
    .map_err(anyhow::Error::from_boxed)
    .context("the logs cannot be started")?;
    // What a panic says may quote a secret: only where it happened is logged.
    let panics = FaultLog::default();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // One that a caller can cause would fill the log.
        if let Some(times) = panics.seen(place.clone()) {
            tracing::error!(
                place,
                times,
                "a panic, which is a fault of this program: please report it with this line"
            );
        }
    }));
    Ok(Log { dropped_lines, guard: Some(guard) })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Instant;

    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_whose_reader_is_gone_are_counted() {
        let (mut writer, _guard, dropped_lines) = lines_to(Gone);
        assert_eq!(dropped_lines.count(), 0);
        writer.write_all(b"lost\n").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while dropped_lines.count() == 0 {
            assert!(Instant::now() < deadline, "it is not counted");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(dropped_lines.count(), 1);
    }
}
