//! The guard of a container: the process that removes it when we close its pipe or die.

use std::io;
use std::process::{Command, Stdio};

use super::Engine;
use crate::guard::Guard;

/// Starts the guard of the container that will be called `name`.
///
/// What it promises, and how it is spoken to, is said in `guard.sh`.
pub(super) fn spawn(engine: &Engine, name: &str) -> io::Result<Guard> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", include_str!("guard.sh"), "jetlane-guard"])
        .args(engine.command(&format!("/containers/{name}?force=true&v=true")))
        .stderr(Stdio::null());
    Guard::run(command)
}
