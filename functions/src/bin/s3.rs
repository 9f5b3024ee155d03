//! The `s3` function: a job for each object that a rule wants.

use anyhow::Context;
use aws_lambda_events::s3::S3Event;
use jetlane_functions::ingest::{Rule, on_objects};
use jetlane_functions::lambda::app_from_environment;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (app, config) = app_from_environment().await?;
    let rules: Vec<Rule> =
        serde_json::from_str(&config.s3_rules).context("S3_RULES is no list of rules")?;
    let handle = async |event: LambdaEvent<S3Event>| {
        Ok::<_, Error>(on_objects(&app, &rules, event.payload).await?)
    };
    run(service_fn(handle)).await
}
