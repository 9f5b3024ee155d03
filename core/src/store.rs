//! The ledger: the only SQL of the product.
//!
//! [`Ledger`] is what the rest calls. Below it, one file per statement or pair
//! of statements. Every change of a job is one statement that also writes the
//! job's next event and what is owed to NATS, and hands both back as a
//! [`Change`](crate::domain::Change). A job with a concurrency key takes a
//! short transaction instead, so that the key moves on with it.
//!
//! Rows that a statement has picked it changes by `id = ANY(ARRAY(SELECT id …))`.
//! Of a `LIMIT` that is a parameter the planner expects a tenth of all rows, and
//! would join them with the whole table; of an array it expects a few.

#[macro_use]
mod change;

mod accept;
mod cancel;
mod claim;
mod delete;
mod error;
mod feed;
mod find;
mod isolate;
mod keys;
mod lanes;
mod latest;
mod ledger;
mod list;
mod migrate;
mod outbox;
mod pool;
mod promote;
mod prune;
mod ranking;
mod reach;
mod reap;
mod redrive;
mod renew;
mod repeats;
mod row;
mod settle;
mod shares;
mod update;
mod workers;

pub use cancel::Cancelled;
pub use claim::{Claim, Claims, Sight, Unreadable};
pub use delete::Deleted;
pub use error::StoreError;
pub use feed::{FeedFilter, FeedHead, FeedKey};
pub use keys::{Key, Readmitted};
pub use ledger::Ledger;
pub use list::JobFilter;
pub use migrate::{migrate, pending_migrations};
pub use outbox::{Due, Taken};
pub use pool::{Connections, PoolSettings, RESTED, connect, connect_lazy};
pub use promote::Promoted;
pub use prune::{Pruned, Retention};
pub use ranking::Ranked;
pub use reap::{Reaped, SILENCE};
pub use redrive::DeadFilter;
pub use renew::{Held, Renewed};
pub use repeats::{Acceptance, Refused};
pub use shares::MOST_TENANTS;
pub use update::Updated;
