//! Running a tool until it ends, its time is up, or it is to stop.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::leases::Stop;
use crate::outcome::Failure;
use crate::tools::ToolError;

/// What a tool brings.
pub(crate) type Yield = Result<Option<Value>, ToolError>;

/// How a tool's run ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself, or for a fault of its own.
    Finished(Result<Option<Value>, Failure>),
    /// It was stopped.
    Stopped(Stop),
}

/// Runs `work` as a task of its own in `tasks`, for `limit` at most, unless
/// `stop` comes first.
///
/// A panic ends the task and nothing else. On time-out and stop the task is
/// told to end, but not waited for: wait for `tasks` before its GPU is given
/// to another.
pub(crate) async fn supervise(
    tasks: &mut JoinSet<Yield>,
    work: impl Future<Output = Yield> + Send + 'static,
    limit: Option<Duration>,
    stop: impl Future<Output = Stop>,
) -> Ended {
    tasks.spawn(work);
    let ended = tokio::select! {
        // A result that is there counts, whatever else happened meanwhile.
        biased;
        Some(joined) = tasks.join_next() => match joined {
            Ok(result) => Ended::Finished(result.map_err(Failure::Tool)),
            Err(error) if error.is_panic() => Ended::Finished(Err(Failure::Panic)),
            // Only a runtime that goes down cancels a task behind our back.
            Err(_) => Ended::Stopped(Stop::Aborted),
        },
        stop = stop => Ended::Stopped(stop),
        limit = elapsed(limit) => Ended::Finished(Err(Failure::Timeout(limit))),
    };
    tasks.abort_all();
    ended
}

async fn elapsed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;

    use super::*;

    const LIMIT: Option<Duration> = Some(Duration::from_secs(3));

    async fn ended(
        work: impl Future<Output = Yield> + Send + 'static,
        limit: Option<Duration>,
        stop: impl Future<Output = Stop>,
    ) -> Ended {
        let mut tasks = JoinSet::new();
        let ended = supervise(&mut tasks, work, limit, stop).await;
        tasks.shutdown().await;
        ended
    }

    /// Says whether it has been dropped.
    struct Tell(Arc<AtomicBool>);

    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_in_time_is_the_tools_own() {
        let end = ended(async { Ok(Some(json!(7))) }, LIMIT, pending()).await;
        assert!(matches!(end, Ended::Finished(Ok(Some(value))) if value == json!(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_the_tools_own() {
        let work = async { Err(ToolError::Permanent(anyhow::anyhow!("no"))) };
        let end = ended(work, LIMIT, pending()).await;
        assert!(matches!(end, Ended::Finished(Err(Failure::Tool(ToolError::Permanent(_))))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_of_this_attempt_alone() {
        let end = ended(async { panic!("on purpose") }, LIMIT, pending()).await;
        assert!(matches!(end, Ended::Finished(Err(Failure::Panic))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tool_that_takes_too_long_is_dropped() {
        let dropped = Arc::new(AtomicBool::new(false));
        let tell = Tell(Arc::clone(&dropped));
        let work = async move {
            let _tell = tell;
            pending().await
        };

        let end = ended(work, LIMIT, pending()).await;

        assert!(
            matches!(end, Ended::Finished(Err(Failure::Timeout(limit))) if Some(limit) == LIMIT)
        );
        assert!(dropped.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_a_tool_may_take_for_ever() {
        let work = async {
            sleep(Duration::from_hours(1000)).await;
            Ok(None)
        };
        assert!(matches!(ended(work, None, pending()).await, Ended::Finished(Ok(None))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_a_tool_that_runs() {
        let end = ended(pending(), LIMIT, ready(Stop::CancelRequested)).await;
        assert!(matches!(end, Ended::Stopped(Stop::CancelRequested)));
    }
}
