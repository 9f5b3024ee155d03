//! What the system tests and the fault campaign share: the product's
//! processes, its functions as AWS runs them, proxies that carry badly, waiting
//! for what must come, and reading event streams.
#![expect(clippy::unwrap_used, reason = "in a test an error is a failure, told where it happens")]

mod lambda;
mod patience;
mod processes;
mod proxy;
mod sse;

pub use lambda::{Gateway, Instance, Limits, NoAnswer};
pub use patience::{PATIENCE, PROMPT, eventually};
pub use processes::{Crashes, Process};
pub use proxy::{Proxy, Weather};
pub use sse::{Frame, Frames};
