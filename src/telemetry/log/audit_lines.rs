//! Audit lines in JSON, as tracing-subscriber would write them, at a fraction of its cost. There is
//! one for each request.

use std::fmt;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::http::AUDIT;

/// Microseconds, as tracing-subscriber writes them.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// Room for the line of a usual request, in bytes.
const USUAL: usize = 512;

/// Writes the events of the target [`AUDIT`], and leaves all others to another format.
pub(super) struct AuditLines<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for AuditLines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != AUDIT {
            return self.0.format_event(context, writer, event);
        }
        let mut line = Line { json: Vec::with_capacity(USUAL), result: Ok(()) };
        line.json.extend_from_slice(b"{\"timestamp\":\"");
        TIME.print_timestamp(&Timestamp::now(), &mut line.json).map_err(|_| fmt::Error)?;
        line.json.push(b'"');
        line.member("level", event.metadata().level().as_str());
        event.record(&mut line);
        line.member("target", AUDIT);
        line.result?;
        line.json.extend_from_slice(b"}\n");
        writer.write_str(std::str::from_utf8(&line.json).map_err(|_| fmt::Error)?)
    }
}

/// An object that has a member already, and is not closed yet.
struct Line {
    json: Vec<u8>,
    result: fmt::Result,
}

impl Line {
    /// Adds a member whose name needs no escape: it stands in our source.
    fn member<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.json.extend_from_slice(b",\"");
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
        let written = serde_json::to_writer(&mut self.json, value).map_err(|_| fmt::Error);
        self.result = self.result.and(written);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn log_all() {
        let nasty = "\"\\\n\u{1}ä\u{2028}";
        tracing::info!(
            target: AUDIT,
            text = nasty,
            some = Some(nasty),
            none = None::<&str>,
            status = Some(200_u16),
            latency_ms = 0.125_f64,
            shown = %nasty,
            "request"
        );
        tracing::warn!(target: AUDIT, whole = 1e21_f64, yes = true, below = -1, unknown = f64::NAN);
        tracing::info!(other = nasty, "no audit line");
    }

    /// The lines, in two forms: as they were written, and as JSON without the time.
    fn lines(own: bool) -> (Vec<String>, Vec<Value>) {
        let lines = Lines::default();
        let json = tracing_subscriber::fmt().with_writer(lines.clone()).json().flatten_event(true);
        if own {
            tracing::subscriber::with_default(json.map_event_format(AuditLines).finish(), log_all);
        } else {
            tracing::subscriber::with_default(json.finish(), log_all);
        }
        let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let timeless = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let time = line["timestamp"].take();
            assert!(time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}");
            line
        };
        (written.lines().map(str::to_owned).collect(), written.lines().map(timeless).collect())
    }

    #[test]
    fn audit_lines_are_those_of_the_library() {
        let ((own, own_json), (library, library_json)) = (lines(true), lines(false));
        assert_eq!(own_json, library_json);
        let names = |line: &str| line.matches("\":").count();
        for (own, library) in own.iter().zip(&library) {
            assert_eq!((own.len(), names(own)), (library.len(), names(library)), "{own}");
        }
    }
}
