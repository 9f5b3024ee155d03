//! The folder that keeps downloaded programs between runs.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use anyhow::Context;
use rustix::fs::{Access, access};
use tokio::time::sleep;

use crate::account::{Account, make_readable_folder, own_uid};
use crate::error::DevstackError;

/// How often a waiter looks whether the cache's lock is free.
const POLL: Duration = Duration::from_millis(20);

/// The first of `candidates` that `account` can read, or could once it is made. Makes none.
pub(crate) fn folder(
    candidates: &[PathBuf],
    account: Option<Account>,
) -> Result<PathBuf, DevstackError> {
    let mut refusals = Vec::new();
    for candidate in candidates {
        match usable(candidate, account) {
            Ok(folder) => return Ok(folder),
            Err(refusal) => refusals.push(format!("{}: {refusal:#}", candidate.display())),
        }
    }
    Err(DevstackError::Helper {
        action: "find a usable cache folder".to_owned(),
        said: refusals.join("; "),
    })
}

fn usable(candidate: &Path, account: Option<Account>) -> anyhow::Result<PathBuf> {
    let folder = absolute(candidate)?;
    let is_readable = if folder.is_dir() {
        account.is_none_or(|account| account.can_read(&folder))
    } else {
        let place = folder.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
        anyhow::ensure!(place.is_dir(), "{} is no folder", place.display());
        access(place, Access::WRITE_OK | Access::EXEC_OK)
            .with_context(|| format!("cannot write to {}", place.display()))?;
        account.is_none_or(|account| account.can_enter(place))
    };
    if let Some(Account { uid, .. }) = account.filter(|_| !is_readable) {
        anyhow::bail!("uid {uid}, as which root starts servers, cannot read it");
    }
    // Where anyone may write, anyone may have made it, with programs of their own.
    let is_public = |place: &Path| fs::metadata(place).is_ok_and(|place| place.mode() & 0o002 != 0);
    if folder.is_dir()
        && folder.parent().is_some_and(is_public)
        && ![0, own_uid()].contains(&fs::metadata(&folder)?.uid())
    {
        anyhow::bail!("it belongs to another user");
    }
    Ok(folder)
}

/// Makes `cache`, if there is none, and waits until no other process fills it. The lock ends with
/// the file, or with its process.
pub(crate) async fn lock(cache: &Path) -> Result<File, DevstackError> {
    make_readable_folder(cache).map_err(DevstackError::io(format!("make {}", cache.display())))?;
    let path = cache.join("lock");
    let action = || format!("lock {}", path.display());
    let file = File::create(&path).map_err(DevstackError::io(action()))?;

    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => sleep(POLL).await,
            Err(TryLockError::Error(error)) => return Err(DevstackError::io(action())(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_cache_that_the_servers_cannot_read_is_passed_over() {
        let base = std::env::temp_dir().join(format!("jetlane-cache-test-{}", std::process::id()));
        let (private, open) = (base.join("private/cache"), base.join("open/cache"));
        make_readable_folder(&private).unwrap();
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(base.join("private"), closed).unwrap();
        let stranger = Some(Account { uid: 4_000_001, gid: 4_000_001 });

        let chosen = folder(&[private.clone(), open.clone()], stranger);
        let own = folder(&[private.clone(), open.clone()], None);

        fs::remove_dir_all(&base).unwrap();
        assert_eq!((chosen.unwrap(), own.unwrap()), (open, private));
    }

    #[test]
    fn looking_for_a_cache_makes_none() {
        let base = std::env::temp_dir().join(format!("jetlane-no-cache-{}", std::process::id()));
        let file = std::env::current_exe().unwrap();

        let chosen = folder(&[file.join("below/a/file"), base.join("cache")], None);

        assert_eq!(chosen.unwrap(), base.join("cache"));
        assert!(!base.exists());
    }
}
