//! What Jetlane's deployables share.
//!
//! * [`domain`]: jobs, lanes, attempts, leases, events; no I/O.
//! * [`store`]: the ledger. The only SQL of the product.
//! * [`messaging`]: doorbells and the live feed. The only user of async-nats.
//! * [`outbox`]: what brings committed changes from the ledger to the feed.
//! * [`batch`]: doing together what was asked for meanwhile.
//! * [`config`]: the only reader of the environment.
//! * [`telemetry`], [`clock`], [`shutdown`], [`causes()`]: what every process needs.
//!
//! `store` and `messaging` never name each other; `outbox` joins them.

pub mod batch;
pub mod clock;
pub mod config;
pub mod domain;
pub mod messaging;
pub mod outbox;
pub mod shutdown;
pub mod store;
pub mod telemetry;

mod causes;

pub use causes::causes;
