//! What the Lambda functions share: an app that does nothing after its answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jetlane_core::clock::SystemClock;
use jetlane_core::config::{FunctionConfig, Vars};
use jetlane_core::messaging::Messaging;
use jetlane_core::outbox::{OutboxMetrics, announcer};
use jetlane_core::store::{Ledger, PoolSettings, connect_lazy};
use jetlane_core::telemetry;
use prometheus::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accepting::Accepting;
use crate::app::{Announcing, App, Parts, Watching};
use crate::health::NatsHealth;
use crate::metrics::ApiMetrics;

/// Less than the gateway's own limit, so that the client hears of it from us.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// The app of a function, and its configuration, from the environment.
///
/// # Errors
///
/// If a variable is missing or wrong.
pub async fn app_from_environment() -> anyhow::Result<(App, FunctionConfig)> {
    let vars = Vars::from_environment()?;
    let (filter, format) = vars.log()?;
    telemetry::init(&filter, format)?;
    let config = FunctionConfig::from_vars(&vars)?;
    Ok((app(&config).await?, config))
}

/// The app of a function. Connections are made when they are first used.
///
/// # Errors
///
/// If an address is none.
pub async fn app(config: &FunctionConfig) -> anyhow::Result<App> {
    let registry = Registry::new();
    let clock = Arc::new(SystemClock);
    let pool = connect_lazy(&PoolSettings {
        url: config.database_url.clone(),
        application_name: "jetlane-function",
        max_connections: config.database_max_connections,
        acquire_timeout: ACQUIRE_TIMEOUT,
        rested: Duration::ZERO,
    })
    .context("DATABASE_URL is no address")?;
    let ledger = Ledger::new(pool);
    let messaging = Messaging::connect(&config.nats_url, "jetlane-function")
        .await
        .context("NATS_URL is no address")?;
    let outbox = OutboxMetrics::new(&registry)?;
    // Striking out is left to the relay of a process that is never frozen.
    let (announcer, _marker) = announcer(
        ledger.clone(),
        messaging.clone(),
        clock.clone(),
        outbox.clone(),
        Arc::new(Notify::new()),
    );
    Ok(App::from(Parts {
        ledger,
        accepting: Accepting::Alone,
        messaging,
        announcer,
        announcing: Announcing::BeforeTheAnswer,
        outbox,
        watching: Watching::PerStream(TaskTracker::new()),
        clock,
        public_url: config.public_url.clone(),
        metrics: ApiMetrics::new(&registry)?,
        registry,
        nats: NatsHealth::as_connected(),
        changes: TaskTracker::new(),
        drain: CancellationToken::new(),
    }))
}
