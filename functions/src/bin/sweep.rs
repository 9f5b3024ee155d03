//! The `sweep` function: one round of every duty, whenever a schedule is due.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use jetlane_functions::ingest::sweep;
use jetlane_functions::lambda::app_from_environment;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (app, config) = app_from_environment().await?;
    let handle = async |_: LambdaEvent<EventBridgeEvent>| {
        Ok::<_, Error>(sweep(&app, &config.retention).await?)
    };
    run(service_fn(handle)).await
}
