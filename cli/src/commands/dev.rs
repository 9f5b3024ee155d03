//! `jetlane dev`: everything on this machine, staying up.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jetlane_core::shutdown::Shutdown;
use serde_json::json;

use crate::output::{self, Format};
use crate::signals;
use crate::stack::{Environment, Ledger, Logs, Plan, Stack};
use crate::values;

/// Where data and logs are kept, in the current folder.
const FOLDER: &str = ".jetlane";

/// Where it is kept if the servers cannot reach that.
const SYSTEM_FOLDER: &str = "/var/lib/jetlane";

/// How long running jobs may take once everything is to stop. What is not done
/// by then runs again at the next start.
const GRACE: Duration = Duration::from_secs(10);

/// More worker processes than a machine is asked for on purpose.
const MOST_WORKERS: usize = 100;

/// The arguments of `dev`.
///
/// The environment configures `edge` and the workers, as it would elsewhere.
/// A process or server that dies is told of and not started again.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = "\
The environment configures edge and the workers as it would elsewhere (GPU_COUNT, LANES, \
SIMULATE_MIN_MS, …), but for where they listen and DRAIN_GRACE, which is 10. A process or server \
that dies is told of in one line and not started again; another worker can be started by hand, \
with `jetlane worker`.")]
pub(crate) struct Args {
    /// Where the API listens, on loopback; 0 picks a free port
    #[arg(long, default_value_t = 8000, value_parser = values::number(0..=u16::MAX))]
    port: u16,
    /// How many worker processes, 0 to 100
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = values::number(0..=MOST_WORKERS))]
    workers: usize,
    /// Keep nothing: the data goes with the servers
    #[arg(long)]
    ephemeral: bool,
}

/// Brings up everything, prints where it is, and stops it on SIGINT, SIGTERM or SIGHUP; at once
/// on a second one of the first two.
///
/// # Errors
///
/// If something cannot be brought up; whatever was is stopped again.
pub(crate) async fn run(args: Args, format: Format) -> anyhow::Result<()> {
    let shutdown = Shutdown::default();
    let _signals = signals::heed(&shutdown);

    if format == Format::Text {
        output::print("starting PostgreSQL, NATS, edge and workers …")?;
    }
    let started = Box::pin(Stack::start(plan(args)?, &shutdown)).await?;
    let Some(mut stack) = started else { return Ok(()) };
    let stayed = stay(&mut stack, format, &shutdown).await;

    if format == Format::Text {
        // A terminal that was closed is no reason to leave anything behind.
        let _ = output::print("stopping; once more to stop at once");
    }
    // Dropping a half-stopped stack kills what is left of it.
    let stopped = shutdown.abort.run_until_cancelled(stack.stop(GRACE)).await;
    stayed.and(stopped.unwrap_or(Ok(())))
}

/// Says where everything is, and what of it ends, until it is to stop.
async fn stay(stack: &mut Stack, format: Format, shutdown: &Shutdown) -> anyhow::Result<()> {
    announce(stack, format)?;
    while let Some(ended) = shutdown.drain.run_until_cancelled(stack.ended()).await {
        output::complain(ended?);
    }
    Ok(())
}

fn plan(args: Args) -> anyhow::Result<Plan> {
    let kept = data_folder(&std::env::current_dir().context("cannot tell the current folder")?)?;
    let (ledger, logs) = if args.ephemeral {
        (Ledger::Scratch, Logs::temporary()?)
    } else {
        let logs = Logs::kept(kept.join("logs"))?;
        keep_out_of_git(&kept)?;
        (Ledger::Kept(kept), logs)
    };
    Ok(Plan {
        ledger,
        logs,
        port: (args.port != 0).then_some(args.port),
        workers: args.workers,
        environment: Environment::Inherited,
        settings: vec![("DRAIN_GRACE", GRACE.as_secs().to_string())],
    })
}

/// Where the data of a stack started in `here` is kept: beside it, unless root
/// starts the stack where the unprivileged user that the servers run as cannot
/// go, such as in root's own home.
fn data_folder(here: &Path) -> anyhow::Result<PathBuf> {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || here.ancestors().all(is_open_to_all) {
        return Ok(here.join(FOLDER));
    }
    let name = here.display().to_string().replace('/', "-");
    let kept = Path::new(SYSTEM_FOLDER).join(name.trim_matches('-'));
    std::fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    Ok(kept)
}

fn is_open_to_all(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
}

/// Databases are nothing to commit, whichever project this folder belongs to.
fn keep_out_of_git(folder: &Path) -> anyhow::Result<()> {
    std::fs::write(folder.join(".gitignore"), "*\n")
        .with_context(|| format!("cannot write to {}", folder.display()))
}

fn announce(stack: &Stack, format: Format) -> anyhow::Result<()> {
    let (servers, pids) = (stack.servers(), stack.worker_pids());
    let api = stack.api().address();
    if format == Format::Json {
        return output::print_json(&json!({
            "api": api,
            "database_url": servers.database_url(),
            "nats_url": servers.nats_url(),
            "nats_monitor": servers.nats_monitor(),
            "worker_pids": pids,
        }));
    }
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let lines = [
        ("API", api),
        ("PostgreSQL", servers.database_url()),
        ("NATS", servers.nats_url()),
        ("NATS monitor", servers.nats_monitor().unwrap_or("not ours")),
        ("workers", &pids.join(" ")),
        ("logs", &stack.logs().folder().display().to_string()),
    ];
    output::print("")?;
    for (name, value) in lines {
        output::print(format_args!("  {name:<13} {value}"))?;
    }
    output::print("\nready; ^C stops everything")?;
    Ok(())
}
