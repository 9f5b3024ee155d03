//! Where a job stands, and what may follow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job stands.
///
/// The spelling given by [`JobState::as_str`] is the only one: the `state`
/// column, the JSON API and the NATS subjects all use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Due later, or waiting out a backoff; not yet claimable.
    Scheduled,
    /// Waiting for a worker.
    Queued,
    /// Held by one worker under a lease.
    Running,
    /// Finished well. Final.
    Completed,
    /// Failed with no attempt left: a dead letter. Left only by a redrive.
    Failed,
    /// Stopped by request. Final.
    Cancelled,
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// Its time has come.
    Promote,
    /// A change of its due time put it off.
    Postpone,
    /// A worker takes it.
    Claim,
    /// The attempt ended well.
    Complete,
    /// The attempt failed and another is due later.
    Retry,
    /// The attempt failed and no other is left.
    Fail,
    /// The attempt was interrupted without a fault of the job.
    Release,
    /// Somebody asked for its end.
    Cancel,
    /// It was not started in time.
    Expire,
    /// Its attempt was lost, and it is not to be tried again.
    Quarantine,
    /// An operator gives a dead letter another chance.
    Redrive,
}

/// A transition that the state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {from} job has no transition {transition:?}")]
pub struct InvalidTransition {
    /// The state the job was in.
    pub from: JobState,
    /// The transition that was asked for.
    pub transition: Transition,
}

/// Text that spells no value of an enum of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown spelling `{0}`")]
pub struct UnknownSpelling(pub String);

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The one spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether no further attempt follows by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The state that follows `transition`.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`] if this state does not allow it.
    pub const fn after(self, transition: Transition) -> Result<Self, InvalidTransition> {
        use JobState::{Cancelled, Completed, Failed, Queued, Running, Scheduled};
        use Transition as T;

        match (self, transition) {
            (Scheduled, T::Promote) | (Running, T::Release) | (Failed, T::Redrive) => Ok(Queued),
            (Queued, T::Postpone) | (Running, T::Retry) => Ok(Scheduled),
            (Queued, T::Claim) => Ok(Running),
            (Running, T::Complete) => Ok(Completed),
            (Running, T::Fail | T::Quarantine) | (Scheduled | Queued, T::Expire) => Ok(Failed),
            (Scheduled | Queued | Running, T::Cancel) => Ok(Cancelled),
            (from, transition) => Err(InvalidTransition { from, transition }),
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for JobState {
    type Err = UnknownSpelling;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownSpelling(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const TRANSITIONS: [Transition; 11] = [
        Transition::Promote,
        Transition::Postpone,
        Transition::Claim,
        Transition::Complete,
        Transition::Retry,
        Transition::Fail,
        Transition::Release,
        Transition::Cancel,
        Transition::Expire,
        Transition::Quarantine,
        Transition::Redrive,
    ];

    #[test]
    fn every_state_has_one_spelling() {
        for state in JobState::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }

    proptest! {
        #[test]
        fn only_a_redrive_leaves_a_final_state(
            steps in prop::collection::vec(select(&TRANSITIONS[..]), 0..40),
        ) {
            let mut state = JobState::Queued;
            for step in steps {
                if let Ok(next) = state.after(step) {
                    prop_assert!(!state.is_final() || step == Transition::Redrive);
                    state = next;
                }
            }
        }
    }
}
