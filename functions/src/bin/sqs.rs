//! The `sqs` function: a job for each message of a queue.

use aws_lambda_events::sqs::SqsEvent;
use jetlane_functions::ingest::on_messages;
use jetlane_functions::lambda::app_from_environment;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (app, _) = app_from_environment().await?;
    let handle =
        async |event: LambdaEvent<SqsEvent>| Ok::<_, Error>(on_messages(&app, event.payload).await);
    run(service_fn(handle)).await
}
