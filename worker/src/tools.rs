//! What carries jobs out.

mod simulate;

use jetlane_core::causes;
use jetlane_core::config::SimulateConfig;
use jetlane_core::domain::Tool;
use rand::rngs::StdRng;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::supervise::Yield;

/// Why a tool brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// Another attempt may do better.
    #[error("transient: {}", causes(.0))]
    Transient(anyhow::Error),
    /// No other attempt would do better.
    #[error("permanent: {}", causes(.0))]
    Permanent(anyhow::Error),
}

/// The latest share of the work that is done, 0 to 1.
pub(crate) type Progress = watch::Sender<Option<f32>>;

/// What a tool is told.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// What the submitter asked for.
    pub(crate) params: Map<String, Value>,
    /// The GPU to work on.
    pub(crate) gpu_id: i32,
    /// Which attempt this is, from 1.
    pub(crate) attempt: i32,
    /// Where to tell how far it is.
    pub(crate) progress: Progress,
    /// Chance.
    pub(crate) rng: StdRng,
}

/// Runs `tool`. Dropping the future stops it.
///
/// # Errors
///
/// [`ToolError`].
pub(crate) async fn run(tool: Tool, assignment: Assignment, simulate: SimulateConfig) -> Yield {
    match tool {
        Tool::Simulate => simulate::run(assignment, simulate).await,
    }
}
