//! `/jobs`: one file per verb.

pub(crate) mod cancel;
pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod result;
pub(crate) mod show;
pub(crate) mod submit;
pub(crate) mod update;

mod view;
