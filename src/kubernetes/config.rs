//! Where the API server is and who we are there: in-cluster configuration or a kubeconfig.

mod explain;

use std::path::PathBuf;

use kube::Config;
use kube::config::{
    ExecInteractiveMode, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError,
};

/// Why there is no client for the API server and what to do about it, in one sentence without a
/// byte of a credential.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Where a configuration came from, and is read from again.
#[derive(Clone)]
pub(super) enum Origin {
    /// The pod's environment and the files of its ServiceAccount.
    InCluster,
    /// This kubeconfig, or the ones that `KUBECONFIG` names, or else `~/.kube/config`.
    Kubeconfig(Option<PathBuf>),
}

/// The configuration of the pod that this process runs in, else a kubeconfig.
pub(super) async fn infer() -> Result<(Origin, Config), ConfigError> {
    let in_cluster = match Config::incluster() {
        Ok(config) => return Ok((Origin::InCluster, config)),
        Err(error) => error,
    };
    let config = load_kubeconfig(None).await.map_err(|error| match in_cluster {
        InClusterError::ReadEnvironmentVariable(_) => {
            ConfigError(format!("this is no pod of a cluster, and {error}"))
        }
        in_cluster => ConfigError(format!("{}; and {error}", ConfigError::from(in_cluster))),
    })?;
    if config.proxy_url.is_some() {
        tracing::warn!(
            "a proxy is set (HTTPS_PROXY or proxy-url), but connections to the API server use none: \
             they must reach it directly"
        );
    }
    Ok((Origin::Kubeconfig(None), config))
}

/// The configuration as `origin` has it now.
pub(super) async fn load(origin: &Origin) -> Result<Config, ConfigError> {
    match origin {
        Origin::InCluster => Config::incluster().map_err(ConfigError::from),
        Origin::Kubeconfig(path) => load_kubeconfig(path.clone()).await,
    }
}

/// The kubeconfig `path`, else the ones of the environment, as kubectl finds and merges them.
async fn load_kubeconfig(path: Option<PathBuf>) -> Result<Config, ConfigError> {
    let files = path.map_or_else(files_of_environment, |path| vec![path]);
    let all = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(":");
    if files.is_empty() {
        let nowhere = "neither KUBECONFIG nor HOME says where a kubeconfig is: set KUBECONFIG";
        return Err(ConfigError(nowhere.to_owned()));
    }
    let mut merged = Kubeconfig::default();
    for file in &files {
        let read = Kubeconfig::read_from(file).and_then(|next| merged.merge(next));
        merged = read.map_err(|error| of_kubeconfig(&file.display().to_string(), &error))?;
    }
    let user = unknown_user(&merged);
    let config = Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default()).await;
    let config = config.map_err(|error| of_kubeconfig(&all, &error))?;
    match user {
        Some(user) => Err(ConfigError(format!(
            "the kubeconfig {all} has no user {user:?}, which its current context names: add it, or \
             correct the context"
        ))),
        None => usable(config, &all),
    }
}

fn files_of_environment() -> Vec<PathBuf> {
    let listed = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let files: Vec<PathBuf> =
        std::env::split_paths(&listed).filter(|file| !file.as_os_str().is_empty()).collect();
    match std::env::home_dir() {
        Some(home) if files.is_empty() => vec![home.join(".kube/config")],
        _ => files,
    }
}

/// The user that the current context names and nothing defines. kube would go on as nobody.
fn unknown_user(kubeconfig: &Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_ref()?;
    let named = kubeconfig.contexts.iter().find(|context| context.name == *current)?;
    let user = named.context.as_ref()?.user.as_ref().filter(|user| !user.is_empty())?;
    let known = kubeconfig.auth_infos.iter().any(|known| known.name == *user);
    (!known).then(|| user.clone())
}

/// Refuses what is not safe or not supported, and keeps what a credential plug-in says on stderr
/// away from ours.
fn usable(mut config: Config, files: &str) -> Result<Config, ConfigError> {
    if config.accept_invalid_certs {
        return Err(ConfigError(format!(
            "the kubeconfig {files} sets insecure-skip-tls-verify, which is refused: secrets would \
             go to whoever answers. Set certificate-authority in its place"
        )));
    }
    if let Some(provider) = &config.auth_info.auth_provider
        && provider.name != "oidc"
    {
        return Err(ConfigError(format!(
            "the kubeconfig {files} has the auth-provider {:?}, which is not supported, nor is it by \
             Kubernetes since 1.26: use a credential plug-in (exec), such as gke-gcloud-auth-plugin \
             or kubelogin",
            provider.name
        )));
    }
    if let Some(exec) = &mut config.auth_info.exec {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    Ok(config)
}

fn of_kubeconfig(files: &str, error: &KubeconfigError) -> ConfigError {
    ConfigError(format!("the kubeconfig {files} cannot be used: {}", explain::kubeconfig(error)))
}

impl ConfigError {
    /// Why `config` makes no client.
    pub(super) fn of_client(config: &Config, error: &kube::Error) -> Self {
        Self(explain::client(plugin(config), error))
    }

    /// Why there is no client of `config` after all that time.
    pub(super) fn too_slow(config: &Config) -> Self {
        Self(match plugin(config) {
            Some(plugin) => format!(
                "the credential plug-in {plugin:?} does not end: see by hand what it waits for. It \
                 has no terminal here"
            ),
            None => {
                "reading the credentials for the API server does not end: see the files that the \
                     kubeconfig or the ServiceAccount names"
                    .to_owned()
            }
        })
    }
}

/// The program that gets the credentials, if one does.
fn plugin(config: &Config) -> Option<&str> {
    config.auth_info.exec.as_ref().and_then(|exec| exec.command.as_deref())
}

impl From<InClusterError> for ConfigError {
    fn from(error: InClusterError) -> Self {
        Self(format!("the pod's configuration cannot be used: {}", explain::in_cluster(&error)))
    }
}

impl From<crate::secrets::InvalidName> for ConfigError {
    fn from(error: crate::secrets::InvalidName) -> Self {
        Self(format!(
            "the namespace of the kubeconfig's context or of the pod cannot be used: {error}"
        ))
    }
}

impl From<tokio::task::JoinError> for ConfigError {
    /// kube panics where it cannot put a token into a header.
    fn from(_: tokio::task::JoinError) -> Self {
        Self(
            "the token for the API server cannot be sent in a header: see that it has no line break \
             in it"
                .to_owned(),
        )
    }
}
