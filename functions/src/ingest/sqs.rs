//! Messages of a queue: each describes a job.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jetlane_core::causes;
use jetlane_core::domain::NewJob;
use serde_json::Value;

use super::{accept, read};
use crate::app::App;

/// Accepts a job for each message, and returns which messages failed: those
/// come again, the others do not. Turn `ReportBatchItemFailures` on for it.
///
/// A message that describes no job fails each time, until the queue's redrive
/// policy puts it aside.
pub async fn on_messages(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let mut failed = Vec::new();
    let (mut ids, mut jobs) = (Vec::new(), Vec::new());
    for message in event.records {
        let id = message.message_id.clone().unwrap_or_default();
        match described(app, &message, &id) {
            Ok(new) => {
                ids.push(id);
                jobs.push(new);
            }
            Err(error) => fail(id, &error, &mut failed),
        }
    }
    match accept(app, jobs).await {
        Ok(answers) => {
            for (id, answer) in ids.into_iter().zip(answers) {
                if let Err(error) = answer {
                    fail(id, &error, &mut failed);
                }
            }
        }
        Err(error) => {
            for id in ids {
                fail(id, &error, &mut failed);
            }
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed;
    response
}

fn described(app: &App, message: &SqsMessage, id: &str) -> anyhow::Result<NewJob> {
    anyhow::ensure!(!id.is_empty(), "the message has no id");
    let body = message.body.as_deref().unwrap_or_default();
    let Value::Object(description) = serde_json::from_str(body)? else {
        anyhow::bail!("the message is no JSON object");
    };
    read(app, description, "sqs", id)
}

fn fail(id: String, error: &anyhow::Error, failed: &mut Vec<BatchItemFailure>) {
    tracing::warn!(error = causes(error), message.id = id, "a message made no job");
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = id;
    failed.push(failure);
}
