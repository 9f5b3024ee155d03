//! The `events` function: `/events`, streamed while it is produced.

use jetlane_functions::lambda::app_from_environment;
use jetlane_functions::router::events_router;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    let (app, config) = app_from_environment().await?;
    lambda_http::run_with_streaming_response(events_router(app, &config.cors_origins)?).await
}
