//! Tests as libtest-mimic lists and runs them, and the control plane that they share.

use std::env;
use std::sync::{Arc, LazyLock};

use anyhow::Result;
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, RwLock};

use super::control_plane::{ControlPlane, Options};
use super::parts::{BUILD_SCRIPT, DeployParts, Missing, Parts};

/// One runtime for all tests: what a test leaves on the shared control plane may
/// outlive the test.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(Runtime::new);

static SHARED: Mutex<Option<Arc<ControlPlane>>> = Mutex::const_new(None);

/// Held by each test, for itself alone by one of [`lone_trial`].
static ROOM: RwLock<()> = RwLock::const_new(());

/// A test that needs the parts. Where they are missing it is listed as ignored
/// with the script that builds them, or fails if `VSECM_SCOUT_TEST_REQUIRE_CLUSTER=1`.
pub(crate) fn trial<F, Fut>(name: &str, test: F) -> Trial
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>>,
{
    trial_unless(Parts::find().err(), name, || beside_others(test()))
}

/// [`trial`] beside which no other test runs: for what depends on how fast things go.
pub(crate) fn lone_trial<F, Fut>(name: &str, test: F) -> Trial
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>>,
{
    let alone = || async {
        let _room = ROOM.write().await;
        test().await
    };
    trial_unless(Parts::find().err(), name, alone)
}

/// [`trial`] that needs the parts of `deploy/` too.
pub(crate) fn deploy_trial<F, Fut>(name: &str, test: F) -> Trial
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>>,
{
    let missing = Parts::find().err().or(DeployParts::find().err());
    trial_unless(missing, name, || beside_others(test()))
}

async fn beside_others(test: impl Future<Output = Result<()>>) -> Result<()> {
    let _room = ROOM.read().await;
    test.await
}

fn trial_unless<F, Fut>(missing: Option<Missing>, name: &str, test: F) -> Trial
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>>,
{
    let required =
        env::var_os("VSECM_SCOUT_TEST_REQUIRE_CLUSTER").is_some_and(|value| value == "1");
    let ignored = missing.is_some() && !required;
    let trial = Trial::test(name, move || match missing {
        Some(missing) => Err(Failed::from(missing)),
        None => block_on(test()).map_err(|error| Failed::from(format!("{error:?}"))),
    });
    if ignored {
        trial.with_kind(format!("needs {BUILD_SCRIPT}")).with_ignored_flag(true)
    } else {
        trial
    }
}

/// The control plane that the tests of this process share, started when first
/// asked for. Namespaces keep the tests apart; objects without one need unique names.
pub(crate) async fn shared() -> Result<Arc<ControlPlane>> {
    let mut shared = SHARED.lock().await;
    if let Some(plane) = &*shared {
        return Ok(plane.clone());
    }
    let plane = Arc::new(ControlPlane::start(&Parts::find()?, Options::default()).await?);
    Ok(shared.insert(plane).clone())
}

/// Ends the shared control plane and removes its files: to be called when all
/// tests have run. (Its processes end with this one in any case.)
pub(crate) fn shutdown() {
    if let Ok(runtime) = &*RUNTIME {
        drop(runtime.block_on(SHARED.lock()).take());
    }
}

fn block_on<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    match &*RUNTIME {
        Ok(runtime) => runtime.block_on(test),
        Err(error) => anyhow::bail!("no runtime: {error}"),
    }
}
