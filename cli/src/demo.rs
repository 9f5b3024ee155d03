//! `jetlane demo`: a committed list of jobs, run and checked before your eyes.
//!
//! ```text
//!  follow (SSE) ──┐
//!  submit (HTTP) ─┼─ messages ─► session ─► world ─► view, report
//!  cancel (HTTP) ─┘              decides    knows
//! ```
//!
//! The demo is one client process. It stamps what it reads with its own
//! monotonic clock, believes nothing but what it has seen, and compares that
//! with the ledger at the end.

mod board;
mod history;
mod input;
mod latency;
mod legality;
mod report;
mod screen;
mod session;
mod tasks;
mod view;
mod world;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jetlane_core::shutdown::Shutdown;

use crate::output::{self, Format};
use crate::signals;
use crate::stack::{Environment, Ledger, Logs, Plan, Stack};

use self::latency::milliseconds;
use self::session::Session;
use self::view::View;

/// How many workers, and GPUs of each.
const WORKERS: usize = 2;
const GPUS: usize = 4;

/// How long processes may take to stop; by then no job runs.
const GRACE: Duration = Duration::from_secs(3);

/// Runs `count` jobs of the list, or all of it, and tells what came of them.
///
/// # Errors
///
/// If something cannot be brought up, ends too early, or is interrupted.
/// Everything is removed then, except for logs that tell why.
pub(crate) async fn run(count: Option<NonZeroUsize>, format: Format) -> anyhow::Result<ExitCode> {
    let script = input::script(&input::jobs()?, count);
    let shutdown = Shutdown::default();
    let _signals = signals::heed(&shutdown);

    let begun = Instant::now();
    if format == Format::Text {
        output::print("starting PostgreSQL, NATS, edge and workers …")?;
    }
    let started = Box::pin(Stack::start(plan()?, &shutdown)).await;
    let started = started.context("cannot bring everything up")?;
    let Some(mut stack) = started else { bail!("interrupted") };

    let perform = async {
        if format == Format::Text {
            let seconds = begun.elapsed().as_secs_f64();
            output::print(format_args!("all up after {seconds:.1} s\n"))?;
        }
        let view = View::open(format)?;
        let report = Session::new(&mut stack, view, shutdown.clone()).run(script, GPUS).await?;
        if format == Format::Text {
            output::print(report.text())?;
        }
        anyhow::Ok(report)
    };
    let outcome = Box::pin(perform).await.map_err(|error| {
        // Of a terminal that was closed, the output may tell before the signal does.
        if shutdown.drain.is_cancelled() || output::is_unread(&error) {
            return error;
        }
        error.context(format!("the demo broke off; its logs are in {}", stack.keep_logs()))
    });
    let stopped = stack.stop(GRACE).await;

    let mut report = outcome?;
    stopped?;
    report.duration_ms = milliseconds(begun.elapsed());
    match format {
        Format::Json => output::print_json(&report)?,
        Format::Text => {
            let seconds = begun.elapsed().as_secs_f64();
            output::print(format_args!("everything removed after {seconds:.1} s"))?;
        }
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan() -> anyhow::Result<Plan> {
    Ok(Plan {
        ledger: Ledger::Scratch,
        logs: Logs::temporary()?,
        port: None,
        workers: WORKERS,
        environment: Environment::Bare,
        settings: vec![
            ("GPU_COUNT", GPUS.to_string()),
            ("LANES", "default,batch".to_owned()),
            ("RETRY_BACKOFF", "0.3".to_owned()),
            ("SIMULATE_FAILURE_RATE", "0".to_owned()),
            ("DRAIN_GRACE", GRACE.as_secs().to_string()),
            // Everything shares one machine: more backends than it can run at
            // once wait for each other, and opening them is work in the burst.
            ("DATABASE_MAX_CONNECTIONS", "3".to_owned()),
        ],
    })
}
