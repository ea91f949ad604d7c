//! A real control plane for tests: etcd, kube-apiserver, kubectl and External
//! Secrets Operator's controller, started by the test process and ended with it.
//!
//! ```ignore
//! fn main() -> ExitCode {
//!     let trials = vec![harness::trial("a_secret_is_read", a_secret_is_read)];
//!     let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
//!     harness::shutdown();
//!     conclusion.exit_code()
//! }
//!
//! async fn a_secret_is_read() -> anyhow::Result<()> {
//!     let plane = harness::shared().await?;
//!     let namespace = plane.namespace("read").await?;
//!     plane.kubectl().apply_in(&namespace, "…").await?;
//!     Ok(())
//! }
//! ```

#![allow(
    dead_code,
    unused_imports,
    reason = "shared by several test programs, none of which needs all of it"
)]

mod accounts;
mod api_server;
mod audit;
mod control_plane;
mod eso;
mod etcd;
mod kubeconfig;
mod kubectl;
mod parts;
pub(crate) mod pki;
pub(crate) mod port;
pub(crate) mod process;
mod trials;
mod wait;

pub(crate) use accounts::ServiceAccount;
pub(crate) use audit::AuditEvent;
pub(crate) use control_plane::{ControlPlane, Options};
pub(crate) use eso::{Eso, install_crds};
pub(crate) use kubectl::Kubectl;
pub(crate) use parts::{DeployParts, Parts};
pub(crate) use trials::{deploy_trial, lone_trial, shared, shutdown, trial};
pub(crate) use wait::eventually;
