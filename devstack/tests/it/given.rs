//! What tests start from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jetlane_devstack::{Settings, Source};
use uuid::Uuid;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The environment's settings, for servers of our own.
pub(crate) fn settings() -> Settings {
    let sources = vec![Source::Binaries, Source::Wheels];
    Settings { sources, ..Settings::from_env().unwrap() }
}

/// A folder in which anyone may make files. Removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("jetlane-it-{}", Uuid::now_v7().simple()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that has failed already may have servers left in it.
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
