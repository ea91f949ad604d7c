//! `vsecm-scout dev`: the service on a laptop, with everything it needs made on the spot.

mod certificates;
mod manifests;
mod tour;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::logging::{self, LogFormat};
use super::service::{Service, Setup};
use crate::auth::TokenRules;
use crate::policy::ServePolicy;
use crate::secrets::{Manifests, Namespace, SecretName};

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
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// Address for plain HTTP: /livez and /readyz
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    admin_listen: SocketAddr,

    /// The form of the log. Default: text on a terminal, else json. RUST_LOG sets the level
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Makes what is missing, serves, and shows how to ask.
#[tokio::main]
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let _flushed = logging::start(LogFormat::or_default(args.log_format))?;
    let certificate = certificates::ensure(&args.certs)
        .with_context(|| format!("--certs {}", args.certs.display()))?;
    manifests::ensure(&args.dir).with_context(|| format!("--dir {}", args.dir.display()))?;
    let namespace: Namespace = "default".parse()?;
    let service = Service::bind(Setup {
        listen: args.listen,
        admin_listen: args.admin_listen,
        certificate,
        store: Arc::new(Manifests::open(args.dir.clone())?),
        rules: TokenRules {
            entry: "token".to_owned(),
            leeway: Duration::from_secs(30),
            max_overlap: Duration::from_secs(24 * 3600),
        },
        policy: ServePolicy {
            token_secret: SecretName::new(namespace.clone(), manifests::TOKEN_SECRET)?,
            default_namespace: namespace,
            other_namespaces: Vec::new(),
            label: Some("scout.vsecm.com/serve=true".parse().map_err(anyhow::Error::msg)?),
        },
        deadline: Duration::from_secs(5),
        grace: Duration::from_secs(25),
    })?;
    let tour = tour::tour(service.address()?, &args.certs, &args.dir);
    std::io::stdout().write_all(tour.as_bytes())?;
    service.run().await
}

/// Writes a file that is not there yet and that only its owner may read.
fn write_new(file: &Path, contents: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.with_context(|| file.display().to_string())?;
    Ok(opened.write_all(contents.as_bytes())?)
}
