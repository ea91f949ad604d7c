//! What is served and which token lets in: the flags that `serve` and `doctor` share.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::values::{self, ServeLabel, Source};
use crate::app::read_deadline;
use crate::auth::TokenRules;
use crate::kubernetes::Kubernetes;
use crate::policy::ServePolicy;
use crate::secrets::{Manifests, Namespace, SecretName, SecretStore};

// Not a doc comment: clap would show it as the verb's own description.
#[derive(clap::Args)]
pub struct RulesArgs {
    /// Where Secrets are read: 'kubernetes', or 'manifests:DIR', a folder of Secret manifests.
    /// Either is asked anew at each request
    #[arg(long, env = "VSECM_SCOUT_SOURCE", default_value = "kubernetes")]
    source: Source,

    /// The Secret that holds the token that callers must send; a plain name is in the first
    /// --namespace
    #[arg(
        long,
        env = "VSECM_SCOUT_TOKEN_SECRET",
        value_name = "[NAMESPACE/]NAME",
        default_value = "jwt-token"
    )]
    token_secret: String,

    /// The entry of the token Secret that holds it
    #[arg(
        long,
        env = "VSECM_SCOUT_TOKEN_ENTRY",
        value_name = "ENTRY",
        default_value = "token",
        value_parser = values::entry
    )]
    token_entry: String,

    /// How far ahead the annotation scout.vsecm.com/previous-token-until may lie: the longest
    /// time that the entry previous-token counts beside the token during a rotation
    #[arg(
        long,
        env = "VSECM_SCOUT_MAX_OVERLAP",
        value_name = "DURATION",
        default_value = "24h",
        value_parser = values::duration
    )]
    max_overlap: Duration,

    /// A namespace that is served; repeatable, or several with commas. The first is that of
    /// plain names. Default: the pod's own; 'default' for manifests
    #[arg(
        long = "namespace",
        env = "VSECM_SCOUT_NAMESPACE",
        value_name = "NAMESPACE",
        value_delimiter = ','
    )]
    namespaces: Vec<Namespace>,

    /// The label that a Secret must carry to be served; empty: none
    #[arg(
        long,
        env = "VSECM_SCOUT_SERVE_LABEL",
        value_name = "KEY=VALUE",
        default_value = "scout.vsecm.com/serve=true"
    )]
    serve_label: ServeLabel,

    /// How far clocks may differ where a token's exp and nbf are judged; at most 60s
    #[arg(
        long,
        env = "VSECM_SCOUT_LEEWAY",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = values::leeway
    )]
    leeway: Duration,

    /// For a whole answer; what takes longer is a 503
    #[arg(
        long,
        env = "VSECM_SCOUT_DEADLINE",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = values::positive_duration
    )]
    deadline: Duration,
}

/// What these flags say, with the source opened.
pub struct Serving {
    /// Where Secrets are read.
    pub store: Arc<dyn SecretStore>,
    /// The same, where it is a cluster.
    pub cluster: Option<Arc<Kubernetes>>,
    /// Which token lets in.
    pub rules: TokenRules,
    /// Which Secrets are served.
    pub policy: ServePolicy,
    /// For a whole answer.
    pub deadline: Duration,
}

impl RulesArgs {
    /// Opens the source, and checks what a single flag does not tell.
    pub async fn open(self) -> anyhow::Result<Serving> {
        let (store, cluster, own_namespace) =
            open(&self.source, read_deadline(self.deadline)).await?;
        let mut namespaces = self.namespaces.into_iter();
        let default_namespace = namespaces.next().unwrap_or(own_namespace);
        let token_secret =
            SecretName::parse(&self.token_secret, &default_namespace).with_context(|| {
                format!("--token-secret {:?} is not [NAMESPACE/]NAME", self.token_secret)
            })?;
        let rules = TokenRules {
            entry: self.token_entry,
            leeway: self.leeway,
            max_overlap: self.max_overlap,
        };
        let policy = ServePolicy {
            default_namespace,
            other_namespaces: namespaces.collect(),
            label: self.serve_label.0,
            token_secret,
        };
        Ok(Serving { store, cluster, rules, policy, deadline: self.deadline })
    }
}

type Opened = (Arc<dyn SecretStore>, Option<Arc<Kubernetes>>, Namespace);

/// The source, and the namespace that is its own.
async fn open(source: &Source, deadline: Duration) -> anyhow::Result<Opened> {
    match source {
        Source::Kubernetes => {
            let cluster =
                Kubernetes::from_environment(deadline).await.context("--source kubernetes")?;
            let namespace = cluster.default_namespace().clone();
            let cluster = Arc::new(cluster);
            Ok((Arc::<Kubernetes>::clone(&cluster), Some(cluster), namespace))
        }
        Source::Manifests(folder) => {
            let store = Manifests::open(folder.clone()).with_context(|| {
                let folder = folder.display();
                format!("--source manifests:{folder} must be a folder that this user may list")
            })?;
            Ok((Arc::new(store), None, "default".parse()?))
        }
    }
}
