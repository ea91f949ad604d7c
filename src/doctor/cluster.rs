//! What the doctor asks an API server, beside Secrets. It lists and gets, and creates access
//! reviews, of which nothing is kept.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{Api, ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, Error};
use serde_json::Value;

use super::checks::access::Question;
use super::checks::{Unread, Warning};
use crate::eso::Ready;
use crate::secrets::{Namespace, SecretName};

/// For each call.
const PATIENCE: Duration = Duration::from_secs(5);

/// The API group of ESO's resources.
const ESO_GROUP: &str = "external-secrets.io";

/// One cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

/// Whose permissions are asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// Whoever asks, by the name that the API server knows.
    Own(String),
    /// A ServiceAccount.
    Other(SecretName),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(user) => f.write_str(user),
            Self::Other(account) => write!(f, "ServiceAccount {account}"),
        }
    }
}

impl Cluster {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Who asks, by the API server's own word.
    pub async fn user(&self) -> Result<String, Unread> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = SelfSubjectReview::default();
        let reviewed = within(reviews.create(&PostParams::default(), &review)).await?;
        let user = reviewed.status.and_then(|status| status.user_info);
        Ok(user.and_then(|user| user.username).unwrap_or_default())
    }

    /// Whether an account may do something.
    pub async fn may(&self, account: &Account, question: &Question) -> Result<bool, Unread> {
        let resource_attributes = Some(ResourceAttributes {
            verb: Some(question.verb.to_owned()),
            group: Some(question.group.to_owned()),
            resource: Some(question.resource.to_owned()),
            namespace: question.namespace.clone(),
            name: question.name.clone(),
            ..ResourceAttributes::default()
        });
        let status: Option<SubjectAccessReviewStatus> = match account {
            Account::Own(_) => {
                let spec = SelfSubjectAccessReviewSpec {
                    resource_attributes,
                    ..SelfSubjectAccessReviewSpec::default()
                };
                let review = SelfSubjectAccessReview { spec, ..Default::default() };
                let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
                within(reviews.create(&PostParams::default(), &review)).await?.status
            }
            Account::Other(account) => {
                let spec = SubjectAccessReviewSpec {
                    resource_attributes,
                    user: Some(format!(
                        "system:serviceaccount:{}:{}",
                        account.namespace,
                        account.name()
                    )),
                    groups: Some(groups(&account.namespace)),
                    ..SubjectAccessReviewSpec::default()
                };
                let review = SubjectAccessReview { spec, ..Default::default() };
                let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
                within(reviews.create(&PostParams::default(), &review)).await?.status
            }
        };
        Ok(status.is_some_and(|status| status.allowed))
    }

    /// Whether it has resources of ESO's, of any version; also where that cannot be told.
    pub async fn knows_eso(&self) -> bool {
        let groups = within(self.client.list_api_groups()).await;
        groups.map_or(true, |known| known.groups.iter().any(|group| group.name == ESO_GROUP))
    }

    /// All objects of a kind of ESO's, in JSON; where RBAC forbids to list them everywhere, those
    /// of `namespaces`.
    pub async fn list(&self, kind: &str, namespaces: &[Namespace]) -> Result<Vec<Value>, Unread> {
        let version = GroupVersionKind::gvk(ESO_GROUP, "v1", kind);
        let resource = ApiResource::from_gvk(&version);
        let everywhere: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        match within(everywhere.list(&ListParams::default())).await {
            Err(Unread::Forbidden) if kind != "ClusterSecretStore" => {}
            listed => return values(listed?.items),
        }
        let mut found = Vec::new();
        for namespace in namespaces {
            let here: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), namespace.as_str(), &resource);
            found.extend(values(within(here.list(&ListParams::default())).await?.items)?);
        }
        Ok(found)
    }

    /// The message of the latest warning about an object of ESO's that is not Ready, given since
    /// it is not. Those about what has no namespace are kept in `default`.
    pub async fn last_warning(
        &self,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        ready: Option<&Ready>,
    ) -> Warning {
        let ready = ready.filter(|ready| !ready.is_ready)?;
        let events: Api<Event> =
            Api::namespaced(self.client.clone(), namespace.unwrap_or("default"));
        let about = format!("involvedObject.kind={kind},involvedObject.name={name},type=Warning");
        let listed = within(events.list(&ListParams::default().fields(&about))).await;
        // The event is written before the condition, and its time has whole seconds.
        let since = ready.since.map(|since| since.as_second() - 2);
        Some(listed.map(|events| {
            let latest = events.items.into_iter().max_by_key(seen)?;
            (seen(&latest) >= since).then_some(latest.message?)
        }))
    }

    /// An entry of a ConfigMap; `None` where there is no such entry.
    pub async fn config(&self, name: &SecretName, entry: &str) -> Result<Option<String>, Unread> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), name.namespace.as_str());
        let map = within(maps.get(name.name())).await?;
        Ok(map.data.and_then(|mut data| data.remove(entry)))
    }
}

/// When an event was last seen, in seconds since the epoch.
fn seen(event: &Event) -> Option<i64> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let last = event.last_timestamp.as_ref().map(|time| time.0.as_second());
    let first = event.event_time.as_ref().map(|time| time.0.as_second());
    last.or(series.map(|time| time.0.as_second())).or(first)
}

/// The groups that the API server puts a ServiceAccount of this namespace into.
fn groups(namespace: &Namespace) -> Vec<String> {
    let own = format!("system:serviceaccounts:{namespace}");
    vec!["system:serviceaccounts".to_owned(), own, "system:authenticated".to_owned()]
}

fn values(objects: Vec<DynamicObject>) -> Result<Vec<Value>, Unread> {
    let values = objects.into_iter().map(serde_json::to_value).collect::<Result<_, _>>();
    values.map_err(|_| Unread::Failed("an object is not JSON".to_owned()))
}

async fn within<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Unread> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unread(&error)),
        Err(_) => Err(Unread::Failed("the API server does not answer".to_owned())),
    }
}

/// What went wrong. The texts of errors may quote credentials or objects, and are not told.
fn unread(error: &Error) -> Unread {
    match error {
        Error::Api(status) if status.code == 403 => Unread::Forbidden,
        Error::Api(status) if status.code == 404 => Unread::NotFound,
        Error::Api(status) => Unread::Failed(format!("the API server answers {}", status.code)),
        _ => Unread::Failed("the API server cannot be reached or understood".to_owned()),
    }
}
