//! What an attempt's end means for its job.

use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::domain::{ErrorKind, JobError, Outcome, RetryPolicy};
use rand::Rng;
use serde_json::Value;

use crate::backoff::Backoff;
use crate::tools::ToolError;

/// A longer message is cut off: it is for people to read.
const LONGEST_MESSAGE: usize = 4096;

/// Why an attempt brought nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The tool says so.
    Tool(ToolError),
    /// It took longer than it may.
    Timeout(Duration),
    /// The tool panicked.
    Panic,
}

/// The tries that a job has.
#[derive(Clone, Debug)]
pub(crate) struct Tries {
    /// Failures charged before this attempt.
    pub(crate) failures: i32,
    /// How many charged failures make it a dead letter.
    pub(crate) max_attempts: i32,
    /// What follows a failure, as far as the job or its lane says.
    pub(crate) policy: RetryPolicy,
}

/// How an attempt that ended with `result` leaves its job. `backoff` is what
/// the worker does unless the policy says otherwise.
pub(crate) fn outcome(
    result: Result<Option<Value>, Failure>,
    tries: &Tries,
    backoff: Backoff,
    rng: &mut impl Rng,
) -> Outcome {
    let failure = match result {
        Ok(result) => return Outcome::Completed { result },
        Err(failure) => failure,
    };
    let failures = tries.failures.saturating_add(1);
    let error = failure.into_error();
    if tries.policy.follows(error.kind) && failures < tries.max_attempts {
        let backoff = backoff.as_asked(tries.policy.backoff, tries.policy.max_backoff);
        Outcome::Retry { after: backoff.after(failures.unsigned_abs(), rng), error }
    } else {
        Outcome::Failed { error }
    }
}

/// How an attempt ends whose result the ledger does not take, whatever it was.
pub(crate) fn refused() -> Outcome {
    let message = "the ledger does not take the result: it is too large or no valid JSON".into();
    Outcome::Failed { error: JobError { kind: ErrorKind::Permanent, message } }
}

/// How an attempt ends whose job cannot be read.
pub(crate) fn unreadable(error: &anyhow::Error) -> Outcome {
    let message = storable(&format!("the worker cannot read the job: {}", causes(error)));
    Outcome::Failed { error: JobError { kind: ErrorKind::Permanent, message } }
}

/// The outcome as a metric's label.
pub(crate) const fn label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed { .. } => "completed",
        Outcome::Retry { .. } => "retry",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Released => "released",
    }
}

impl Failure {
    fn into_error(self) -> JobError {
        let (kind, message) = match self {
            Self::Tool(ToolError::Transient(error)) => (ErrorKind::Transient, causes(&error)),
            Self::Tool(ToolError::Permanent(error)) => (ErrorKind::Permanent, causes(&error)),
            Self::Timeout(limit) => {
                (ErrorKind::Timeout, format!("the attempt took longer than {limit:?}"))
            }
            Self::Panic => (ErrorKind::Panic, "the tool panicked".to_owned()),
        };
        JobError { kind, message: storable(&message) }
    }
}

/// PostgreSQL takes no NUL in text.
fn storable(message: &str) -> String {
    message.chars().filter(|c| *c != '\0').take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    const ANY: RetryPolicy = RetryPolicy { backoff: None, max_backoff: None, retry_on: None };
    const FIRST_OF_TWO: Tries = Tries { failures: 0, max_attempts: 2, policy: ANY };
    const LAST_OF_TWO: Tries = Tries { failures: 1, max_attempts: 2, policy: ANY };

    fn after(failure: Failure, tries: &Tries) -> Outcome {
        let backoff = Backoff::new(Duration::from_secs(1));
        outcome(Err(failure), tries, backoff, &mut StdRng::seed_from_u64(7))
    }

    fn transient() -> Failure {
        Failure::Tool(ToolError::Transient(anyhow::anyhow!("out of memory").context("GPU 3")))
    }

    #[test]
    fn a_result_completes_the_job() {
        let backoff = Backoff::new(Duration::from_secs(1));
        let rng = &mut StdRng::seed_from_u64(7);
        assert_eq!(
            outcome(Ok(Some(json!(7))), &LAST_OF_TWO, backoff, rng),
            Outcome::Completed { result: Some(json!(7)) }
        );
    }

    #[test]
    fn what_may_pass_is_tried_again_while_attempts_are_left() {
        for failure in [transient(), Failure::Timeout(Duration::from_secs(9)), Failure::Panic] {
            let Outcome::Retry { after, .. } = after(failure, &FIRST_OF_TWO) else {
                panic!("not tried again");
            };
            assert!((Duration::from_millis(500)..=Duration::from_secs(1)).contains(&after));
        }
    }

    #[test]
    fn the_last_failure_makes_a_dead_letter() {
        let error = JobError {
            kind: ErrorKind::Timeout,
            message: "the attempt took longer than 1.5s".into(),
        };
        let timeout = Failure::Timeout(Duration::from_millis(1500));
        assert_eq!(after(timeout, &LAST_OF_TWO), Outcome::Failed { error });

        let error = JobError { kind: ErrorKind::Panic, message: "the tool panicked".into() };
        assert_eq!(after(Failure::Panic, &LAST_OF_TWO), Outcome::Failed { error });
    }

    #[test]
    fn a_permanent_error_is_not_tried_again() {
        let failure = Failure::Tool(ToolError::Permanent(anyhow::anyhow!("no such model")));
        let error = JobError { kind: ErrorKind::Permanent, message: "no such model".into() };
        assert_eq!(after(failure, &FIRST_OF_TWO), Outcome::Failed { error });
    }

    #[test]
    fn the_jobs_policy_wins_over_the_workers_settings() {
        let policy = RetryPolicy {
            backoff: Some(Duration::from_secs(40)),
            max_backoff: Some(Duration::from_secs(50)),
            retry_on: Some(vec![ErrorKind::Transient]),
        };
        let third_of_nine = Tries { failures: 2, max_attempts: 9, policy };

        let Outcome::Retry { after: pause, .. } = after(transient(), &third_of_nine) else {
            panic!("not tried again");
        };
        assert!((Duration::from_secs(25)..=Duration::from_secs(50)).contains(&pause), "{pause:?}");
        assert!(matches!(after(Failure::Panic, &third_of_nine), Outcome::Failed { .. }));
    }

    #[test]
    fn an_error_tells_its_causes() {
        assert_eq!(transient().into_error().message, "GPU 3: out of memory");
    }

    #[test]
    fn a_message_is_cut_to_what_can_be_stored() {
        assert_eq!(storable("a\0b"), "ab");
        assert_eq!(storable(&"ü".repeat(5000)).chars().count(), LONGEST_MESSAGE);
    }
}
