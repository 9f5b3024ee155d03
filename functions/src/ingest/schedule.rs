//! A schedule that is due: an event says so, and what to do.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::{Map, Value};

use super::{accept, read};
use crate::app::App;

/// Accepts the job that the event's detail describes, or `usual` if it
/// describes none.
///
/// # Errors
///
/// If the job was not accepted: the event is delivered again, and a job that
/// was accepted after all is the same one then.
pub async fn on_schedule(
    app: &App,
    usual: Option<&Map<String, Value>>,
    event: EventBridgeEvent,
) -> anyhow::Result<()> {
    let described = match event.detail {
        Value::Object(detail) if !detail.is_empty() => Some(detail),
        _ => usual.cloned(),
    };
    let description = described.ok_or_else(|| {
        anyhow::anyhow!("the event describes no job, and SCHEDULE_JOB is not set")
    })?;
    let id = event.id.ok_or_else(|| anyhow::anyhow!("the event has no id"))?;
    let new = read(app, description, "schedule", &id)?;
    accept(app, vec![new]).await?.into_iter().collect()
}
