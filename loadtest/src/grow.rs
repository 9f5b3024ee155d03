//! How time and throughput change with how much there is: a chart for each.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::args::GrowArgs;
use crate::chart::{Axis, Scale, Series, chart};
use crate::feed::Feed;
use crate::http::Connection;
use crate::measure::{CLIENTS, bring_up, steady};
use crate::past::{self, Past};
use crate::product::{self, Clients, completed};
use crate::report::Report;
use crate::stack::{Fleet, Stack};

/// A rate that leaves the machine time for other things.
const CALM: f64 = 20.0;

/// So many connections submit as fast as they are answered.
const FLAT_OUT_CLIENTS: Clients = Clients { count: 128, batch: 1 };

/// A backlog that no number of workers here works off while it is measured.
const ENOUGH: u64 = 100_000;

/// How many attempts a worker runs at once where there are several.
const WORKER_SLOTS: u16 = 8;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dimension {
    /// Jobs submitted per second.
    Rate,
    /// Jobs that wait.
    Backlog,
    /// Jobs that have completed.
    History,
    /// Open event streams of all jobs.
    Watchers,
    /// Workers, of eight slots each.
    Workers,
}

/// How something changed with what grew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub(crate) dimension: Dimension,
    pub(crate) points: Vec<Point>,
}

/// One size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// How much there was of what grows.
    pub(crate) size: u64,
    /// From when a job was due until a watcher was told that it runs; 0 if that was not measured.
    #[serde(default)]
    pub(crate) running_p50_ms: f64,
    #[serde(default)]
    pub(crate) running_p99_ms: f64,
    /// Jobs.
    pub(crate) completed_per_s: f64,
    /// The size of the ledger before anything was measured.
    #[serde(default)]
    pub(crate) ledger_bytes: u64,
}

impl Dimension {
    /// The sizes that are measured unless others are asked for.
    fn sizes(self) -> &'static [u64] {
        match self {
            Self::Rate => &[25, 50, 100, 200, 400, 800, 1_600],
            Self::Backlog => &[30_000, 100_000, 300_000, 1_000_000],
            Self::History => &[1, 1_000, 100_000, 1_000_000],
            Self::Watchers => &[1, 10, 100, 1_000],
            Self::Workers => &[1, 2, 4, 8],
        }
    }

    /// What grows, as an axis says it.
    const fn label(self) -> &'static str {
        match self {
            Self::Rate => "jobs submitted per second",
            Self::Backlog => "jobs that wait",
            Self::History => "jobs that have completed",
            Self::Watchers => "watchers of all jobs",
            Self::Workers => "workers",
        }
    }
}

/// Measures each size, on servers of its own, and draws the charts.
///
/// # Errors
///
/// If something does not start, a step fails, or a file cannot be written.
pub(crate) async fn grow(args: &GrowArgs, report: &mut Report) -> anyhow::Result<()> {
    let sizes = if args.sizes.is_empty() { args.dimension.sizes() } else { &args.sizes };
    let mut points = Vec::new();
    for size in sizes {
        let point = measure(args.dimension, *size, args.duration, report).await;
        points.push(point.with_context(|| format!("at {size} {}", args.dimension.label()))?);
    }
    let growth = Growth { dimension: args.dimension, points };
    if let Some(file) = &args.chart {
        draw(&growth, file)?;
    }
    report.growth = Some(growth);
    Ok(())
}

async fn measure(
    dimension: Dimension,
    size: u64,
    span: Duration,
    report: &mut Report,
) -> anyhow::Result<Point> {
    let mut fleet = Fleet::default();
    if dimension == Dimension::Workers {
        fleet = Fleet { workers: usize::try_from(size)?, slots: WORKER_SLOTS, ..fleet };
    }
    let stack = bring_up(fleet, report).await?;
    let point = match dimension {
        Dimension::Rate => paced(&stack, size, rate(size), span).await,
        Dimension::Backlog => {
            let completed_per_s = worked_off(&stack, size, span).await?;
            Ok(Point { size, completed_per_s, ..Point::default() })
        }
        Dimension::History => {
            past::write(stack.database_url(), Past::Completed, size).await?;
            let ledger_bytes = past::ledger_bytes(stack.database_url()).await?;
            let calm = paced(&stack, size, CALM, span).await?;
            let completed_per_s = flat_out(&stack, span).await?;
            Ok(Point { completed_per_s, ledger_bytes, ..calm })
        }
        Dimension::Watchers => {
            // The first is the one that measures.
            let mut others = JoinSet::new();
            for _ in 1..size {
                let mut feed = Feed::open(stack.apis()[0], "/events").await?;
                others.spawn(async move { while feed.pass().await.is_ok() {} });
            }
            let point = paced(&stack, size, CALM, span).await;
            ensure!(others.try_join_next().is_none(), "the stream of a watcher ended");
            point
        }
        Dimension::Workers => {
            let completed_per_s = worked_off(&stack, ENOUGH, span).await?;
            Ok(Point { size, completed_per_s, ..Point::default() })
        }
    };
    stack.stop().await?;
    point
}

#[expect(clippy::cast_precision_loss, reason = "a rate that somebody typed")]
fn rate(size: u64) -> f64 {
    size as f64
}

async fn paced(stack: &Stack, size: u64, per_s: f64, span: Duration) -> anyhow::Result<Point> {
    let api = stack.apis()[0];
    let began = Instant::now();
    let run = product::at(api, api, steady(per_s, span), CLIENTS).await?;
    let running = run.running.summary();
    let took = began.elapsed().max(span);
    Ok(Point {
        size,
        running_p50_ms: running.p50_ms,
        running_p99_ms: running.p99_ms,
        completed_per_s: rate(run.ended.count()) / took.as_secs_f64(),
        ..Point::default()
    })
}

async fn flat_out(stack: &Stack, span: Duration) -> anyhow::Result<f64> {
    let run = product::flat_out(stack.apis(), stack.database_url(), FLAT_OUT_CLIENTS, span).await?;
    Ok(run.completed_per_s)
}

/// How fast jobs complete that wait already.
async fn worked_off(stack: &Stack, size: u64, span: Duration) -> anyhow::Result<f64> {
    past::write(stack.database_url(), Past::Waiting, size).await?;
    let mut ledger = PgConnection::connect(stack.database_url()).await?;
    let before = completed(&mut ledger).await?;
    let began = Instant::now();
    // Nothing rings for what was not submitted.
    let mut client = Connection::open(stack.apis()[0], "/jobs").await?;
    ensure!(client.post(r#"{"name":"rings"}"#).await? == 201, "a job was refused");
    sleep(span).await;
    let count = completed(&mut ledger).await? - before;
    let took = began.elapsed();
    ensure!(count < size, "too few: all of it was gone before the measurement was over");
    Ok(rate(count) / took.as_secs_f64())
}

fn draw(growth: &Growth, file: &Path) -> anyhow::Result<()> {
    let x = Axis { label: growth.dimension.label(), scale: Scale::Log };
    let series = |name, of: fn(&Point) -> f64| Series {
        name,
        points: growth.points.iter().map(|point| (rate(point.size), of(point))).collect(),
    };
    let times = [
        series("runs, p50", |point| point.running_p50_ms),
        series("runs, p99", |point| point.running_p99_ms),
    ];
    let completed = [series("completed", |point| point.completed_per_s)];
    let has_times = growth.points.iter().any(|point| point.running_p50_ms > 0.0);
    let charts = [
        (
            "time",
            has_times,
            chart(
                "Until a watcher is told that a job runs",
                x,
                Axis { label: "ms", scale: Scale::Log },
                &times,
            ),
        ),
        (
            "throughput",
            true,
            chart(
                "Throughput",
                x,
                Axis { label: "jobs per second", scale: Scale::Linear },
                &completed,
            ),
        ),
    ];
    for (what, is_measured, svg) in charts {
        if is_measured {
            let file = file.with_extension(format!("{what}.svg"));
            std::fs::write(&file, svg)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok(())
}
