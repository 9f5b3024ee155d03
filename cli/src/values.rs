//! What arguments may be. Whatever else is typed is answered with what is allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jetlane_core::domain::{JobId, JobState};
use serde_json::{Map, Value};

use crate::client::Api;

/// An argument that makes no sense, of which clap does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadArgument(pub(crate) String);

/// Reads a whole number of `range`.
pub(crate) fn number<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .ok_or_else(|| format!("use a whole number from {} to {}", range.start(), range.end()))
    }
}

/// Reads a span of time.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite());
    seconds.ok_or_else(|| "use seconds, such as 90 or 0.5".to_owned())
}

/// Reads the id of a job.
pub(crate) fn job_id(text: &str) -> Result<JobId, String> {
    let rule = "use the id of a job, such as 019a0000-0000-7000-8000-000000000001; `jetlane jobs` \
                lists them";
    text.parse().map_err(|_| rule.to_owned())
}

/// Reads the state of a job.
pub(crate) fn state(text: &str) -> Result<JobState, String> {
    let states = JobState::ALL.map(JobState::as_str).join(", ");
    text.parse().map_err(|_| format!("use one of {states}"))
}

/// Reads a JSON object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    let rule = r#"use a JSON object, such as '{"key": 1}'"#;
    serde_json::from_str(text).map_err(|_| rule.to_owned())
}

/// Reads the address of an API.
pub(crate) fn address(text: &str) -> Result<String, String> {
    Api::check_address(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_answered_with_what_is_allowed() {
        assert_eq!(number(1..=9_u8)("9"), Ok(9));
        for text in ["0", "10", "-1", "x", "1.5"] {
            assert_eq!(number(1..=9_u8)(text), Err("use a whole number from 1 to 9".to_owned()));
        }
        let states = "use one of scheduled, queued, running, completed, failed, cancelled";
        assert_eq!(state("done"), Err(states.to_owned()));
        assert!(job_id("nope").unwrap_err().starts_with("use the id of a job, such as 019a"));
        assert!(object("[1]").is_err() && seconds("soon").is_err() && address("ftp://x").is_err());
    }

    #[test]
    fn examples_are_right() {
        let example = "019a0000-0000-7000-8000-000000000001";
        assert_eq!(job_id(example).unwrap().to_string(), example);
        assert!(object(r#"{"key": 1}"#).is_ok() && seconds("0.5").is_ok());
    }
}
