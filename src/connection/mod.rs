//! One client's connection, as its requests and the server both see it, and the limits that hold
//! for all of them: how many are open, and how many requests are in flight.

mod in_flight;
mod metrics;
mod state;
mod table;

pub use in_flight::{InFlight, RequestPermit};
pub use metrics::{Closed, Metrics};
pub use state::{Connection, EvictionClass, InFlightRequest, TimeoutKind};
pub use table::{ConnectionGuard, Connections, PendingConnection};
