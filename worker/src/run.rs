//! A worker's life: put together, run, drained, taken down.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use jetlane_core::clock::Clock;
use jetlane_core::config::WorkerConfig;
use jetlane_core::domain::WorkerId;
use jetlane_core::messaging::Messaging;
use jetlane_core::outbox::{OutboxMetrics, announcer};
use jetlane_core::shutdown::{Shutdown, step};
use jetlane_core::store::{Ledger, PoolSettings, RESTED, connect_lazy};
use prometheus::Registry;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::bells::Listener;
use crate::dispatcher::{Dispatcher, Settings};
use crate::duties::{self, Duties};
use crate::http;
use crate::leases::{Keeper, KeeperHandle, Leases};
use crate::metrics::Metrics;
use crate::registration::Registration;
use crate::settle::Settler;
use crate::slots::Slots;
use crate::workbench::Workbench;

/// How long a statement waits for one of the connections.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);

/// How long attempts may take to be given back once the worker aborts.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// Runs a worker until `shutdown` drains and its attempts have ended, or until
/// `shutdown` aborts and they were given back.
///
/// Neither PostgreSQL nor NATS need be there, at the start or later: the worker
/// waits for them. Run [`Shutdown::on_signals`] beside it.
///
/// # Errors
///
/// If an address in `config` is none, if its port is taken, or, for a mistake
/// of ours, if a part of the worker ended before it was told to. Attempts that
/// were running then are given back by another worker's reaper.
pub async fn run(
    config: WorkerConfig,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let id = WorkerId(Uuid::now_v7());
    tracing::info!(worker = %id, gpus = config.slots, "worker started");
    let registry = Registry::new();
    let metrics = Metrics::new(&registry, &config.lanes, config.slots)?;
    let outbox = OutboxMetrics::new(&registry)?;
    let http = http::listen(&config.host, config.port).await?;
    let messaging = Messaging::connect(&config.nats_url, "jetlane-worker").await?;
    let ledger = connect(&config)?;

    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    parts.spawn(http::serve(http, registry, stop.clone()));
    parts.spawn(duties::declare_streams(messaging.clone(), stop.clone()));

    let leases = Leases::new(config.lease);
    let registration = Registration {
        ledger: ledger.clone(),
        worker: id,
        slots: config.slots,
        lanes: config.lanes.clone(),
        leases: leases.clone(),
    };
    if shutdown.drain.run_until_cancelled(registration.enter()).await.is_none() {
        tracing::info!("worker stopped before the ledger answered");
        return Ok(());
    }

    let wake_relay = Arc::new(Notify::new());
    let (announcer, marker) = announcer(
        ledger.clone(),
        messaging.clone(),
        Arc::clone(&clock),
        outbox.clone(),
        Arc::clone(&wake_relay),
    );
    let (settlements, settler) = Settler::new(config.slots, ledger.clone(), announcer.clone());
    let bench = Arc::new(Workbench {
        ledger: ledger.clone(),
        messaging,
        announcer,
        leases,
        settlements,
        metrics,
        backoff: Backoff::new(config.retry_backoff),
        simulate: config.simulate,
        abort: shutdown.abort.clone(),
    });
    let duties = Duties {
        worker: id,
        period: config.poll_interval,
        retention: config.retention,
        clock,
        outbox,
        wake_relay,
    };
    duties.start(&bench, &mut parts, &stop);
    parts.spawn(registration.clone().keep(config.poll_interval, stop.clone()));
    let mut keeper = keep_leases(&config, id, &bench).context("cannot start the lease thread")?;
    let mut settling = JoinSet::new();
    settling.spawn(settler.run());
    let mut marking = JoinSet::new();
    marking.spawn(marker.run());
    tracing::info!(poll_interval = ?config.poll_interval, "worker running");

    let result = tokio::select! {
        result = work(&config, id, &bench, &shutdown) => result,
        () = keeper.ended() => Err(anyhow!("the lease thread ended")),
        error = ended(&mut parts) => Err(error),
        error = ended(&mut settling) => Err(error),
        error = ended(&mut marking) => Err(error),
    };

    stop.cancel();
    step("its parts", async { while parts.join_next().await.is_some() {} }).await;
    let announcer = bench.announcer.clone();
    // The settler ends with the bench, and the marker with the last announcer.
    drop(bench);
    step("settlements", settling.join_all()).await;
    step("events under way", announcer.flush()).await;
    drop(announcer);
    step("the outbox", marking.join_all()).await;
    keeper.stop().await;
    registration.leave().await;
    step("the ledger", ledger.close()).await;
    tracing::info!("worker stopped");
    result
}

/// Claims and runs jobs until `shutdown` drains and the last attempt has
/// ended, or some time after it aborts.
async fn work(
    config: &WorkerConfig,
    worker: WorkerId,
    bench: &Arc<Workbench>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    if config.slots == 0 {
        tracing::warn!("there is no GPU: nothing is claimed, only duties are carried out");
        shutdown.drain.cancelled().await;
        return Ok(());
    }
    let attempts = TaskTracker::new();
    let settings = Settings {
        worker,
        lanes: config.lanes.clone(),
        poll_interval: config.poll_interval,
        rng: rand::make_rng(),
    };
    let slots = Slots::new(config.slots);
    let (dispatcher, lines) = Dispatcher::new(settings, Arc::clone(bench), attempts.clone(), slots);

    let mut listening = JoinSet::new();
    for (place, (lane, line)) in config.lanes.iter().zip(lines).enumerate() {
        let listener = Listener {
            place,
            lane: lane.clone(),
            messaging: bench.messaging.clone(),
            is_wanted: line.is_wanted,
            calls: line.calls,
            metrics: bench.metrics.clone(),
        };
        listening.spawn(listener.run());
    }
    let mut dispatching = JoinSet::new();
    dispatching.spawn(dispatcher.run(shutdown.drain.clone()));

    let until_drained = async {
        loop {
            // A listener ends with the dispatcher, or because it panicked.
            tokio::select! {
                Some(ended) = dispatching.join_next() => {
                    ended.context("the dispatcher panicked")?;
                    break;
                }
                Some(ended) = listening.join_next() => ended.context("a listener panicked")?,
            }
        }
        while let Some(ended) = listening.join_next().await {
            ended.context("a listener panicked")?;
        }
        attempts.close();
        attempts.wait().await;
        Ok(())
    };
    tokio::select! {
        result = until_drained => result,
        () = too_late(&shutdown.abort) => {
            tracing::warn!(attempts = attempts.len(), "not all attempts could be given back");
            Ok(())
        }
    }
}

async fn too_late(abort: &CancellationToken) {
    abort.cancelled().await;
    sleep(RELEASE_LIMIT).await;
}

/// Waits for a part to end: none may before it is told to.
async fn ended(parts: &mut JoinSet<()>) -> anyhow::Error {
    match parts.join_next().await {
        Some(Err(error)) => anyhow::Error::new(error).context("a part of the worker panicked"),
        Some(Ok(())) | None => anyhow!("a part of the worker ended"),
    }
}

fn keep_leases(
    config: &WorkerConfig,
    worker: WorkerId,
    bench: &Workbench,
) -> io::Result<KeeperHandle> {
    let keeper = Keeper {
        database_url: config.database_url.clone(),
        worker,
        leases: bench.leases.clone(),
        messaging: bench.messaging.clone(),
        metrics: bench.metrics.clone(),
    };
    keeper.start()
}

fn connect(config: &WorkerConfig) -> anyhow::Result<Ledger> {
    let pool = connect_lazy(&PoolSettings {
        url: config.database_url.clone(),
        application_name: "jetlane-worker",
        max_connections: config.database_max_connections,
        acquire_timeout: ACQUIRE_LIMIT,
        rested: RESTED,
    });
    Ok(Ledger::new(pool.context("DATABASE_URL is no address")?))
}
