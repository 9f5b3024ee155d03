//! The `jobs` function: `/jobs`.

use jetlane_functions::lambda::app_from_environment;
use jetlane_functions::router::jobs_router;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    let (app, config) = app_from_environment().await?;
    lambda_http::run(jobs_router(app, &config.cors_origins)?).await
}
