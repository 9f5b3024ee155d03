//! Takes time and reports progress, as real work would.
//!
//! | param | meaning | default |
//! | --- | --- | --- |
//! | `duration_ms` | how long it takes | by chance, as configured |
//! | `fail` | `"transient"`, `"permanent"`, or how many attempts fail | by chance, permanently |
//!
//! It brings the attempt, the GPU, and how long it was to take.
//!
//! Other params, meant for the work that is pretended, are passed over.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use jetlane_core::config::SimulateConfig;
use rand::RngExt;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use super::{Assignment, Progress, ToolError};
use crate::supervise::Yield;

/// Progress is reported about so often in a run…
const REPORTS: u32 = 10;

/// … but not more often than this.
const SHORTEST_TICK: Duration = Duration::from_millis(100);

/// How many failures `fail` can ask for: more than any job has attempts.
const MOST_FAILURES: u64 = 1_000_000;

/// Pretends to work.
///
/// # Errors
///
/// As the params or chance will have it; permanent, if the params are wrong.
pub(super) async fn run(mut assignment: Assignment, config: SimulateConfig) -> Yield {
    let params = Params::read(&assignment.params).map_err(ToolError::Permanent)?;
    let rng = &mut assignment.rng;
    let duration =
        params.duration.unwrap_or_else(|| rng.random_range(config.shortest..=config.longest));
    let is_unlucky = rng.random_bool(config.failure_rate);

    pass(duration, &assignment.progress).await;

    match params.fail {
        Some(Fail::Transient) => Err(ToolError::Transient(anyhow!("failed as asked"))),
        Some(Fail::First(n)) if u64::from(assignment.attempt.unsigned_abs()) <= n => {
            Err(ToolError::Transient(anyhow!("failed as asked, {n} times in all")))
        }
        Some(Fail::Permanent) => Err(ToolError::Permanent(anyhow!("failed as asked"))),
        None if is_unlucky => Err(ToolError::Permanent(anyhow!("failed by chance"))),
        Some(Fail::First(_)) | None => Ok(Some(json!({
            "attempt": assignment.attempt,
            "gpu_id": assignment.gpu_id,
            "duration_ms": u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        }))),
    }
}

/// Lets `duration` pass, telling how much of it has.
async fn pass(duration: Duration, progress: &Progress) {
    let start = Instant::now();
    let tick = (duration / REPORTS).max(SHORTEST_TICK);
    let mut passed = tick;
    while passed < duration {
        sleep_until(start + passed).await;
        let share = passed.div_duration_f32(duration);
        progress.send_replace(Some(share));
        passed += tick;
    }
    sleep_until(start + duration).await;
    progress.send_replace(Some(1.0));
}

/// What the submitter asked for.
#[derive(Debug, PartialEq)]
struct Params {
    duration: Option<Duration>,
    fail: Option<Fail>,
}

/// How it is to fail.
#[derive(Debug, PartialEq)]
enum Fail {
    Transient,
    Permanent,
    /// So many attempts fail, the next one does not.
    First(u64),
}

impl Params {
    fn read(params: &Map<String, Value>) -> anyhow::Result<Self> {
        // What real work would be given besides is none of our business.
        Ok(Self {
            duration: params.get("duration_ms").map(duration).transpose()?,
            fail: params.get("fail").map(Fail::read).transpose()?,
        })
    }
}

fn duration(value: &Value) -> anyhow::Result<Duration> {
    let ms = value
        .as_u64()
        .context("`duration_ms` must be a whole number of milliseconds, 0 or more")?;
    // A time-out ends it long before; longer spans overflow the clock.
    Ok(Duration::from_millis(ms).min(Duration::from_hours(24 * 365)))
}

impl Fail {
    fn read(value: &Value) -> anyhow::Result<Self> {
        match value {
            Value::String(text) if text == "transient" => Ok(Self::Transient),
            Value::String(text) if text == "permanent" => Ok(Self::Permanent),
            Value::Number(number) if number.as_u64().is_some_and(|n| n <= MOST_FAILURES) => {
                Ok(Self::First(number.as_u64().unwrap_or(MOST_FAILURES)))
            }
            _ => bail!(
                "`fail` must be \"transient\", \"permanent\", or the number of attempts that fail"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tokio::sync::watch;

    use super::*;

    const LUCKY: SimulateConfig = SimulateConfig {
        shortest: Duration::from_secs(5),
        longest: Duration::from_secs(15),
        failure_rate: 0.0,
    };
    const UNLUCKY: SimulateConfig = SimulateConfig { failure_rate: 1.0, ..LUCKY };

    fn assignment(params: &Value, attempt: i32) -> Assignment {
        Assignment {
            params: params.as_object().unwrap().clone(),
            gpu_id: 3,
            attempt,
            progress: watch::channel(None).0,
            rng: StdRng::seed_from_u64(7),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_as_long_as_asked_and_says_so() {
        let start = Instant::now();
        let result = run(assignment(&json!({ "duration_ms": 1100 }), 1), LUCKY).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(1100));
        assert_eq!(result, Some(json!({ "attempt": 1, "gpu_id": 3, "duration_ms": 1100 })));
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_as_long_as_configured_by_default() {
        let start = Instant::now();
        run(assignment(&json!({}), 1), LUCKY).await.unwrap();
        assert!((LUCKY.shortest..=LUCKY.longest).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_told_about_ten_times_and_ends_at_one() {
        let mut assignment = assignment(&json!({ "duration_ms": 2000 }), 1);
        let (progress, mut told) = watch::channel(None);
        assignment.progress = progress;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(run(assignment, LUCKY));

        let mut shares: Vec<f32> = Vec::new();
        while told.changed().await.is_ok() {
            shares.extend(*told.borrow_and_update());
        }

        assert_eq!(shares.len(), 10);
        assert!(shares.is_sorted() && shares.iter().all(|share| (0.0..=1.0).contains(share)));
        assert_eq!(shares.last(), Some(&1.0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_attempts_fail_transiently_if_asked() {
        let params = json!({ "duration_ms": 1, "fail": 2 });
        for attempt in 1..=2 {
            let error = run(assignment(&params, attempt), LUCKY).await.unwrap_err();
            assert!(matches!(error, ToolError::Transient(_)));
        }
        assert!(run(assignment(&params, 3), LUCKY).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn chance_failures_are_permanent_and_spare_jobs_that_say_how_they_fail() {
        let error = run(assignment(&json!({}), 1), UNLUCKY).await.unwrap_err();
        assert!(matches!(error, ToolError::Permanent(_)));
        assert!(run(assignment(&json!({ "fail": 0 }), 1), UNLUCKY).await.is_ok());
        let error = run(assignment(&json!({ "fail": "transient" }), 1), UNLUCKY).await.unwrap_err();
        assert!(matches!(error, ToolError::Transient(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_params_fail_for_good_with_words_to_act_on() {
        for (params, words) in [
            (json!({ "duration_ms": -1 }), "`duration_ms` must be a whole number"),
            (json!({ "duration_ms": "5" }), "`duration_ms` must be a whole number"),
            (json!({ "fail": "maybe" }), "`fail` must be \"transient\""),
            (json!({ "fail": 0.5 }), "`fail` must be \"transient\""),
        ] {
            let error = run(assignment(&params, 1), LUCKY).await.unwrap_err();
            assert!(matches!(error, ToolError::Permanent(_)));
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_number_makes_it_panic(number in any::<f64>(), whole in any::<u64>()) {
            for params in [json!({ "duration_ms": number }), json!({ "duration_ms": whole }),
                           json!({ "fail": number }), json!({ "fail": whole })] {
                let _ = Params::read(params.as_object().unwrap());
            }
        }
    }
}
