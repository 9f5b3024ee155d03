//! What follows a failed attempt, as far as a job or its lane says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ErrorKind;

/// What follows a failed attempt. What is `None` is left to the next one who
/// has a say: the job, then its lane, then the worker's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// How long the second attempt waits at most, in seconds in JSON; doubles
    /// with every further one.
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
    /// No attempt waits longer, in seconds in JSON.
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<Duration>,
    /// Only these failures are followed by another attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<ErrorKind>>,
}

impl RetryPolicy {
    /// Whether another attempt may follow such a failure, attempts being left.
    #[must_use]
    pub fn follows(&self, failure: ErrorKind) -> bool {
        match &self.retry_on {
            Some(kinds) => kinds.contains(&failure),
            None => ErrorKind::RETRIED.contains(&failure),
        }
    }
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::ref_option, reason = "the signature that serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => to.serialize_f64(span.as_secs_f64()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(from)?
            .map(|seconds| Duration::try_from_secs_f64(seconds).map_err(de::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_said_is_not_written() {
        let policy =
            RetryPolicy { backoff: Some(Duration::from_millis(1500)), ..Default::default() };
        let json = json!({ "backoff": 1.5 });
        assert_eq!(serde_json::to_value(&policy).unwrap(), json);
        assert_eq!(serde_json::from_value::<RetryPolicy>(json).unwrap(), policy);
    }

    #[test]
    fn unless_told_otherwise_all_but_permanent_failures_are_retried() {
        let policy = RetryPolicy::default();
        assert!(policy.follows(ErrorKind::Transient) && policy.follows(ErrorKind::Panic));
        assert!(!policy.follows(ErrorKind::Permanent) && !policy.follows(ErrorKind::Quarantined));
    }

    #[test]
    fn a_list_says_exactly_what_is_retried() {
        let policy =
            RetryPolicy { retry_on: Some(vec![ErrorKind::Timeout]), ..RetryPolicy::default() };
        assert!(policy.follows(ErrorKind::Timeout) && !policy.follows(ErrorKind::Transient));
    }
}
