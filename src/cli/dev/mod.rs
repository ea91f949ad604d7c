//! `vsecm-scout dev`: the service on a laptop, with everything it needs made on the spot.

mod certificates;
mod manifests;
mod tour;

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::serve;
use super::values;
use crate::app::{Service, block_on};
use crate::telemetry::log::{self, LogFormat};

/// Serve example Secrets on this machine, with a certificate and a token made on the spot
///
/// No cluster and no network are needed. Files that are there already are used as they are; edit
/// a manifest while it runs, and the next answer follows.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of manifests: the token Secret and example Secrets
    #[arg(long, value_name = "DIR", default_value = "dev-secrets")]
    dir: PathBuf,

    /// The folder of the CA, the certificate and its key
    #[arg(long, value_name = "DIR", default_value = "certs")]
    certs: PathBuf,

    /// Address for HTTPS
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8443",
        value_parser = values::address
    )]
    listen: SocketAddr,

    /// Address for plain HTTP: /livez, /readyz and /metrics
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:9090",
        value_parser = values::address
    )]
    admin_listen: SocketAddr,

    /// The form of the log. Default: text on a terminal, else json. RUST_LOG sets the level
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Makes what is missing, serves, and shows how to ask.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let log = log::start(LogFormat::or_default(args.log_format))?;
    let of_folder = |flag: &str, folder: &Path| {
        let folder = folder.display();
        format!("{flag} {folder} must be a folder that this user may write to")
    };
    let certificate =
        certificates::ensure(&args.certs).with_context(|| of_folder("--certs", &args.certs))?;
    manifests::ensure(&args.dir).with_context(|| of_folder("--dir", &args.dir))?;
    let mut source = OsString::from("manifests:");
    source.push(&args.dir);
    let flags: [(&str, &OsStr); 6] = [
        ("--listen", &OsString::from(args.listen.to_string())),
        ("--admin-listen", &OsString::from(args.admin_listen.to_string())),
        ("--tls-cert", certificate.chain.as_os_str()),
        ("--tls-key", certificate.key.as_os_str()),
        ("--source", &source),
        ("--shutdown-delay", "0s".as_ref()),
    ];
    let flags = flags.into_iter().flat_map(|(flag, value)| [flag.as_ref(), value]);
    let serve = serve::Args::from_flags(flags)?;
    block_on(async {
        let service = Service::bind(serve.into_config().await?, &log)?;
        let tour = tour::tour(service.address()?, &args.certs, &args.dir);
        std::io::stdout().write_all(tour.as_bytes())?;
        service.run().await
    })
}

/// Writes a file that is not there yet and that only its owner may read.
fn write_new(file: &Path, contents: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.with_context(|| file.display().to_string())?;
    Ok(opened.write_all(contents.as_bytes())?)
}
