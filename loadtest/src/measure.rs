//! The commands: what is measured in which order.

use std::time::Duration;

use anyhow::{Context, ensure};

use crate::args::{FloorArgs, PaceArgs, SaturateArgs};
use crate::floor::{self, Floor};
use crate::latency::Latency;
use crate::pace::{Schedule, Stage};
use crate::product::{self, Clients};
use crate::report::{JetlanePace, Pace, Report, Saturation};
use crate::stack::{Fleet, Parts, Stack, Versions, servers};
use crate::usage::{Tree, Usage};

/// What runs before anything is measured: caches are filled and connections made.
const WARM_UP: Duration = Duration::from_secs(2);

/// A rate that a cold system can take.
const WARM_UP_RATE: f64 = 50.0;

/// So many connections submit jobs at a rate. More wait for each other in the system, not here.
pub(crate) const CLIENTS: usize = 64;

/// The bare clients alone.
///
/// # Errors
///
/// If something does not start, or a step fails.
pub(crate) async fn floor(args: &FloorArgs, report: &mut Report) -> anyhow::Result<()> {
    let servers = servers().await?;
    report.versions = Versions::of(&servers).await?;
    let floor = Floor::lay(&servers).await?;
    floor.flat_out(WARM_UP).await?;
    report.floor_steps = Some(floor.steps(args.duration / 3).await?);
    for per_s in &args.rates {
        let chains = floor.at(steady(*per_s, args.duration)).await?;
        report.paces.push(Pace { per_s: *per_s, floor: chains.latency.summary(), jetlane: None });
    }
    let chains = floor.flat_out(args.duration).await?;
    let floor_per_s = per_s(&chains);
    report.saturation = Some(Saturation { floor_per_s, ..Saturation::default() });
    servers.stop().await?;
    Ok(())
}

/// Jetlane and the floor in turns, at each rate.
///
/// # Errors
///
/// If something does not start, or a step fails.
pub(crate) async fn pace(args: &PaceArgs, report: &mut Report) -> anyhow::Result<()> {
    let fleet = Fleet::from(args.fleet);
    let (stack, floor) = start(fleet, report).await?;
    let api = stack.apis()[0];
    for per_s in &args.rates {
        let mut bare = Latency::new();
        let mut total: Option<product::Run> = None;
        let mut usage = Parts::default();
        let mut rounds = Vec::new();
        for _ in 0..args.rounds.get() {
            let chains = floor.at(steady(*per_s, args.duration)).await?;
            bare.add(&chains.latency);
            let before = stack.usage()?;
            let run = product::at(api, api, steady(*per_s, args.duration), CLIENTS).await?;
            usage = sum(usage, stack.usage()?.since(before));
            rounds.push(to_floor(&run.running, &chains.latency));
            match &mut total {
                Some(total) => total.add(&run),
                None => total = Some(run),
            }
        }
        let run = total.context("no rounds")?;
        report.paces.push(paced(*per_s, &bare, &run, usage, rounds));
    }
    stack.stop().await
}

/// Jetlane and the floor in turns, as much as each takes.
///
/// # Errors
///
/// If something does not start, or a step fails.
pub(crate) async fn saturate(args: &SaturateArgs, report: &mut Report) -> anyhow::Result<()> {
    let fleet = Fleet::from(args.fleet);
    let (stack, floor) = start(fleet, report).await?;
    let mut rounds = Vec::new();
    for _ in 0..args.rounds.get() {
        let floor_per_s = per_s(&floor.flat_out(args.duration).await?);
        let before = (stack.usage()?, Tree::own_usage()?);
        let clients = Clients { count: args.clients.get(), batch: args.batch.get() };
        let run =
            product::flat_out(stack.apis(), stack.database_url(), clients, args.duration).await?;
        let usage = stack.usage()?.since(before.0);
        let own = Tree::own_usage()?.since(before.1);
        let per_job = |cpu_s: f64| cpu_s * 1e3 / jobs(run.jobs);
        rounds.push(Saturation {
            floor_per_s,
            accepted_per_s: run.accepted_per_s,
            completed_per_s: run.completed_per_s,
            accept: run.accept,
            cpu_ms_per_job: Parts {
                edge: per_job(usage.edge.cpu_s),
                worker: per_job(usage.worker.cpu_s),
                postgres: per_job(usage.postgres.cpu_s),
                nats: per_job(usage.nats.cpu_s),
            },
            cpu_ms_per_job_in_all: per_job(usage.cpu_s()),
            transactions_per_job: jobs(run.transactions) / jobs(run.jobs),
            generator_cpu_ms_per_job: per_job(own.cpu_s),
            completed_to_floor: run.completed_per_s / floor_per_s,
            rounds: Vec::new(),
        });
    }
    let each = rounds.iter().map(|round| round.completed_to_floor).collect();
    // The round in the middle, whole: figures of different rounds do not belong together.
    rounds.sort_by(|a, b| a.completed_to_floor.total_cmp(&b.completed_to_floor));
    let middle = rounds.into_iter().nth(args.rounds.get() / 2);
    report.saturation = middle.map(|middle| Saturation { rounds: each, ..middle });
    stack.stop().await
}

async fn start(fleet: Fleet, report: &mut Report) -> anyhow::Result<(Stack, Floor)> {
    let stack = bring_up(fleet, report).await?;
    let floor = Floor::lay(stack.servers()).await?;
    floor.flat_out(WARM_UP).await?;
    Ok((stack, floor))
}

/// Brings up everything, warm, and notes in the report what it is.
///
/// # Errors
///
/// If something does not start.
pub(crate) async fn bring_up(fleet: Fleet, report: &mut Report) -> anyhow::Result<Stack> {
    ensure!(fleet.edges > 0 && fleet.workers > 0, "without an edge and a worker nothing runs");
    let program = std::env::current_exe().context("cannot find this program")?;
    let stack = Stack::start(&program, fleet).await?;
    report.fleet = Some(fleet);
    report.versions = Versions::of(stack.servers()).await?;
    let api = stack.apis()[0];
    product::at(api, api, steady(WARM_UP_RATE, WARM_UP), CLIENTS).await?;
    Ok(stack)
}

/// The same rate all the time.
pub(crate) fn steady(per_s: f64, span: Duration) -> Schedule {
    Schedule::new(vec![Stage::steady(per_s, span)])
}

fn per_s(chains: &floor::Chains) -> f64 {
    jobs(chains.latency.summary().count) / chains.took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 jobs")]
fn jobs(count: u64) -> f64 {
    count as f64
}

/// The median and the 99th percentile as multiples of those of the floor.
fn to_floor(latency: &Latency, floor: &Latency) -> (f64, f64) {
    let (ours, bare) = (latency.summary(), floor.summary());
    (ours.p50_ms / bare.p50_ms, ours.p99_ms / bare.p99_ms)
}

fn paced(
    per_s: f64,
    bare: &Latency,
    run: &product::Run,
    usage: Parts<Usage>,
    rounds: Vec<(f64, f64)>,
) -> Pace {
    let (p50_to_floor, p99_to_floor) = to_floor(&run.running, bare);
    Pace {
        per_s,
        floor: bare.summary(),
        jetlane: Some(JetlanePace {
            lateness: run.lateness.summary(),
            accepted: run.accepted.summary(),
            running: run.running.summary(),
            ended: run.ended.summary(),
            hops: run.hops.figures(Latency::summary),
            due: run.due,
            refused: run.refused,
            untold: run.untold,
            usage,
            cpu_ms_per_job: usage.cpu_s() * 1e3 / jobs(run.due),
            p50_to_floor,
            p99_to_floor,
            rounds,
        }),
    }
}

fn sum(a: Parts<Usage>, b: Parts<Usage>) -> Parts<Usage> {
    let add = |a: Usage, b: Usage| Usage { cpu_s: a.cpu_s + b.cpu_s, ..b };
    Parts {
        edge: add(a.edge, b.edge),
        worker: add(a.worker, b.worker),
        postgres: add(a.postgres, b.postgres),
        nats: add(a.nats, b.nats),
    }
}
