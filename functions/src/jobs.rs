//! `/jobs`: one file per verb.

pub(crate) mod attempts;
pub(crate) mod batch;
pub(crate) mod cancel;
pub(crate) mod list;
pub(crate) mod redrive;
pub(crate) mod remove;
pub(crate) mod result;
pub(crate) mod show;
pub(crate) mod submit;
pub(crate) mod update;

pub(crate) mod describe;
mod view;

pub(crate) use describe::{KEY_LIMIT, SUBMITTER_LIMIT};
pub(crate) use view::{BaseUrl, with_urls};
