//! The power of both servers fails: what they did not flush is gone.

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use rustix::process::{Pid, Signal, kill_process};

use super::{Fault, Felt};
use crate::campaign::Ground;

/// Both servers stop dead, and go on with what was flushed.
#[derive(Default)]
pub(super) struct Lost {
    /// Files that the loss has changed or taken.
    files: u64,
}

impl Fault for Lost {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            ground.read_stream().await?;
            let servers = &ground.world.servers;
            let disk = servers.disk.as_ref().context("the servers have no disk of their own")?;
            let (mut postgres, mut nats) =
                (servers.postgres.lock().await, servers.nats.lock().await);
            let pids = postgres.pid().into_iter().flat_map(family).chain(nats.pid());
            // Nobody writes any more, and then the copy is made.
            signal(pids.collect(), Signal::STOP)?;
            let remains = disk.remains()?;
            // A child that lives on would keep the next postmaster from starting.
            signal(postgres.pid().into_iter().flat_map(family).collect(), Signal::KILL)?;
            postgres.kill().await?;
            nats.kill().await?;
            for server in ["postgres", "nats"] {
                self.files += remains.replace(disk, server)?;
            }
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            ground.world.servers.nats.lock().await.start_again().await?;
            Ok(ground.world.servers.postgres.lock().await.start_again().await?)
        }
        .boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "files not as they were", count: self.files }).boxed_local()
    }
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

fn signal(pids: Vec<u32>, signal: Signal) -> anyhow::Result<()> {
    for pid in pids {
        let pid =
            i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process has a number")?;
        match kill_process(pid, signal) {
            // A child may have ended meanwhile.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
