//! Lines that are written many at a time.

use std::io::{self, Write};
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
/// It knows no errors. What an output does not take, because nobody reads it any more, is lost and
/// not counted; and tracing-appender would pass over its own end where a write fails.
pub(super) struct Batches<W> {
    output: W,
    lines: Vec<u8>,
}

impl<W: Write> Batches<W> {
    /// Batches for `output`.
    pub(super) fn to(output: W) -> Self {
        Self { output, lines: Vec::new() }
    }

    fn write_out(&mut self) {
        let _ = self.output.write_all(&self.lines).and_then(|()| self.output.flush());
        self.lines.clear();
    }
}

impl<W: Write> Write for Batches<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.extend_from_slice(line);
        if self.lines.len() >= BATCH {
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
    fn what_a_closed_output_does_not_take_is_lost_and_no_error() {
        let mut batches = Batches::to(Output { closed: true, ..Output::default() });
        batches.write_all(b"lost\n").unwrap();
        batches.flush().unwrap();
        batches.output.closed = false;
        batches.write_all(b"kept\n").unwrap();
        batches.flush().unwrap();
        assert_eq!(batches.output.writes, [b"kept\n"]);
    }
}
