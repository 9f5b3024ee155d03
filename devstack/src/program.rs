//! Running small programs to their end.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::account::Account;

/// What a program printed before it ended well.
///
/// `account` is whom it runs as, if not ourselves. It is killed when it takes longer than `limit`.
///
/// # Errors
///
/// What kept it from ending well: it could not be run, or took too long, or the last line it
/// printed before it failed.
pub(crate) async fn output(
    program: &Path,
    arguments: &[&str],
    account: Option<Account>,
    limit: Duration,
) -> io::Result<String> {
    let mut command = Command::new(program);
    // `/`: a folder of ours may be closed to `account`, and Python imports from where it runs.
    command.args(arguments).current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    let Ok(output) = timeout(limit, command.output()).await else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
    };
    let output = output?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(printed.into_owned());
    }

    let complaints = String::from_utf8_lossy(&output.stderr);
    let last = complaints.lines().chain(printed.lines()).rfind(|line| !line.trim().is_empty());
    Err(io::Error::other(last.map_or_else(|| output.status.to_string(), str::to_owned)))
}
