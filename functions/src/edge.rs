//! `edge`: the whole router as a long-lived server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use jetlane_core::clock::Clock;
use jetlane_core::config::EdgeConfig;
use jetlane_core::messaging::Messaging;
use jetlane_core::outbox::{OutboxMetrics, Relay, announcer};
use jetlane_core::shutdown::{Shutdown, step};
use jetlane_core::store::{Ledger, PoolSettings, RESTED, connect_lazy};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use crate::accepting::Acceptor;
use crate::app::{Announcing, App, Parts, Watching};
use crate::events::Hub;
use crate::health::NatsHealth;
use crate::metrics::ApiMetrics;
use crate::router::router;
use crate::sockets;

/// How long a request waits for a connection to the ledger before it is told
/// to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until `shutdown` drains and open requests have ended, or until it
/// aborts. Neither PostgreSQL nor NATS need be there yet.
///
/// # Errors
///
/// If an address is none or cannot be listened on; then nothing was served. If,
/// for a mistake of ours, a part of the server ended before it was told to.
pub async fn run(
    config: EdgeConfig,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let registry = Registry::new();
    let metrics = ApiMetrics::new(&registry)?;
    let outbox_metrics = OutboxMetrics::new(&registry)?;
    let pool = connect_lazy(&PoolSettings {
        url: config.database_url.clone(),
        application_name: "jetlane-edge",
        max_connections: config.database_max_connections,
        acquire_timeout: ACQUIRE_TIMEOUT,
        rested: RESTED,
    })
    .context("DATABASE_URL is no address")?;
    let ledger = Ledger::new(pool);
    let messaging = Messaging::connect(&config.nats_url, "jetlane-edge")
        .await
        .context("NATS_URL is no address")?;
    let listener = listen(&config).await?;

    let mut parts = JoinSet::new();
    // Duties go on while open requests end.
    let stop = shutdown.abort.child_token();
    let wake_relay = Arc::new(Notify::new());
    let (announcer, marker) = announcer(
        ledger.clone(),
        messaging.clone(),
        Arc::clone(&clock),
        outbox_metrics.clone(),
        Arc::clone(&wake_relay),
    );
    let mut marking = JoinSet::new();
    marking.spawn(marker.run());
    let relay = Relay {
        ledger: ledger.clone(),
        messaging: messaging.clone(),
        clock: Arc::clone(&clock),
        metrics: outbox_metrics.clone(),
        wake: wake_relay,
        period: config.poll_interval,
    };
    parts.spawn(relay.run(stop.clone()));
    let (hub, run_hub) = Hub::start(
        ledger.clone(),
        messaging.clone(),
        Arc::clone(&clock),
        metrics.clone(),
        stop.clone(),
    )
    .await?;
    parts.spawn(run_hub);
    let nats = NatsHealth::unproven();
    parts.spawn(nats.clone().watch(messaging.clone(), metrics.clone(), stop.clone()));

    let (accepting, acceptor) = Acceptor::new(ledger.clone(), announcer.clone(), metrics.clone());
    let mut acceptances = JoinSet::new();
    acceptances.spawn(acceptor.run());
    let changes = TaskTracker::new();
    let app = App::from(Parts {
        ledger: ledger.clone(),
        accepting,
        messaging,
        announcer: announcer.clone(),
        announcing: Announcing::Beside,
        outbox: outbox_metrics,
        watching: Watching::Shared(hub),
        clock,
        public_url: config.public_url.clone(),
        registry,
        metrics,
        nats,
        changes: changes.clone(),
        drain: shutdown.drain.clone(),
    });
    let router = router(app, &config.cors_origins)?;

    let result = tokio::select! {
        result = serve(listener, router, &shutdown) => result,
        // The abort ends the parts too, and then `serve` ends as well.
        error = ended_early(&mut parts, &shutdown) => Err(error),
    };

    // What was answered is announced before the process goes. A client that
    // does not read keeps its connection, and with it an announcer: the marker
    // is not waited for for ever.
    changes.close();
    step("changes under way", changes.wait()).await;
    step("jobs under way", async { while acceptances.join_next().await.is_some() {} }).await;
    step("events under way", announcer.flush()).await;
    drop(announcer);
    step("the outbox", async { while marking.join_next().await.is_some() {} }).await;
    stop.cancel();
    step("its parts", async { while parts.join_next().await.is_some() {} }).await;
    step("the ledger", ledger.close()).await;
    tracing::info!("stopped");
    result
}

/// Waits for a part to end although nobody told it to.
async fn ended_early(parts: &mut JoinSet<()>, shutdown: &Shutdown) -> anyhow::Error {
    let ended = parts.join_next().await;
    if shutdown.abort.is_cancelled() {
        return std::future::pending().await;
    }
    match ended {
        Some(Err(error)) => anyhow::Error::new(error).context("a part of the server panicked"),
        Some(Ok(())) | None => anyhow::anyhow!("a part of the server ended"),
    }
}

async fn listen(config: &EdgeConfig) -> anyhow::Result<TcpListener> {
    let address = (config.host.as_str(), config.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {}:{}", config.host, config.port))?;
    let address: SocketAddr = listener.local_addr()?;
    tracing::info!(%address, "listening");
    Ok(listener)
}

/// Serves until the drain, then waits for open requests, until the abort.
async fn serve(
    listener: TcpListener,
    router: axum::Router,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = sockets::set_up(stream, sockets::STALL_LIMIT) {
            tracing::debug!(%error, "cannot set up a socket");
        }
    });
    let drain = shutdown.drain.clone();
    // A bare router would be built anew for each connection.
    let server = axum::serve(listener, router.into_make_service())
        .with_graceful_shutdown(async move { drain.cancelled().await });
    tokio::select! {
        ended = server.into_future() => ended?,
        () = shutdown.abort.cancelled() => {}
    }
    Ok(())
}
