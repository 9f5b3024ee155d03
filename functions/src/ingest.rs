//! Jobs that come from events of AWS instead of requests.
//!
//! Each event is delivered at least once, so each makes a job under an
//! idempotency key of its own: delivered twice, it is the same job. What an
//! event says of a job is what the body of a submit says.

mod s3;
mod schedule;
mod sqs;
mod sweep;

use std::fmt::Write;

use anyhow::{Context, anyhow};
use jetlane_core::domain::{NewJob, TenantName};
use jetlane_core::store::{Acceptance, Refused};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use s3::{Rule, on_objects};
pub use schedule::on_schedule;
pub use sqs::on_messages;
pub use sweep::sweep;

use crate::app::App;
use crate::fields::Fields;
use crate::jobs::describe::{describe, new_id, under_key};
use crate::problem::ApiError;
use crate::reader::{IDEMPOTENCY_KEY_LIMIT, nuls};

/// Reads a description; the job is `source`'s event `id`.
///
/// # Errors
///
/// If the description breaks a rule; the same event would break it again.
fn read(
    app: &App,
    description: Map<String, Value>,
    source: &str,
    id: &str,
) -> anyhow::Result<NewJob> {
    anyhow::ensure!(nuls("", &description).is_empty(), "a text of the event holds a NUL");
    let mut fields = Fields::new(description);
    let new = describe(&mut fields, new_id(app), TenantName::default());
    fields.finish().context("the event describes no job")?;
    Ok(under_key(new, key(source, id)))
}

/// The idempotency key of an event.
fn key(source: &str, id: &str) -> String {
    let key = format!("{source}:{id}");
    if key.len() <= IDEMPOTENCY_KEY_LIMIT && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return key;
    }
    let mut key = format!("{source}:sha256:");
    for byte in Sha256::digest(id) {
        // Writing to a text cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// Accepts the jobs, each for itself; the answers are in their order.
///
/// # Errors
///
/// If the ledger did not answer: deliver the events again.
async fn accept(app: &App, new: Vec<NewJob>) -> anyhow::Result<Vec<anyhow::Result<()>>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let acceptor = app.clone();
    let answers = app
        .whole(async move {
            let (answers, change) = acceptor.ledger.accept(new).await?;
            acceptor.metrics.note_accepted(&answers);
            acceptor.announce(change).await;
            Ok(answers)
        })
        .await?;
    Ok(answers
        .into_iter()
        .map(|answer| match answer {
            // Whatever our configuration made of the event when it came first: it
            // has its job.
            Acceptance::Accepted(_)
            | Acceptance::Repeated(_)
            | Acceptance::Refused(Refused::KeyReused) => Ok(()),
            Acceptance::Refused(refused) => Err(anyhow!(ApiError::from(refused))),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_as_it_is_unless_it_cannot_be() {
        assert_eq!(key("sqs", "19dd0b57-b21e"), "sqs:19dd0b57-b21e");
        let long = key("s3", &"x".repeat(1000));
        assert!(long.starts_with("s3:sha256:") && long.len() <= IDEMPOTENCY_KEY_LIMIT, "{long}");
        assert_ne!(long, key("s3", &"x".repeat(1001)));
        assert!(key("s3", "with space").starts_with("s3:sha256:"));
    }
}
