//! Whom servers run as: PostgreSQL refuses to run as root.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::error::DevstackError;

/// A user and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What `nobody` is on most systems, should the user database not know it.
const NOBODY: Account = Account { uid: 65534, gid: 65534 };

/// Our own user.
pub(crate) fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    own_uid() == 0
}

/// Whom servers are to run as; `None` is ourselves.
///
/// # Errors
///
/// [`DevstackError::Setting`] if we are root and `user` does not exist or is root.
pub(crate) fn for_servers(user: Option<&str>) -> Result<Option<Account>, DevstackError> {
    if !is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = lookup(&passwd, user.unwrap_or("nobody"));

    match (found, user) {
        (Some(account), _) if account.uid != 0 => Ok(Some(account)),
        (None, None) => Ok(Some(NOBODY)),
        (_, user) => Err(DevstackError::Setting {
            name: "JETLANE_DEVSTACK_USER",
            value: user.unwrap_or("nobody").to_owned(),
            expected: "use a user of /etc/passwd that is not root",
        }),
    }
}

fn lookup(passwd: &str, user: &str) -> Option<Account> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut numbers = line.split(':').skip(2);

    Some(Account { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? })
}

impl Account {
    /// Whether this user may enter `folder` and all that it lies in.
    pub(crate) fn can_enter(self, folder: &Path) -> bool {
        let enters = |path: &Path| fs::metadata(path).is_ok_and(|found| self.may(0o1, &found));
        folder.ancestors().all(enters)
    }

    /// Whether this user may enter `folder` and all that it lies in, and may read it.
    pub(crate) fn can_read(self, folder: &Path) -> bool {
        self.can_enter(folder) && self.has(folder, 0o4)
    }

    /// Whether this user may create files in `folder`.
    pub(crate) fn can_write(self, folder: &Path) -> bool {
        self.can_read(folder) && self.has(folder, 0o2)
    }

    fn has(self, path: &Path, bit: u32) -> bool {
        fs::metadata(path).is_ok_and(|found| self.may(bit, &found))
    }

    fn may(self, bit: u32, found: &Metadata) -> bool {
        let bit = match (found.uid() == self.uid, found.gid() == self.gid) {
            (true, _) => bit << 6,
            (false, true) => bit << 3,
            (false, false) => bit,
        };
        found.mode() & bit != 0
    }
}

/// Makes `folder`, and what it lies in, readable by every user whatever our umask is. What exists
/// is left as it is.
pub(crate) fn make_readable_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_readable_folder(parent)?;
    }
    match fs::create_dir(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody2:x:7:8::/:/bin/sh\nnobody:x:99:98::/:/x\n";
        assert_eq!(lookup(passwd, "nobody"), Some(Account { uid: 99, gid: 98 }));
        assert_eq!(lookup(passwd, "nobod"), None);
    }

    #[test]
    fn a_private_folder_on_the_way_cannot_be_read() {
        let stranger = Account { uid: 4_000_001, gid: 4_000_001 };
        let outer =
            std::env::temp_dir().join(format!("jetlane-account-test-{}", std::process::id()));
        let inner = outer.join("inner");
        make_readable_folder(&inner).unwrap();
        assert!(stranger.can_read(&inner));
        assert!(!stranger.can_write(&inner));

        fs::set_permissions(&outer, fs::Permissions::from_mode(0o700)).unwrap();
        let reads = stranger.can_read(&inner);

        fs::remove_dir_all(&outer).unwrap();
        assert!(!reads);
    }
}
