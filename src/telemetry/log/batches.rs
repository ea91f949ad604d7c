//! Lines that are written many at a time.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The most that is gathered, in bytes.
const BATCH: usize = 64 * 1024;

/// How long the writer rests after a batch: under load, to wake its thread for each line would
/// cost more than the line.
const REST: Duration = Duration::from_millis(5);

/// Gathers lines until it is flushed, and then lets the next batch gather. It rests in `flush`, so
/// that belongs on a thread of its own: tracing-appender flushes when no line waits.
///
/// It knows no errors: tracing-appender would pass over its own end where a write fails. What an
/// output does not take, because nobody reads it any more, is lost and counted.
pub(super) struct Batches<W> {
    output: W,
    gathered: Vec<u8>,
    lines: u64,
    lost: Arc<AtomicU64>,
}

impl<W: Write> Batches<W> {
    /// Batches for `output`.
    pub(super) fn to(output: W) -> Self {
        Self { output, gathered: Vec::new(), lines: 0, lost: Arc::default() }
    }

    /// How many lines were lost: whole batches, of which some lines may have come through.
    pub(super) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    fn write_out(&mut self) {
        let written = self.output.write_all(&self.gathered).and_then(|()| self.output.flush());
        let lines = mem::take(&mut self.lines);
        if written.is_err() {
            self.lost.fetch_add(lines, Ordering::Relaxed);
        }
        self.gathered.clear();
    }
}

impl<W: Write> Write for Batches<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(line);
        self.lines += 1;
        if self.gathered.len() >= BATCH {
            self.write_out();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        thread::sleep(REST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written at once; it fails while it is closed.
    #[derive(Default)]
    struct Output {
        writes: Vec<Vec<u8>>,
        closed: bool,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.writes.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_and_not_beyond_a_batch() {
        let mut batches = Batches::to(Output::default());
        for line in ["a\n", "b\n"] {
            batches.write_all(line.as_bytes()).unwrap();
        }
        assert!(batches.output.writes.is_empty());
        batches.flush().unwrap();
        batches.write_all(&[b'x'; BATCH]).unwrap();
        assert_eq!(batches.output.writes, [b"a\nb\n".to_vec(), vec![b'x'; BATCH]]);
    }

    #[test]
    fn what_a_closed_output_does_not_take_is_lost_and_counted_and_no_error() {
        let mut batches = Batches::to(Output { closed: true, ..Output::default() });
        for line in ["lost\n", "lost too\n"] {
            batches.write_all(line.as_bytes()).unwrap();
        }
        batches.flush().unwrap();
        assert_eq!(batches.lost().load(Ordering::Relaxed), 2);
        batches.output.closed = false;
        batches.write_all(b"kept\n").unwrap();
        batches.flush().unwrap();
        assert_eq!(batches.output.writes, [b"kept\n"]);
        assert_eq!(batches.lost().load(Ordering::Relaxed), 2);
    }
}
