//! Lines that are written many at a time.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::Duration;

/// The most that is written at once, in bytes.
const BUFFER: usize = 64 * 1024;

/// How long the writer rests after a batch: under load, to wake its thread for each line would
/// cost more than the line.
const REST: Duration = Duration::from_millis(5);

/// Gathers what is written until it is flushed, and then lets the next batch gather. It rests in
/// `flush`, so that belongs on a thread of its own: tracing-appender flushes when no line waits.
pub(super) struct Batches<W: Write>(BufWriter<W>);

impl<W: Write> Batches<W> {
    /// Batches for `output`.
    pub(super) fn to(output: W) -> Self {
        Self(BufWriter::with_capacity(BUFFER, output))
    }
}

impl<W: Write> Write for Batches<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(REST);
        flushed
    }
}
