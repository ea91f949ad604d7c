//! Fetches what the checks look at, and puts them in their order.

mod eso;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;

use super::checks::access::{self, Question};
use super::checks::{key, token};
use super::cluster::{Account, Cluster};
use crate::auth::TokenRules;
use crate::doctor::report::Check;
use crate::eso::url::{self, Url};
use crate::policy::ServePolicy;
use crate::secrets::{Read, ReadError, SecretName, SecretStore};

/// How many calls are under way at once.
const AT_ONCE: usize = 8;
/// The ServiceAccount that is asked about where none is named.
const ACCOUNT: &str = "vsecm-scout";

/// One look at a setup.
pub struct Examination {
    /// Where the service reads Secrets.
    pub store: Arc<dyn SecretStore>,
    /// Its cluster, if it is one.
    pub cluster: Option<Cluster>,
    /// ESO's cluster, if it is known.
    pub eso: Option<EsoSide>,
    pub rules: TokenRules,
    pub policy: ServePolicy,
    /// The service's deadline for an answer.
    pub deadline: Duration,
    pub account: Option<SecretName>,
    pub tls_secret: Option<SecretName>,
    /// Where the service is reached from here.
    pub url: Option<Url>,
}

/// The cluster in which ESO runs.
pub struct EsoSide {
    pub cluster: Cluster,
    /// Its Secrets.
    pub store: Arc<dyn SecretStore>,
    /// Whether it is the service's cluster too.
    pub same_cluster: bool,
}

impl Examination {
    /// Every check of the setup.
    pub async fn of_everything(&self) -> anyhow::Result<Vec<Check>> {
        let now = Timestamp::now();
        let token = self.read(&self.policy.token_secret).await?;
        let eso_reads_it = match &self.eso {
            Some(eso) => eso.same_cluster && eso.cluster.knows_eso().await,
            None => false,
        };
        let mut checks =
            token::checks(&self.policy.token_secret, &self.rules, &token, now, eso_reads_it);
        if let Some(cluster) = &self.cluster {
            checks.extend(self.of_access(cluster).await);
        }
        match &self.eso {
            Some(eso) => checks.extend(self.of_eso(eso, &token, now).await),
            None => checks.push(Check::unknown(
                "stores",
                "stores",
                "not checked: a folder of manifests has no ESO. Name its cluster with --eso-kubeconfig",
            )),
        }
        Ok(checks)
    }

    /// How one key is read.
    pub async fn of_key(&self, key: &str, property: Option<&str>) -> anyhow::Result<Vec<Check>> {
        let query = key::query(&url::query_of_key(key, property), &self.policy);
        let Ok(found) = &query else { return Ok(key::checks(&query, &self.policy, None)) };
        let read = self.read(&found.secret).await?;
        let mut checks = key::checks(&query, &self.policy, Some(&read));
        if let Some(cluster) = &self.cluster {
            let account = self.account(cluster).await;
            let answer = cluster.may(&account, &Question::get(&found.secret)).await;
            checks.push(access::of_key(&account.to_string(), &found.secret, &answer));
        }
        Ok(checks)
    }

    /// Reads a Secret. Where the API server cannot be asked at all, there is nothing to report.
    async fn read(&self, name: &SecretName) -> anyhow::Result<Read> {
        match self.store.read(name).await {
            Err(error @ ReadError::Unavailable { .. }) => Err(anyhow::anyhow!(
                "{error}: see that kubectl reaches it with the same kubeconfig (kubectl get --raw /readyz)"
            )),
            read => Ok(read),
        }
    }

    async fn account(&self, cluster: &Cluster) -> Account {
        if let Some(account) = &self.account {
            return Account::Other(account.clone());
        }
        let user = cluster.user().await.unwrap_or_default();
        match SecretName::new(self.policy.default_namespace.clone(), ACCOUNT) {
            Ok(account) if !user.starts_with("system:serviceaccount:") => Account::Other(account),
            _ => Account::Own(user),
        }
    }

    async fn of_access(&self, cluster: &Cluster) -> Vec<Check> {
        let account = &self.account(cluster).await;
        let answers: Vec<_> = stream::iter(access::questions(&self.policy))
            .map(|question| async move {
                let answer = cluster.may(account, &question).await;
                (question, answer)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        access::checks(&account.to_string(), &self.policy, &answers)
    }
}
