//! Instances of functions that have ended are replaced, as AWS does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::history::History;
use crate::violations::{Invariant, Violation};
use crate::world::World;

/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// Starts another process in the place of each instance that has ended. Never
/// ends.
pub(super) async fn keep_functions(world: Arc<World>, history: Arc<History>) {
    loop {
        sleep(PERIOD).await;
        for function in world.functions.iter().filter(|function| !function.latest().lives()) {
            if let Err(error) = function.start_again().await {
                let what = format!("an instance cannot be replaced: {error:#}");
                history.blame(Violation::general(Invariant::Processes, what));
                return;
            }
        }
    }
}
