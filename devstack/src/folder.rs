//! The folder that a server's data lies in.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::account::{Account, make_readable_folder};
use crate::error::DevstackError;
use crate::settings::Settings;

/// How long a guard whose owner has died may take to stop its server.
const AFTERLIFE: Duration = Duration::from_secs(30);

/// How long a lock may last without meaning anything: a process that was forked anywhere in the
/// owner holds a copy of it until it executes its program.
const FORKS: Duration = Duration::from_millis(500);

/// How often a lock is tried that someone holds.
const POLL: Duration = Duration::from_millis(20);

/// Where a server's data lies, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// In a new temporary folder, which is removed with the server.
    Temporary,
    /// In this folder, found again at the next start. One server of a kind at a time works in it.
    Kept(PathBuf),
}

/// A folder for one server.
#[derive(Debug)]
pub(crate) enum Folder {
    /// The guard makes and removes it.
    Temporary(PathBuf),
    /// It is ours as long as the lock, or a copy of it, is open.
    Kept { path: PathBuf, lock: File },
}

impl Folder {
    /// Takes the folder for the server called `name`.
    ///
    /// # Errors
    ///
    /// [`DevstackError::InUse`] if another process has a server there, and
    /// [`DevstackError::Unreachable`] if `account` could not work there.
    pub(crate) async fn take(
        data: &Data,
        name: &str,
        settings: &Settings,
        account: Option<Account>,
    ) -> Result<Self, DevstackError> {
        let Data::Kept(base) = data else {
            let chosen = &settings.temporary;
            let writable = account.is_none_or(|account| account.can_write(chosen));
            let base = if writable { chosen } else { Path::new("/tmp") };
            let path = base.join(format!("jetlane-{name}-{}", Uuid::now_v7().simple()));
            return Ok(Self::Temporary(path));
        };

        let path = base.join(name);
        let io = || DevstackError::io(format!("use {}", path.display()));
        let path = absolute(&path).map_err(io())?;
        make_readable_folder(&path).map_err(io())?;
        if let Some(Account { uid, gid }) = account {
            chown(&path, Some(uid), Some(gid)).map_err(io())?;
        }
        if let Some(Account { uid, .. }) = account.filter(|account| !account.can_write(&path)) {
            return Err(DevstackError::Unreachable { folder: path, uid });
        }
        let lock = lock(&path).await?;
        Ok(Self::Kept { path, lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(path) | Self::Kept { path, .. } => path,
        }
    }
}

/// Locks `folder` for this process, and for whom it passes the lock on to.
///
/// A process that lives is hardly waited for; the guard of one that has died is.
async fn lock(folder: &Path) -> Result<File, DevstackError> {
    let path = folder.join("lock");
    let io = || DevstackError::io(format!("lock {}", path.display()));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(false).open(&path).map_err(io())?;

    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(io()(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let holder = fs::read_to_string(&path).map_err(io())?.trim().to_owned();
        let patience = if lives(&holder) { FORKS } else { AFTERLIFE };
        if begun.elapsed() >= patience {
            return Err(DevstackError::InUse { folder: folder.to_owned(), pid: holder });
        }
        sleep(POLL).await;
    }

    file.set_len(0).map_err(io())?;
    writeln!(file, "{}", std::process::id()).map_err(io())?;
    Ok(file)
}

fn lives(pid: &str) -> bool {
    let pid = pid.parse().ok().and_then(Pid::from_raw);
    // A process that we may not signal lives, too.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}
