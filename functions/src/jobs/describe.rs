//! Reading the description of a job, wherever it comes from.

use axum::http::StatusCode;
use jetlane_core::domain::{
    ErrorKind, Idempotency, JobId, NewJob, RetryPolicy, RunAt, TenantName, Tool,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::app::App;
use crate::fields::Fields;
use crate::reader::LANE_RULE;

pub(crate) const NAME_LIMIT: usize = 512;
pub(crate) const SUBMITTER_LIMIT: usize = 256;
pub(crate) const KEY_LIMIT: usize = 256;

/// What is said to who names a failure wrongly.
const RETRY_ON_RULE: &str = "must be a list of transient, timeout and panic";

/// Ids made by one process sort in the order in which they were made, also
/// within a millisecond.
pub(crate) fn new_id(app: &App) -> JobId {
    static CONTEXT: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());

    let now = app.clock.now();
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    let timestamp = Timestamp::from_unix(&CONTEXT, seconds, now.timestamp_subsec_nanos());
    JobId(Uuid::new_v7(timestamp))
}

/// Reads the fields that describe a job. Broken rules stay with `fields`: the
/// job is good for nothing unless it finishes without any.
pub(crate) fn describe(fields: &mut Fields, id: JobId, tenant: TenantName) -> NewJob {
    let name = fields.text("name", NAME_LIMIT);
    let name = fields.require("name", name).unwrap_or_default();
    let tools: Vec<_> = Tool::ALL.iter().map(|tool| tool.as_str()).collect();
    NewJob {
        id,
        tenant,
        name,
        lane: fields.spelled("lane", LANE_RULE).unwrap_or_default(),
        tool: fields
            .spelled("tool", format!("must be one of {}", tools.join(", ")))
            .unwrap_or_default(),
        params: fields.params("params").unwrap_or_default(),
        priority: fields.integer("priority").unwrap_or_default(),
        submitted_by: fields.nullable_text("submitted_by", SUBMITTER_LIMIT).flatten(),
        run_at: fields.time("run_at").map_or(RunAt::Now, RunAt::At),
        start_by: fields.time("start_by"),
        timeout: fields.seconds("timeout"),
        max_attempts: fields.attempts("max_attempts"),
        retry: fields.object("retry", retry).unwrap_or_default(),
        concurrency_key: fields.nullable_text("concurrency_key", KEY_LIMIT).flatten(),
        traceparent: None,
        idempotency: None,
    }
}

/// Reads what is to follow a failed attempt.
pub(crate) fn retry(fields: &mut Fields) -> RetryPolicy {
    let retry_on: Option<Vec<ErrorKind>> = fields.spelled_list("retry_on", RETRY_ON_RULE);
    let retry_on = match retry_on {
        Some(kinds) if kinds.iter().any(|kind| !ErrorKind::RETRIED.contains(kind)) => {
            fields.violate("retry_on", RETRY_ON_RULE)
        }
        kinds => kinds,
    };
    RetryPolicy {
        backoff: fields.seconds("backoff"),
        max_backoff: fields.seconds("max_backoff"),
        retry_on,
    }
}

/// The job under a name of its submitter's, so that asking twice makes one job.
pub(crate) fn under_key(mut new: NewJob, key: String) -> NewJob {
    new.idempotency = Some(Idempotency { key, fingerprint: fingerprint(&new) });
    new
}

/// A hash of what was asked for, whatever the order in which it was written.
fn fingerprint(new: &NewJob) -> [u8; 32] {
    let asked = json!({
        "name": new.name,
        "lane": new.lane,
        "tool": new.tool,
        "params": new.params,
        "priority": new.priority,
        "submitted_by": new.submitted_by,
        "run_at": match new.run_at {
            RunAt::Now => Value::Null,
            RunAt::At(at) => json!(at),
        },
        "start_by": new.start_by,
        "timeout": new.timeout.map(|span| span.as_secs_f64()),
        "max_attempts": new.max_attempts,
        "retry": new.retry,
        "concurrency_key": new.concurrency_key,
    });
    Sha256::digest(sorted(asked).to_string()).into()
}

/// The same value, the fields of each object in the order of their names.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut fields: Vec<_> =
                object.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// What is answered to a submit, the first time and each further one.
pub(crate) const SUBMITTED: StatusCode = StatusCode::CREATED;

#[cfg(test)]
mod tests {
    use super::*;

    fn described(body: Value) -> NewJob {
        let Value::Object(body) = body else { panic!("no object") };
        let mut fields = Fields::new(body);
        let new = describe(&mut fields, JobId(Uuid::now_v7()), TenantName::default());
        fields.finish().unwrap();
        new
    }

    #[test]
    fn the_same_request_has_the_same_fingerprint_however_it_is_written() {
        let one =
            described(json!({ "name": "x", "params": { "a": 1, "b": [{ "c": 2, "d": 3 }] } }));
        let two =
            described(json!({ "params": { "b": [{ "d": 3, "c": 2 }], "a": 1 }, "name": "x" }));
        assert_eq!(fingerprint(&one), fingerprint(&two));
    }

    #[test]
    fn every_field_counts_for_the_fingerprint() {
        let plain = described(json!({ "name": "x" }));
        for (name, value) in [
            ("name", json!("y")),
            ("lane", json!("gpu")),
            ("params", json!({ "a": 1 })),
            ("priority", json!(1)),
            ("submitted_by", json!("me")),
            ("run_at", json!("2030-01-01T00:00:00Z")),
            ("start_by", json!("2030-01-01T00:00:00Z")),
            ("timeout", json!(5)),
            ("max_attempts", json!(5)),
            ("retry", json!({ "backoff": 2 })),
            ("concurrency_key", json!("k")),
        ] {
            let mut body = json!({ "name": "x" });
            body[name] = value;
            assert_ne!(fingerprint(&described(body)), fingerprint(&plain), "{name}");
        }
    }
}
