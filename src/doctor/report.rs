//! What the checks found, and how it is told.

use std::io::{self, Write};

use serde::Serialize;

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Something that needs fixing.
    Fault,
    /// Not applicable, or it cannot be told from here.
    Unknown,
}

/// One check: a line of the report. No field ever holds a byte of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which check it is, by a stable name.
    pub check: &'static str,
    /// What was looked at.
    pub subject: String,
    /// The outcome.
    pub status: Status,
    /// What was found.
    pub finding: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(check: &'static str, subject: &str, finding: impl Into<String>) -> Self {
        Self::new(check, subject, Status::Ok, finding.into(), None)
    }

    /// Something that needs fixing.
    pub fn fault(
        check: &'static str,
        subject: &str,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(check, subject, Status::Fault, finding.into(), Some(remedy.into()))
    }

    /// It cannot be told.
    pub fn unknown(check: &'static str, subject: &str, finding: impl Into<String>) -> Self {
        Self::new(check, subject, Status::Unknown, finding.into(), None)
    }

    fn new(
        check: &'static str,
        subject: &str,
        status: Status,
        finding: String,
        remedy: Option<String>,
    ) -> Self {
        Self { check, subject: subject.to_owned(), status, finding, remedy }
    }
}

/// The form of the report.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Output {
    /// One line a check, for people.
    Text,
    /// One JSON object.
    Json,
}

/// The report in JSON.
#[derive(Serialize)]
struct Report<'c> {
    ok: bool,
    checks: &'c [Check],
}

/// Whether anything needs fixing.
pub fn has_faults(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.status == Status::Fault)
}

/// Writes the report.
pub fn write(checks: &[Check], output: Output, to: &mut impl Write) -> io::Result<()> {
    match output {
        Output::Text => checks.iter().try_for_each(|check| writeln!(to, "{}", line(check))),
        Output::Json => {
            let report = Report { ok: !has_faults(checks), checks };
            serde_json::to_writer_pretty(&mut *to, &report)?;
            writeln!(to)
        }
    }
}

fn line(check: &Check) -> String {
    let mark = match check.status {
        Status::Ok => '✓',
        Status::Fault => '✗',
        Status::Unknown => '–',
    };
    let remedy = check.remedy.as_ref();
    let end = if check.finding.ends_with('?') { "" } else { "." };
    let remedy = remedy.map(|remedy| format!("{end} {remedy}")).unwrap_or_default();
    plain(&format!("{mark} {}: {}{remedy}", check.subject, check.finding))
}

/// Without control characters: names and templates are written by others, and a terminal obeys
/// what it is sent.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output: Output) -> String {
        let checks = [
            Check::ok("a", "token Secret default/jwt-token", "is there"),
            Check::fault("b", "store\u{1b}[2J x", "has no timeout", "Set one"),
            Check::unknown("c", "certificate", "cannot be reached"),
        ];
        let mut text = Vec::new();
        write(&checks, output, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn each_check_is_one_line_with_its_mark_and_its_remedy() {
        assert_eq!(
            written(Output::Text),
            "✓ token Secret default/jwt-token: is there\n\
             ✗ store\u{fffd}[2J x: has no timeout. Set one\n\
             – certificate: cannot be reached\n"
        );
    }

    #[test]
    fn json_has_the_same_and_whether_all_is_well() {
        let report: serde_json::Value = serde_json::from_str(&written(Output::Json)).unwrap();
        assert_eq!(report["ok"], false);
        let statuses = [0, 1, 2].map(|check| report["checks"][check]["status"].clone());
        assert_eq!(statuses, ["ok", "fault", "unknown"]);
        assert_eq!(report["checks"][1]["remedy"], "Set one");
        assert_eq!(report["checks"][0].get("remedy"), None);
    }
}
