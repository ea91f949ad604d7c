//! A source whose reads are what a test says, for faults that a folder does not produce.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use vsecm_scout::secrets::{Read, ReadError, Secret, SecretName, SecretStore};

/// What a read of one Secret does.
#[derive(Clone)]
pub enum Behaviour {
    Holds(Arc<Secret>),
    Fails(ReadError),
    Hangs,
    Panics,
}

/// Secrets by `namespace/name`; what is not there is not found. It counts reads.
#[derive(Default)]
pub struct Scripted {
    secrets: Mutex<HashMap<String, Behaviour>>,
    reads: AtomicUsize,
}

impl Scripted {
    pub fn set(&self, name: &str, behaviour: Behaviour) {
        self.secrets.lock().unwrap().insert(name.to_owned(), behaviour);
    }

    /// How many reads have begun.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl SecretStore for Scripted {
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let behaviour = self.secrets.lock().unwrap().get(&name.to_string()).cloned();
        Box::pin(async move {
            match behaviour {
                None => Err(ReadError::NotFound),
                Some(Behaviour::Holds(secret)) => Ok(secret),
                Some(Behaviour::Fails(error)) => Err(error),
                Some(Behaviour::Hangs) => std::future::pending().await,
                Some(Behaviour::Panics) => panic!("the value is hunter2"),
            }
        })
    }
}

/// A Secret with the label that lets it be served.
pub fn served(entries: &[(&str, &[u8])]) -> Secret {
    let mut secret = secret(entries);
    secret.labels.insert("scout.vsecm.com/serve".to_owned(), "true".to_owned());
    secret
}

pub fn secret(entries: &[(&str, &[u8])]) -> Secret {
    let entries = entries.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec().into()));
    Secret { kind: "Opaque".to_owned(), entries: entries.collect(), ..Secret::default() }
}
