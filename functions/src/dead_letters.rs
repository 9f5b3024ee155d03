//! `/dead-letters`: jobs that failed with no attempt left, one file per verb.

mod filter;
mod list;
mod many;

pub(crate) use list::list;
pub(crate) use many::{purge, redrive};
