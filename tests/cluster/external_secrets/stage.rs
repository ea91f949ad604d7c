//! The service, and ESO's side of it: what the tests of this folder begin with.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{fs, str};

use anyhow::{Context, Result, anyhow, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::harness::{ControlPlane, Kubectl, eventually};
use crate::scout::{Scout, Site, readme};

/// How long ESO may take: it has one worker, and other tests keep it busy too.
pub(super) const IN_TIME: Duration = Duration::from_secs(90);

/// A running service and a namespace with ESO's objects, which may be on another control plane.
///
/// Manifests are written as README writes them. [`Self::fitted`] puts this stage's names into them.
pub(super) struct Stage {
    /// What is served, and the service's ServiceAccount.
    pub(super) site: Site,
    /// The service.
    pub(super) scout: Scout,
    /// ESO's namespace. Its ClusterSecretStore has the same name.
    pub(super) namespace: String,
    /// kubectl in the namespace where ESO is.
    pub(super) kubectl: Kubectl,
    /// kubectl in the namespace that the service reads.
    pub(super) served: Kubectl,
    client: Client,
    served_client: Client,
}

/// The entries of a Secret.
pub(super) struct Entries(BTreeMap<String, ByteString>);

impl Stage {
    /// ESO and what is served in one namespace of one control plane.
    pub(super) async fn new(plane: &ControlPlane, prefix: &str) -> Result<Self> {
        Self::on(plane, Site::new(plane, prefix).await?, &[]).await
    }

    /// [`Self::new`] for a site, with flags for the service.
    pub(super) async fn on(plane: &ControlPlane, site: Site, flags: &[&str]) -> Result<Self> {
        let namespace = site.namespace.clone();
        Self::of(site, namespace, plane, plane, flags).await
    }

    /// ESO on `plane`, with a copy of the token Secret, and what is served on `served`.
    pub(super) async fn apart(
        served: &ControlPlane,
        plane: &ControlPlane,
        prefix: &str,
    ) -> Result<Self> {
        let site = Site::new(served, prefix).await?;
        let namespace = plane.namespace(prefix).await?;
        let stage = Self::of(site, namespace, served, plane, &[]).await?;
        let token_secret = stage.fitted(readme("token-secret")?);
        stage.kubectl.run_with(&["create", "-f", "-"], &token_secret).await?;
        Ok(stage)
    }

    async fn of(
        site: Site,
        namespace: String,
        served: &ControlPlane,
        plane: &ControlPlane,
        flags: &[&str],
    ) -> Result<Self> {
        plane.eso().await?;
        let stage = Self {
            scout: site.start(flags)?,
            kubectl: kubectl_in(plane, &namespace).await?,
            served: kubectl_in(served, &site.namespace).await?,
            client: plane.client().await?,
            served_client: served.client().await?,
            site,
            namespace,
        };
        stage.publish_ca().await?;
        Ok(stage)
    }

    /// Gives ESO the CA, by README's command.
    async fn publish_ca(&self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("ca.crt");
        fs::write(&file, self.scout.ca.pem())?;
        let command = edited(readme("ca")?, "=ca.crt", &format!("={}", file.display()))?;
        self.kubectl.script(&command).await?;
        Ok(())
    }

    /// Manifests with this stage's address, namespace, store and token in place of README's.
    pub(super) fn fitted(&self, manifests: &str) -> String {
        let address = self.scout.address.to_string();
        manifests
            .replace("vsecm-scout.default.svc.cluster.local:8443", &address)
            .replace("namespace: default", &format!("namespace: {}", self.namespace))
            .replace("name: vsecm-scout\n", &format!("name: {}\n", self.namespace))
            .replace("YOUR-JWT", &self.site.token)
    }

    /// Applies manifests on ESO's side.
    pub(super) async fn apply(&self, manifests: &str) -> Result<()> {
        self.kubectl.apply(&self.fitted(manifests)).await?;
        Ok(())
    }

    /// Waits until ESO has looked at README's store.
    pub(super) async fn store_ready(&self) -> Result<()> {
        let store = format!("clustersecretstore/{}", self.namespace);
        self.kubectl.run(&["wait", "--for=condition=Ready", "--timeout=90s", &store]).await?;
        Ok(())
    }

    /// Creates an ExternalSecret. `spec` is what it has beside the reference to README's store.
    pub(super) async fn external_secret(&self, name: &str, mut spec: Value) -> Result<()> {
        let store = json!({ "kind": "ClusterSecretStore", "name": self.namespace });
        let fields = spec.as_object_mut().context("a spec is an object")?;
        fields.entry("secretStoreRef").or_insert(store);
        let manifest = json!({
            "apiVersion": "external-secrets.io/v1",
            "kind": "ExternalSecret",
            "metadata": { "name": name },
            "spec": spec,
        });
        self.kubectl.apply(&manifest.to_string()).await?;
        Ok(())
    }

    /// Creates a Secret that may be served.
    pub(super) async fn serve(&self, name: &str, entries: &[(&str, &[u8])]) -> Result<()> {
        let entry = |(name, value): &(&str, &[u8])| (name.to_string(), ByteString(value.to_vec()));
        let mut secret =
            Secret { data: Some(entries.iter().map(entry).collect()), ..Secret::default() };
        secret.metadata.name = Some(name.to_owned());
        secret.metadata.labels = Some([("scout.vsecm.com/serve".into(), "true".into())].into());
        let secrets: Api<Secret> =
            Api::namespaced(self.served_client.clone(), &self.site.namespace);
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// Waits until an ExternalSecret is Ready. Gives the entries of its target, `SECRET`.
    pub(super) async fn filled(&self, external_secret: &str, secret: &str) -> Result<Entries> {
        let name = format!("externalsecret/{external_secret}");
        let ready = ["wait", "--for=condition=Ready", "--timeout=90s", &name];
        if let Err(error) = self.kubectl.run(&ready).await {
            return Err(error.context(format!("{:#?}", self.events(external_secret).await)));
        }
        self.target(secret).await?.context("the ExternalSecret is Ready and has no target")
    }

    /// The entries of a target, if it is there.
    pub(super) async fn target(&self, secret: &str) -> Result<Option<Entries>> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets.get_opt(secret).await?;
        Ok(secret.map(|secret| Entries(secret.data.unwrap_or_default())))
    }

    /// The events of an ExternalSecret, as type and message.
    pub(super) async fn events(&self, external_secret: &str) -> Result<Vec<String>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let about = ListParams::default().fields(&format!(
            "involvedObject.kind=ExternalSecret,involvedObject.name={external_secret}"
        ));
        let events = events.list(&about).await?.into_iter();
        let text = |event: Event| {
            format!("{} {}", event.type_.unwrap_or_default(), event.message.unwrap_or_default())
        };
        Ok(events.map(text).collect())
    }

    /// Waits until an event of an ExternalSecret tells `text`.
    pub(super) async fn told(&self, external_secret: &str, text: &str) -> Result<()> {
        eventually(text, IN_TIME, || async {
            let events = self.events(external_secret).await?;
            ensure!(events.iter().any(|event| event.contains(text)), "{events:#?}");
            Ok(Some(()))
        })
        .await
    }

    /// Makes ESO refresh an ExternalSecret at once, by README's command.
    pub(super) async fn refresh(&self, external_secret: &str) -> Result<()> {
        let command = edited(readme("refresh")?, "example-external-secret", external_secret)?;
        let annotation = "jsonpath={.metadata.annotations.force-sync}";
        let get = ["get", "externalsecret", external_secret, "-o", annotation];
        let before = self.kubectl.run(&get).await?;
        // The command counts seconds: twice within one, and nothing has changed for ESO.
        eventually("another annotation", IN_TIME, || async {
            self.kubectl.script(&command).await?;
            Ok((self.kubectl.run(&get).await? != before).then_some(()))
        })
        .await
    }

    /// The service's audit lines.
    pub(super) fn requests(&self) -> Vec<Value> {
        let lines = self.scout.process.log().into_iter();
        lines.filter(|line| line["message"] == "request").collect()
    }
}

impl Entries {
    /// The text of an entry.
    pub(super) fn text(&self, entry: &str) -> Result<&str> {
        Ok(str::from_utf8(self.bytes(entry)?)?)
    }

    /// The bytes of an entry.
    pub(super) fn bytes(&self, entry: &str) -> Result<&[u8]> {
        let entries = || anyhow!("no {entry} among {:?}", self.names());
        Ok(&self.0.get(entry).with_context(entries)?.0)
    }

    /// The names of all entries.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// A text with one thing changed. It must be there.
pub(super) fn edited(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "no {from:?} in:\n{text}");
    Ok(text.replace(from, to))
}

/// kubectl for the admin, with `namespace` as its default.
async fn kubectl_in(plane: &ControlPlane, namespace: &str) -> Result<Kubectl> {
    let kubeconfig = plane.folder().join(format!("admin.{namespace}.kubeconfig"));
    fs::copy(plane.kubeconfig(), &kubeconfig)?;
    let kubectl = plane.kubectl_with(&kubeconfig);
    kubectl.run(&["config", "set-context", "--current", "--namespace", namespace]).await?;
    Ok(kubectl)
}
