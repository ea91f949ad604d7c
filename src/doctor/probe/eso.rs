//! ESO's side: stores that point at the service, and ExternalSecrets of those.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;

use super::{AT_ONCE, EsoSide, Examination, trust};
use crate::doctor::checks::external_secret::{self, Outlook};
use crate::doctor::checks::store::{self, Facts};
use crate::doctor::checks::{Unread, key};
use crate::doctor::report::Check;
use crate::eso::{ExternalSecret, Store, Want, url};
use crate::policy::ServePolicy;
use crate::problem::Problem;
use crate::query::Query;
use crate::secrets::{Namespace, Read, ReadError, SecretName, SecretStore};

impl Examination {
    pub(super) async fn of_eso(&self, eso: &EsoSide, token: &Read, now: Timestamp) -> Vec<Check> {
        let namespaces = self.namespaces();
        let mut checks = Vec::new();
        let mut stores = Vec::new();
        for kind in ["ClusterSecretStore", "SecretStore"] {
            match eso.cluster.list(kind, &namespaces).await {
                Ok(objects) => stores.extend(objects.iter().filter_map(Store::parse)),
                Err(error) => checks.push(not_listed(kind, &error)),
            }
        }
        stores.retain(|store| store::is_ours(store, &self.policy.token_secret));
        let externals = match eso.cluster.list("ExternalSecret", &namespaces).await {
            Ok(objects) => objects.iter().filter_map(ExternalSecret::parse).collect(),
            Err(error) => {
                checks.push(not_listed("ExternalSecret", &error));
                Vec::new()
            }
        };
        if stores.is_empty() && checks.is_empty() {
            let finding = format!(
                "no store points at the service: none asks the path /webhook or names a Secret {}",
                self.policy.token_secret.name()
            );
            checks.push(Check::unknown("stores", "stores", finding));
        }
        let wants: Vec<(&ExternalSecret, &Want)> =
            externals.iter().flat_map(|es| es.wants.iter().map(move |want| (es, want))).collect();
        checks.extend(self.of_stores(eso, &stores, &wants, token, now).await);
        checks.extend(self.of_externals(eso, &stores, &externals).await);
        checks
    }

    async fn of_stores(
        &self,
        eso: &EsoSide,
        stores: &[Store],
        wants: &[(&ExternalSecret, &Want)],
        token: &Read,
        now: Timestamp,
    ) -> Vec<Check> {
        let named = stores.iter().flat_map(|store| {
            let secrets = store.webhook.secrets.iter().map(|secret| &secret.secret_ref);
            secrets.filter_map(|to| store.resolve(&to.name, to.namespace.as_deref()).ok())
        });
        let secrets = read_all(&*eso.store, named.collect()).await;
        let mut checks = Vec::new();
        for store in stores {
            let ca = trust::ca(eso, store).await;
            let (id, ready) = (&store.id, store.ready.as_ref());
            let last =
                eso.cluster.last_warning(id.kind(), id.namespace.as_deref(), &id.name, ready);
            let warning = last.await;
            let properties_wanted = wants
                .iter()
                .any(|(_, want)| want.store == store.id && !want.remote.property.is_empty());
            let facts = Facts {
                rules: &self.rules,
                policy: &self.policy,
                deadline: self.deadline,
                token,
                secrets: &secrets,
                same_cluster: eso.same_cluster,
                properties_wanted,
                ca: &ca,
                compared: &self.compare(store, &ca).await,
                warning: &warning,
                now,
            };
            checks.extend(store::checks(store, &facts));
        }
        checks
    }

    async fn of_externals(
        &self,
        eso: &EsoSide,
        stores: &[Store],
        externals: &[ExternalSecret],
    ) -> Vec<Check> {
        let store_of = |want: &Want| stores.iter().find(|store| store.id == want.store);
        let query_of = |external: &ExternalSecret, want: &Want| {
            let raw = url::query_of(store_of(want)?, &want.remote, &external.namespace)?;
            Some(key::query(&raw, &self.policy))
        };
        let queries = externals.iter().flat_map(|external| {
            external.wants.iter().filter_map(|want| query_of(external, want)?.ok())
        });
        let secrets = read_all(&*self.store, queries.map(|query| query.secret).collect()).await;
        let mut checks = Vec::new();
        for external in externals {
            let ours = external.wants.iter().filter(|want| store_of(want).is_some());
            let outlooks: Vec<_> = ours
                .map(|want| (want, outlook(query_of(external, want), &self.policy, &secrets)))
                .collect();
            if outlooks.is_empty() {
                continue;
            }
            let (namespace, ready) = (Some(external.namespace.as_str()), external.ready.as_ref());
            let warning =
                eso.cluster.last_warning("ExternalSecret", namespace, &external.name, ready).await;
            checks.extend(external_secret::checks(external, &outlooks, &warning));
        }
        checks
    }

    fn namespaces(&self) -> Vec<Namespace> {
        let mut namespaces = vec![self.policy.default_namespace.clone()];
        namespaces.extend(self.policy.other_namespaces.iter().cloned());
        namespaces
    }
}

fn not_listed(kind: &str, error: &Unread) -> Check {
    let subject = format!("{kind}s");
    let finding = match error {
        Unread::NotFound => {
            "external-secrets.io/v1 is not served here: no ESO, or an old one".to_owned()
        }
        error => error.to_string(),
    };
    Check::unknown("stores", &subject, finding)
}

/// Reads each of these Secrets once.
async fn read_all(
    store: &dyn SecretStore,
    names: BTreeSet<SecretName>,
) -> BTreeMap<SecretName, Read> {
    stream::iter(names)
        .map(|name| async move {
            let read = store.read(&name).await;
            (name, read)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

fn outlook(
    query: Option<Result<Query, Problem>>,
    policy: &ServePolicy,
    secrets: &BTreeMap<SecretName, Read>,
) -> Outlook {
    let query = match query {
        None => {
            return Outlook::Unjudged(
                "not checked: its store's URL has a template that does more than print fields",
            );
        }
        Some(Err(problem)) => return Outlook::Judged(None, Err(problem)),
        Some(Ok(query)) => query,
    };
    match secrets.get(&query.secret) {
        None | Some(Err(ReadError::Forbidden)) => {
            Outlook::Unjudged("its Secret was not checked: RBAC does not let you read it")
        }
        Some(read) => {
            let kind = key::judge(&query, policy, read);
            Outlook::Judged(Some(query.secret), kind)
        }
    }
}
