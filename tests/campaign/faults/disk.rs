//! The disk of NATS fails.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{Fault, Felt};
use crate::campaign::Ground;

/// How long the tracer may take to get hold of the server, and to let go of it.
const LIMIT: Duration = Duration::from_secs(10);

/// How a call fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    calls: &'static str,
    error: &'static str,
}

impl Failure {
    /// There is no room for anything more.
    pub(super) const FULL: Self = Self { calls: "pwrite64,ftruncate,fallocate", error: "ENOSPC" };

    /// Nothing can be flushed.
    pub(super) const UNFLUSHED: Self = Self { calls: "fsync,fdatasync", error: "EIO" };
}

/// What NATS asks of its disk fails, until it is started again, as an operator
/// would: it does not trust its store any more by itself.
pub(super) struct Failing {
    failure: Failure,
    tracer: Option<Child>,
    log: PathBuf,
    failed: u64,
}

impl Failing {
    pub(super) fn new(failure: Failure) -> Self {
        let log = std::env::temp_dir().join(format!("jetlane-trace-{}", Uuid::now_v7().simple()));
        Self { failure, tracer: None, log, failed: 0 }
    }
}

impl Fault for Failing {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let pid = ground.world.servers.nats.lock().await.pid().context("NATS does not run")?;
            let Failure { calls, error } = self.failure;
            let tracer = Command::new("strace")
                .args(["--follow-forks", "--quiet=attach", &format!("--attach={pid}")])
                .args([format!("--trace={calls}"), format!("--inject={calls}:error={error}")])
                .arg(format!("--output={}", self.log.display()))
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn();
            self.tracer = Some(tracer.context("cannot run strace")?);
            let is_held = async {
                while !is_traced(pid) {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            ensure!(timeout(LIMIT, is_held).await.is_ok(), "strace does not get hold of NATS");
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            if let Some(mut tracer) = self.tracer.take() {
                let pid = tracer.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
                kill_process(pid.context("strace has ended by itself")?, Signal::TERM)?;
                timeout(LIMIT, tracer.wait()).await.context("strace does not let go of NATS")??;
            }
            let log = fs::read_to_string(&self.log).context("strace has written nothing")?;
            fs::remove_file(&self.log)?;
            self.failed = log.matches("(INJECTED)").count() as u64;

            let mut nats = ground.world.servers.nats.lock().await;
            nats.kill().await?;
            Ok(nats.start_again().await?)
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "calls failed", count: self.failed }).boxed_local()
    }
}

fn is_traced(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() != "0"))
}
