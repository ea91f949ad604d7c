//! The command line: one file a verb.

mod dev;
mod doctor;
#[cfg(test)]
mod documented;
mod rules;
mod serve;
mod values;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// What a process ends with where it could not start.
const BAD_START: u8 = 2;

/// A read-only HTTPS door to Kubernetes Secrets for the External Secrets Operator.
///
/// A ClusterSecretStore of ESO's webhook provider asks GET /webhook?key=… with a bearer JWT; the
/// answer is the Secret's value as JSON, if the JWT is the one that the token Secret holds at
/// that very moment. Rotate the token and nothing needs a restart.
#[derive(Parser)]
#[command(name = "vsecm-scout", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Serve(Box<serve::Args>),
    Dev(dev::Args),
    Doctor(Box<doctor::Args>),
}

/// Parses the command line, does what it says, and tells the exit status: 0 after an orderly
/// end, 1 where requests were cut off or the doctor found a fault, 2 where nothing could start.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match parse() {
        Ok(Cli { verb: Verb::Serve(args) }) => serve::run(*args),
        Ok(Cli { verb: Verb::Dev(args) }) => dev::run(args),
        Ok(Cli { verb: Verb::Doctor(args) }) => doctor::run(*args),
        Err(error) => return refuse(&error),
    };
    outcome.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        BAD_START.into()
    })
}

/// A value such as `-1s` is refused as the value that it is, not as a flag that does not exist.
fn parse() -> clap::error::Result<Cli> {
    let command = Cli::command()
        .mut_subcommands(|verb| verb.mut_args(|argument| argument.allow_hyphen_values(true)));
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// Help as clap writes it, and anything else as the one sentence at its head.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return if error.use_stderr() { BAD_START.into() } else { ExitCode::SUCCESS };
    }
    let text = error.to_string();
    let sentence = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_of_a_value =
        matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
    complain(&if is_of_a_value { sentence } else { format!("{sentence}: see --help") });
    BAD_START.into()
}

fn complain(sentence: &str) {
    // There is nobody left to tell where this fails.
    let _ = writeln!(std::io::stderr(), "error: {sentence}");
}
