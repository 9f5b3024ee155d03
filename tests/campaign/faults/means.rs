//! What a fault takes that not every machine has.

use std::process::{Command, Stdio};

use anyhow::bail;

use super::FaultKind;

/// What the servers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Footing {
    /// Processes of this machine, to be stopped and traced.
    Processes,
    /// Containers, to be killed and started.
    Containers,
}

/// The kinds among `kinds` that this machine has the means for, and what the
/// others lack.
pub(crate) fn feasible(kinds: &[FaultKind], footing: Footing) -> (Vec<FaultKind>, Vec<String>) {
    let (mut feasible, mut left_out) = (Vec::new(), Vec::new());
    for kind in kinds {
        match lacks(*kind, footing) {
            None => feasible.push(*kind),
            Some(what) => left_out.push(format!("{kind} needs {what}")),
        }
    }
    (feasible, left_out)
}

/// As [`feasible`], for kinds that somebody asked for by name.
///
/// # Errors
///
/// If one is not feasible.
pub(crate) fn all_feasible(
    kinds: &[FaultKind],
    footing: Footing,
) -> anyhow::Result<Vec<FaultKind>> {
    match feasible(kinds, footing) {
        (kinds, left_out) if left_out.is_empty() => Ok(kinds),
        (_, left_out) => bail!("{}", left_out.join("; ")),
    }
}

fn lacks(kind: FaultKind, footing: Footing) -> Option<&'static str> {
    let is_root = rustix::process::geteuid().is_root();
    match kind {
        FaultKind::NatsPaused
        | FaultKind::NatsDiskFull
        | FaultKind::NatsFsyncFailed
        | FaultKind::PowerLost
        | FaultKind::PostgresRestarted
        | FaultKind::PostgresCrashed
            if footing == Footing::Containers =>
        {
            Some("servers that are processes of this machine")
        }
        FaultKind::NatsDiskFull | FaultKind::NatsFsyncFailed if !(is_root && has("strace")) => {
            Some("root and strace")
        }
        FaultKind::PowerLost if !(is_root && has("mkfs.ext4") && has("mount")) => {
            Some("root, mkfs.ext4 and mount")
        }
        _ => None,
    }
}

fn has(program: &str) -> bool {
    let version = Command::new(program).arg("-V").stdin(Stdio::null()).output();
    version.is_ok_and(|output| output.status.success())
}
