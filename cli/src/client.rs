//! The HTTP API from outside, as any other client sees it.

mod api;
mod error;
mod event;
mod feed;
mod job;
mod repeats;
mod sse;

pub(crate) use api::Api;
pub(crate) use error::ClientError;
pub(crate) use event::JobEvent;
pub(crate) use feed::{Feed, FeedFilter, Sighting};
pub(crate) use job::{CancelAnswer, JobFilter, JobView, NewJob};
pub(crate) use repeats::Repeats;
