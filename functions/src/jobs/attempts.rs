//! `GET /jobs/{id}/attempts`: what was tried, and what came of it.

use axum::Json;
use axum::extract::State;
use jetlane_core::domain::{Event, EventKind, JobId, format_timestamp};
use jetlane_core::store::{FeedFilter, FeedKey};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::problem::ApiError;
use crate::reader::{JobPath, Tenant};

/// So many events of a job are read at most: more than a hundred attempts make,
/// unless it is redriven or released over and over.
const MOST_EVENTS: i64 = 5_000;

/// One attempt, as the job's events tell of it.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct AttemptView {
    attempt: i32,
    worker: Value,
    gpu_id: Value,
    started_at: String,
    /// Null while it runs.
    ended_at: Option<String>,
    /// `running`, `completed`, `failed`, `retried`, `interrupted` or `cancelled`.
    outcome: &'static str,
    error: Value,
    /// Seconds; null if nobody was left to measure it.
    execution_time: Value,
}

/// 200 with an array, the first attempt first; as far back as events are kept,
/// and of the job's first [`MOST_EVENTS`].
pub(crate) async fn attempts(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    JobPath(id): JobPath,
) -> Result<Json<Vec<AttemptView>>, ApiError> {
    let job = app.ledger.find(&tenant, id).await?;
    job.ok_or_else(|| ApiError::NotFound(format!("job {id}")))?;
    let filter = FeedFilter { job_ids: vec![id], ..FeedFilter::default() };
    let start = FeedKey { xid: 0, job_id: JobId(Uuid::nil()), seq: 0 };
    let events = app.ledger.replay(&tenant, &filter, start, i64::MAX, MOST_EVENTS).await?;
    Ok(Json(told_by(&events)))
}

/// The attempts that events in their order tell of.
fn told_by(events: &[Event]) -> Vec<AttemptView> {
    let mut attempts: Vec<AttemptView> = Vec::new();
    for event in events {
        let detail = |name: &str| event.details.get(name).cloned().unwrap_or_default();
        let outcome = match event.kind {
            EventKind::Running => {
                attempts.push(AttemptView {
                    attempt: event.attempt,
                    worker: detail("worker"),
                    gpu_id: detail("gpu_id"),
                    started_at: format_timestamp(event.timestamp),
                    ended_at: None,
                    outcome: "running",
                    error: Value::Null,
                    execution_time: Value::Null,
                });
                continue;
            }
            EventKind::Completed => "completed",
            EventKind::Failed => "failed",
            EventKind::Cancelled => "cancelled",
            EventKind::Scheduled => "retried",
            EventKind::Released => "interrupted",
            EventKind::Queued
            | EventKind::Updated
            | EventKind::CancelRequested
            | EventKind::Redriven
            | EventKind::Deleted => continue,
        };
        // A job that is cancelled while it waits ends no attempt.
        let running = attempts
            .last_mut()
            .filter(|last| last.attempt == event.attempt && last.ended_at.is_none());
        if let Some(attempt) = running {
            attempt.ended_at = Some(format_timestamp(event.timestamp));
            attempt.outcome = outcome;
            attempt.error = detail("error");
            attempt.execution_time = detail("execution_time");
        }
    }
    attempts
}

#[cfg(test)]
mod tests {
    use jetlane_core::domain::{JobState, LaneName, TenantName};
    use serde_json::json;

    use super::*;

    fn event(seq: i32, kind: EventKind, attempt: i32, details: Value) -> Event {
        let Value::Object(details) = details else { panic!("no object") };
        Event {
            job_id: JobId(Uuid::nil()),
            seq,
            kind,
            state: JobState::Queued,
            attempt,
            timestamp: chrono::DateTime::UNIX_EPOCH,
            lane: LaneName::default(),
            tenant: TenantName::default(),
            xid: 1,
            details,
        }
    }

    #[test]
    fn each_attempt_is_told_with_its_end() {
        let error = json!({ "type": "transient", "message": "out of memory" });
        let attempts = told_by(&[
            event(1, EventKind::Queued, 0, json!({})),
            event(2, EventKind::Running, 1, json!({ "worker": "w", "gpu_id": 3 })),
            event(3, EventKind::Scheduled, 1, json!({ "error": error, "execution_time": 0.5 })),
            event(4, EventKind::Queued, 1, json!({})),
            event(5, EventKind::Running, 2, json!({})),
            event(6, EventKind::Released, 2, json!({})),
            event(7, EventKind::Running, 3, json!({})),
        ]);

        let told: Vec<_> = attempts.iter().map(|a| (a.attempt, a.outcome)).collect();
        assert_eq!(told, [(1, "retried"), (2, "interrupted"), (3, "running")]);
        assert_eq!((&attempts[0].error, &attempts[0].gpu_id), (&error, &json!(3)));
        assert_eq!(attempts[2].ended_at, None);
    }

    #[test]
    fn a_cancel_while_it_waits_ends_no_attempt_anew() {
        let attempts = told_by(&[
            event(1, EventKind::Running, 1, json!({})),
            event(2, EventKind::Released, 1, json!({})),
            event(3, EventKind::Cancelled, 1, json!({})),
        ]);
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome, "interrupted");
    }
}
