//! `loadtest` without a command: users who do all sorts of things, at a rate, here or elsewhere.
//!
//! * `scenarios` is what users do, `attack` has goose run them; `shared` is what they have in common.
//! * `watching` is who is told of it; `timeline` and `figures` are what comes of it, `depths` and `slopes`
//!   what piles up.

mod attack;
mod depths;
mod figures;
mod scenarios;
mod shared;
mod slopes;
mod timeline;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::{Client, Url};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::args::{LoadArgs, Shape};
use crate::floor::Floor;
use crate::latency::{Latency, Summary};
use crate::measure::{bring_up, steady};
use crate::pace::{Arrivals, Schedule, Stage};
use crate::progress::Progress;
use crate::report::Report;
use crate::stack::Stack;
use attack::Attack;
use depths::Gauges;
use shared::{Shared, Target};
use slopes::slopes;
use watching::{Watched, Watching};

pub(crate) use figures::{Load, UsageAt};
pub(crate) use scenarios::{Kind, Weighted};
pub(crate) use timeline::Second;

/// Jobs that were accepted may take so long to end once users have left.
const LIMIT: Duration = Duration::from_secs(20);

/// Of a long run, the use of resources is noted so often.
const MOST_SAMPLES: u32 = 600;

/// How long the floor is measured before, and how long it warms up.
const FLOOR_SPAN: Duration = Duration::from_secs(5);
const FLOOR_WARM_UP: Duration = Duration::from_secs(1);

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(200);

/// How long users have to be made before the first of them comes.
const HEAD_START: Duration = Duration::from_secs(2);

/// A burst is a tenth of its period.
const BURST_PERIOD: Duration = Duration::from_secs(5);

/// Puts the target under load, and watches what comes of it.
///
/// # Errors
///
/// If the target is not there, or a file cannot be written. What fails under load is counted.
pub(crate) async fn load(args: &LoadArgs, report: &mut Report) -> anyhow::Result<()> {
    let kinds: BTreeSet<_> = args.scenario.iter().map(|weighted| weighted.kind).collect();
    ensure!(kinds.len() == args.scenario.len(), "something is in the scenario twice");
    ensure!(args.users.get() >= kinds.len(), "each kind of the scenario needs a user");
    let client = Client::builder().build().context("cannot make an HTTP client")?;
    let stack = match &args.host {
        Some(_) => None,
        None => Some(bring_up(args.fleet.into(), report).await?),
    };
    let host = match (&stack, &args.host) {
        (Some(stack), _) => format!("http://{}", stack.apis()[0]),
        (None, host) => host.iter().map(Url::to_string).collect(),
    };
    let goose_report = match &args.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            Some(folder.join("goose.html"))
        }
        None => None,
    };

    let prefix = format!("load-{}-", Uuid::now_v7().simple());
    let floor = match &stack {
        Some(stack) => Some(floor(stack, args.rate).await?),
        None => None,
    };
    let target = Target { base_path: base_path(&host), api_key: args.api_key.clone() };
    let shared = Arc::new(Shared::new(arrivals(args), target, prefix));
    let watching = Watching::begin(&client, &host, &shared, args.watchers.get()).await?;
    shared.begin();
    let attack = Attack {
        host: host.clone(),
        kinds: args.scenario.clone(),
        users: args.users.get(),
        span: HEAD_START + args.duration,
        report: goose_report,
    };
    let usage = run(&attack, &shared, stack.as_ref(), args.duration).await?;
    let watched = watching.end(LIMIT).await?;

    let found = figures(args, &host, &shared, &watched, usage);
    report.load = Some(Load { floor, ..found });
    match stack {
        Some(stack) => stack.stop().await,
        None => Ok(()),
    }
}

/// What the bare chain takes at the rate of the arrivals.
async fn floor(stack: &Stack, per_s: f64) -> anyhow::Result<Summary> {
    let floor = Floor::lay(stack.servers()).await?;
    floor.flat_out(FLOOR_WARM_UP).await?;
    Ok(floor.at(steady(per_s, FLOOR_SPAN)).await?.latency.summary())
}

/// When users come, by what for. Each kind has its part of the rate.
fn arrivals(args: &LoadArgs) -> BTreeMap<Kind, Arc<Arrivals>> {
    let weights = args.scenario.iter().map(|weighted| weighted.weight);
    let all: usize = weights.clone().sum();
    let mut before = 0;
    args.scenario
        .iter()
        .map(|Weighted { kind, weight }| {
            #[expect(clippy::cast_precision_loss, reason = "weights that somebody typed")]
            let [share, phase] = [*weight, before].map(|weight| weight as f64 / all as f64);
            before += weight;
            // Not all kinds at the same moment.
            let phase = Duration::from_secs_f64(phase / args.rate);
            (*kind, Arrivals::new(schedule(args.shape, args.rate * share, args.duration, phase)))
        })
        .collect()
}

/// Arrivals of one kind. First users have time to be made.
fn schedule(shape: Shape, rate: f64, duration: Duration, phase: Duration) -> Schedule {
    let mut stages = vec![Stage::steady(0.0, HEAD_START + phase)];
    match shape {
        Shape::Steady => stages.push(Stage::steady(rate, duration)),
        Shape::Ramp => stages.push(Stage { from: 0.0, to: rate, span: duration }),
        Shape::Bursts => {
            let mut left = duration;
            while !left.is_zero() {
                let period = left.min(BURST_PERIOD);
                stages.push(Stage::steady(rate * 10.0, period / 10));
                stages.push(Stage::steady(0.0, period * 9 / 10));
                left = left.saturating_sub(period);
            }
        }
    }
    Schedule::new(stages)
}

/// Runs the attack to its end, shows how far it is, and notes what the system uses meanwhile, if
/// it is our own.
async fn run(
    attack: &Attack,
    shared: &Arc<Shared>,
    stack: Option<&Stack>,
    span: Duration,
) -> anyhow::Result<Vec<UsageAt>> {
    let period = (span / MOST_SAMPLES).max(Duration::from_secs(1));
    let progress = Progress::begin(HEAD_START + span);
    let began = Instant::now() + HEAD_START;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut usage: Vec<UsageAt> = Vec::new();
    let mut gauges = match stack {
        Some(stack) => Some(Gauges::open(stack).await?),
        None => None,
    };
    let attacking = attack.run(shared);
    tokio::pin!(attacking);
    loop {
        tokio::select! {
            attacked = &mut attacking => {
                attacked?;
                progress.end();
                return Ok(usage);
            }
            _ = ticks.tick() => {
                let (served, failed) = shared.served();
                progress.show(served, failed);
                let at = began.elapsed();
                let is_due = usage.last().is_none_or(|last| at >= last.at() + period);
                if let (Some(stack), Some(gauges)) = (stack, &mut gauges)
                    && is_due
                    && Instant::now() >= began
                {
                    let (used, depths) = (stack.usage()?, gauges.read().await?);
                    usage.push(UsageAt { at_s: at.as_secs_f64(), used, depths });
                }
            }
        }
    }
}

fn figures(
    args: &LoadArgs,
    host: &str,
    shared: &Shared,
    watched: &Watched,
    usage: Vec<UsageAt>,
) -> Load {
    let found = shared.found();
    let accepted_jobs = shared.accepted();
    let seconds = found.timeline.seconds();
    let due = shared.due();
    let taken: u64 = seconds.iter().map(|second| second.due).sum();
    let failed: u64 = seconds.iter().map(|second| second.failed).sum();
    // The clocks of two machines differ by more than a hop takes.
    let is_here = is_this_machine(host);
    let scenario =
        args.scenario.iter().map(|Weighted { kind, weight }| (kind.to_string(), *weight));
    Load {
        target: if args.host.is_some() { host.to_owned() } else { "own stack".to_owned() },
        scenario: scenario.collect(),
        shape: args.shape,
        per_s: args.rate,
        duration_s: args.duration.as_secs_f64(),
        users: args.users.get(),
        watchers: args.watchers.get(),
        due,
        // Nobody was free for those that were not taken.
        failed: failed + due.saturating_sub(taken),
        accepted_jobs,
        failed_jobs: watched.failed,
        untold_jobs: accepted_jobs.saturating_sub(watched.ended.count()),
        broken_streams: watched.broken,
        floor: None,
        lateness: found.lateness.distribution(),
        accepted: found.accepted.distribution(),
        running: watched.running.distribution(),
        ended: watched.ended.distribution(),
        done: found
            .kinds
            .iter()
            .map(|(kind, done)| (kind.to_string(), done.latency.distribution()))
            .collect(),
        hops: is_here.then(|| watched.hops.figures(Latency::distribution)),
        delivered: is_here.then(|| watched.delivered.distribution()),
        seconds,
        slopes: slopes(&usage),
        usage,
    }
}

/// The path of a URL, without a slash at its end.
fn base_path(host: &str) -> String {
    Url::parse(host)
        .map_or_else(|_| String::new(), |url| url.path().trim_end_matches('/').to_owned())
}

fn is_this_machine(host: &str) -> bool {
    let Ok(url) = Url::parse(host) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Writes what was found as a page and as JSON.
///
/// # Errors
///
/// If a file cannot be written.
pub(crate) fn keep(folder: &Path, report: &Report) -> anyhow::Result<()> {
    let write = |name, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("report.json", serde_json::to_string_pretty(report)?)?;
    write("report.html", crate::page::html(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_may_have_a_path() {
        assert_eq!(base_path("https://a.example/prod/"), "/prod");
        assert_eq!(base_path("http://127.0.0.1:9000/lambda-url/jobs"), "/lambda-url/jobs");
        assert_eq!(base_path("https://staging.example"), "");
    }

    #[test]
    fn only_a_loopback_address_is_surely_this_machine() {
        for here in ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:80"] {
            assert!(is_this_machine(here), "{here}");
        }
        for elsewhere in ["https://staging.example", "http://10.0.0.1", "nonsense"] {
            assert!(!is_this_machine(elsewhere), "{elsewhere}");
        }
    }
}
