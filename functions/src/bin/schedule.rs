//! The `schedule` function: a job whenever a schedule is due.

use anyhow::Context;
use aws_lambda_events::eventbridge::EventBridgeEvent;
use jetlane_functions::ingest::on_schedule;
use jetlane_functions::lambda::app_from_environment;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Map, Value};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (app, config) = app_from_environment().await?;
    let usual: Option<Map<String, Value>> = config
        .schedule_job
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .context("SCHEDULE_JOB is no JSON object")?;
    let handle = async |event: LambdaEvent<EventBridgeEvent>| {
        Ok::<_, Error>(on_schedule(&app, usual.as_ref(), event.payload).await?)
    };
    run(service_fn(handle)).await
}
