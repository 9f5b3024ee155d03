//! NATS: doorbells, the live feed, and what processes whisper to each other.
//! The only user of async-nats.
//!
//! Nothing here is the only copy of anything. Whatever is lost, doubled, late
//! or out of order costs time; the ledger decides.

mod beats;
mod bells;
mod connection;
mod error;
mod feed;
mod news;
mod publish;
mod topology;

pub use beats::Beats;
pub use bells::{Bell, Bells};
pub use connection::{Link, Messaging};
pub use error::MessagingError;
pub use feed::{CancelRequests, Feed, Postponements, Received};
pub use publish::{Receipt, Refusal};
pub use topology::STREAM_COUNT;
