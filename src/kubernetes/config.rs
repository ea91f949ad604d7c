//! Where the API server is and who we are there: in-cluster configuration or a kubeconfig.

use std::path::PathBuf;

use kube::Config;
use kube::client::AuthError;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};

/// Why there is no client for the API server, in one sentence without a byte of a credential.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Where a configuration came from, and is read from again.
#[derive(Clone)]
pub(super) enum Origin {
    /// The pod's environment and the files of its ServiceAccount.
    InCluster,
    /// This kubeconfig, or the one that `KUBECONFIG` names, or else `~/.kube/config`.
    Kubeconfig(Option<PathBuf>),
}

/// The configuration of the pod that this process runs in, else a kubeconfig.
pub(super) async fn infer() -> Result<(Origin, Config), ConfigError> {
    let in_cluster = match Config::incluster() {
        Ok(config) => return Ok((Origin::InCluster, config)),
        Err(error) => error,
    };
    let origin = Origin::Kubeconfig(None);
    match load_kubeconfig(None).await {
        Ok(config) => {
            if config.proxy_url.is_some() {
                tracing::warn!("a proxy is set, but connections to the API server use none");
            }
            Ok((origin, verified(config)?))
        }
        Err(error) => Err(ConfigError(format!(
            "no way to the API server: not in a cluster ({in_cluster}), and no kubeconfig ({})",
            explain(&error),
        ))),
    }
}

/// The configuration as `origin` has it now.
pub(super) async fn load(origin: &Origin) -> Result<Config, ConfigError> {
    match origin {
        Origin::InCluster => Config::incluster().map_err(ConfigError::from),
        Origin::Kubeconfig(path) => {
            verified(load_kubeconfig(path.clone()).await.map_err(ConfigError::from)?)
        }
    }
}

async fn load_kubeconfig(path: Option<PathBuf>) -> Result<Config, KubeconfigError> {
    let kubeconfig = match path {
        Some(path) => Kubeconfig::read_from(path)?,
        None => Kubeconfig::read()?,
    };
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await
}

fn verified(config: Config) -> Result<Config, ConfigError> {
    if config.accept_invalid_certs {
        return Err(ConfigError(
            "the kubeconfig sets insecure-skip-tls-verify, which is refused: secrets would go to \
             whoever answers"
                .to_owned(),
        ));
    }
    Ok(config)
}

/// What is wrong. The messages of parsers, and the output of credential plug-ins, may quote what
/// they read.
fn explain(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it cannot be parsed".to_owned(),
        KubeconfigError::LoadClientCertificate(_) => {
            "its client certificate cannot be read".to_owned()
        }
        KubeconfigError::LoadClientKey(_) => "its client key cannot be read".to_owned(),
        other => other.to_string(),
    }
}

impl From<InClusterError> for ConfigError {
    fn from(error: InClusterError) -> Self {
        Self(format!("the in-cluster configuration cannot be used: {error}"))
    }
}

impl From<KubeconfigError> for ConfigError {
    fn from(error: KubeconfigError) -> Self {
        Self(format!("the kubeconfig cannot be used: {}", explain(&error)))
    }
}

impl From<kube::Error> for ConfigError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Auth(error @ AuthError::ReadTokenFile(..)) => Self(error.to_string()),
            kube::Error::Auth(_) => Self("the credentials cannot be loaded".to_owned()),
            kube::Error::InferKubeconfig(error) => error.into(),
            _ => Self("the CA or the client certificate cannot be used".to_owned()),
        }
    }
}

impl From<crate::secrets::InvalidName> for ConfigError {
    fn from(error: crate::secrets::InvalidName) -> Self {
        Self(format!("the configured namespace cannot be used: {error}"))
    }
}

impl From<tokio::task::JoinError> for ConfigError {
    fn from(_: tokio::task::JoinError) -> Self {
        Self("the credentials cannot be loaded".to_owned())
    }
}
