//! What a store trusts, and the certificate that it meets.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{EsoSide, Examination};
use crate::doctor::checks::Unread;
use crate::doctor::checks::certificate::{self, Ca, Compared};
use crate::doctor::handshake::shake;
use crate::eso::Store;
use crate::eso::url::Url;
use crate::secrets::ReadError;
use crate::server::pem;

impl Examination {
    /// Compares what a store trusts with the certificate of the service.
    pub(super) async fn compare(&self, store: &Store, ca: &Ca) -> Compared {
        let (Ca::Pem(pem), Some(asked)) = (ca, Url::of(store)) else {
            return Compared::Nothing("there is none".to_owned());
        };
        let Some(roots) = certificate::roots(pem) else {
            return Compared::Nothing("there is none".to_owned());
        };
        let at = self.url.as_ref().unwrap_or(&asked).authority();
        let unreached = match shake(&at, &asked.host, Arc::clone(&roots)).await {
            Ok(verdict) => return Compared::With(at, verdict),
            Err(error) => format!("{at} cannot be reached from here ({error})"),
        };
        let Some(name) = &self.tls_secret else { return Compared::Nothing(unreached) };
        let read = self.store.read(name).await.ok();
        let chain = read.and_then(|secret| pem::certificates(secret.entries.get("tls.crt")?).ok());
        match chain.filter(|chain| !chain.is_empty()) {
            Some(chain) => Compared::With(
                format!("Secret {name}"),
                certificate::verify(roots, &chain, &asked.host),
            ),
            None => Compared::Nothing(format!("Secret {name} gives no tls.crt")),
        }
    }
}

/// The CA of a store, as ESO finds it: caBundle before caProvider.
pub(super) async fn ca(eso: &EsoSide, store: &Store) -> Ca {
    if let Some(bundle) = store.webhook.ca_bundle.as_ref().filter(|bundle| !bundle.is_empty()) {
        let pem = STANDARD.decode(bundle).unwrap_or_default();
        // ESO takes base64 of base64 too.
        return Ca::Pem(STANDARD.decode(pem.trim_ascii()).unwrap_or(pem));
    }
    let Some(provider) = &store.webhook.ca_provider else { return Ca::None };
    let name = match store.resolve(&provider.name, provider.namespace.as_deref()) {
        Ok(name) => name,
        Err(_) => return Ca::Unread(Unread::Failed("its reference leads nowhere".to_owned())),
    };
    if provider.kind == "ConfigMap" {
        return match eso.cluster.config(&name, &provider.key).await {
            Ok(Some(pem)) => Ca::Pem(pem.into_bytes()),
            Ok(None) => Ca::Unread(Unread::NotFound),
            Err(error) => Ca::Unread(error),
        };
    }
    match eso.store.read(&name).await {
        Ok(secret) => match secret.entries.get(&provider.key) {
            Some(pem) => Ca::Pem(pem.to_vec()),
            None => Ca::Unread(Unread::NotFound),
        },
        Err(ReadError::NotFound) => Ca::Unread(Unread::NotFound),
        Err(ReadError::Forbidden) => Ca::Unread(Unread::Forbidden),
        Err(error) => Ca::Unread(Unread::Failed(error.to_string())),
    }
}
