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

/// How long a lock may outlast its owner, while the guard stops the server and processes that
/// happen to have been forked meanwhile go their own ways.
const AFTERLIFE: Duration = Duration::from_secs(30);

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
/// The file says who holds the lock, and whether the guard has ended since. A holder that lives is
/// not waited for; what remains of one that has ended is.
async fn lock(folder: &Path) -> Result<File, DevstackError> {
    let path = folder.join("lock");
    let io = || DevstackError::io(format!("lock {}", path.display()));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(false).open(&path).map_err(io())?;

    let deadline = Instant::now() + AFTERLIFE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(io()(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let said = fs::read_to_string(&path).map_err(io())?;
        if lives(said.trim()) || Instant::now() >= deadline {
            let pid = said.lines().next().unwrap_or_default().to_owned();
            return Err(DevstackError::InUse { folder: folder.to_owned(), pid });
        }
        sleep(POLL).await;
    }

    file.set_len(0).map_err(io())?;
    writeln!(file, "{}", std::process::id()).map_err(io())?;
    Ok(file)
}

/// Whether `holder` is a process, and nothing but one, that lives.
fn lives(holder: &str) -> bool {
    let pid = holder.parse().ok().and_then(Pid::from_raw);
    // A process that we may not signal lives, too.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_lock(said: &str) -> (PathBuf, File) {
        let folder = std::env::temp_dir().join(format!("jetlane-lock-{}", Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("lock"), said).unwrap();
        let held = File::open(folder.join("lock")).unwrap();
        held.lock().unwrap();
        (folder, held)
    }

    #[tokio::test]
    async fn a_holder_that_lives_is_not_waited_for() {
        let (folder, _held) = given_lock(&format!("{}\n", std::process::id()));
        let prompt = Duration::from_secs(10);
        let error = tokio::time::timeout(prompt, lock(&folder)).await.unwrap().unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(error, DevstackError::InUse { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_remains_of_a_holder_that_has_ended_is_waited_for() {
        let (folder, held) = given_lock(&format!("{}\nended\n", std::process::id()));
        let release = async {
            // Lets the other side find the lock taken first.
            tokio::task::yield_now().await;
            drop(held);
        };

        let (locked, ()) = tokio::join!(lock(&folder), release);

        let said = fs::read_to_string(folder.join("lock")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        locked.unwrap();
        assert_eq!(said, format!("{}\n", std::process::id()));
    }
}
