//! What processes cost.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use procfs::process::{Process, Stat, all_processes};
use serde::{Deserialize, Serialize};

/// Some processes of this machine, with all that they started.
#[derive(Clone, Debug)]
pub(crate) struct Tree(Vec<i32>);

/// What a tree of processes has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, in seconds, that of processes which have ended included.
    pub cpu_s: f64,
    /// Memory in use, shared pages counted once per process.
    pub memory_bytes: u64,
    /// Open file descriptors; of another user's processes only root sees them.
    pub descriptors: u64,
}

impl Usage {
    /// What was used since `before`; memory and descriptors as they are now.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { cpu_s: self.cpu_s - before.cpu_s, ..self }
    }
}

impl Tree {
    /// The processes of these numbers.
    pub(crate) fn of(pids: impl IntoIterator<Item = i32>) -> Self {
        Self(pids.into_iter().collect())
    }

    /// What this process alone has used so far, without those that it started.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub(crate) fn own_usage() -> anyhow::Result<Usage> {
        let myself = Process::myself().context("cannot read what this process costs")?;
        let stat = myself.stat()?;
        Ok(Usage { cpu_s: seconds(stat.utime + stat.stime), ..Usage::default() })
    }

    /// What all of it has used so far.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
        let mut roots = Vec::new();
        for process in all_processes().context("cannot list processes")? {
            // One that has just ended is counted by its parent.
            let Ok(stat) = process.and_then(|process| process.stat()) else { continue };
            if self.0.contains(&stat.pid) {
                roots.push(stat);
            } else {
                children.entry(stat.ppid).or_default().push(stat);
            }
        }
        let mut usage = Usage::default();
        while let Some(stat) = roots.pop() {
            roots.extend(children.remove(&stat.pid).unwrap_or_default());
            let ended = u64::try_from(stat.cutime + stat.cstime).unwrap_or_default();
            usage.cpu_s += seconds(stat.utime + stat.stime + ended);
            usage.memory_bytes += stat.rss * procfs::page_size();
            let descriptors = Process::new(stat.pid).and_then(|process| process.fd_count());
            usage.descriptors += descriptors.unwrap_or_default() as u64;
        }
        Ok(usage)
    }
}

fn seconds(ticks: u64) -> f64 {
    Duration::from_millis(ticks * 1_000 / procfs::ticks_per_second()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_work_of_a_child_is_counted() {
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 60";
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let tree = Tree::of([i32::try_from(child.id()).unwrap()]);
        let mut usage = tree.usage().unwrap();
        while usage.cpu_s < 0.05 {
            usage = tree.usage().unwrap();
        }
        assert!(usage.memory_bytes > 100_000, "{usage:?}");
        assert!(usage.descriptors >= 3, "{usage:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
