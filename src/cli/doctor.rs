//! `vsecm-scout doctor`: what is wrong with a setup.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::rules::{RulesArgs, Serving};
use crate::app::{block_on, read_deadline};
use crate::doctor::cluster::Cluster;
use crate::doctor::probe::{EsoSide, Examination};
use crate::doctor::report::{self, Output};
use crate::eso::url::Url;
use crate::kubernetes::Kubernetes;
use crate::secrets::SecretName;
use crate::telemetry::log;

/// Check a setup and say what is wrong with it, one line a check
///
/// ✓ is well, ✗ needs fixing, – cannot be told from here. With KEY it says how that key is read
/// instead. It takes the flags and the environment of serve, and reads the cluster with your own
/// kubeconfig, or with the ServiceAccount of the pod that it runs in. It only reads, and shows no
/// value. The exit status is 1 where something needs fixing, 2 where the check could not run.
#[derive(clap::Args)]
pub struct Args {
    /// A key, as an ExternalSecret names it: say how it is read
    #[arg(value_name = "KEY")]
    key: Option<String>,

    /// The property that is asked for with it
    #[arg(long, value_name = "PROPERTY", requires = "key")]
    property: Option<String>,

    #[command(flatten)]
    rules: RulesArgs,

    /// The ServiceAccount of the service; a plain name is in the first --namespace. Default:
    /// whoever asks where that is a ServiceAccount, else 'vsecm-scout'
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    service_account: Option<String>,

    /// The kubeconfig of the cluster in which ESO runs, where that is another one
    #[arg(long, value_name = "FILE")]
    eso_kubeconfig: Option<PathBuf>,

    /// Where the service can be reached from here, for its certificate, such as the local end of
    /// kubectl port-forward. Default: the URL of each store
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<Url>,

    /// The Secret with the service's certificate (entry tls.crt), for where the service cannot be
    /// reached; a plain name is in the first --namespace
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    tls_secret: Option<String>,

    /// The form of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

/// Checks, and tells.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    log::warn_of_manifests();
    block_on(checked(args))
}

async fn checked(args: Args) -> anyhow::Result<ExitCode> {
    let (output, key, property) = (args.output, args.key.clone(), args.property.clone());
    let examination = args.into_examination().await?;
    let checks = match key {
        Some(key) => examination.of_key(&key, property.as_deref()).await?,
        None => examination.of_everything().await?,
    };
    match report::write(&checks, output, &mut io::stdout().lock()) {
        // Whoever reads has seen enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    Ok(if report::has_faults(&checks) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Args {
    async fn into_examination(self) -> anyhow::Result<Examination> {
        let Serving { store, cluster, rules, policy, deadline } = self.rules.open().await?;
        let named = |flag: &str, name: Option<String>| {
            let parse = |name: String| SecretName::parse(&name, &policy.default_namespace);
            name.map(parse).transpose().with_context(|| format!("{flag} is not [NAMESPACE/]NAME"))
        };
        let account = named("--service-account", self.service_account)?;
        let tls_secret = named("--tls-secret", self.tls_secret)?;
        let eso = match self.eso_kubeconfig {
            None => cluster.as_ref().map(|cluster| EsoSide {
                cluster: Cluster::new(cluster.client()),
                store: store.clone(),
                same_cluster: true,
            }),
            Some(file) => {
                let there = Kubernetes::from_kubeconfig(file, read_deadline(deadline)).await;
                let there = there.context("--eso-kubeconfig")?;
                let cluster = Cluster::new(there.client());
                Some(EsoSide { cluster, store: std::sync::Arc::new(there), same_cluster: false })
            }
        };
        let cluster = cluster.map(|cluster| Cluster::new(cluster.client()));
        let url = self.url;
        Ok(Examination { store, cluster, eso, rules, policy, deadline, account, tls_secret, url })
    }
}

fn url(text: &str) -> Result<Url, &'static str> {
    Url::parse(text).ok_or("write a URL such as https://127.0.0.1:8443")
}
