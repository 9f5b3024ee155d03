//! The folder of the processes' logs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use uuid::Uuid;

use crate::output::complain;

/// A folder for logs. A temporary one goes with this value, unless it is to be
/// [kept](Logs::keep).
#[derive(Debug)]
pub(crate) struct Logs {
    folder: PathBuf,
    is_temporary: bool,
}

impl Logs {
    /// A new folder among the system's temporary ones.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub(crate) fn temporary() -> anyhow::Result<Self> {
        let name = format!("jetlane-logs-{}", Uuid::now_v7().simple());
        Self::make(std::env::temp_dir().join(name), true)
    }

    /// This folder, which stays.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub(crate) fn kept(folder: PathBuf) -> anyhow::Result<Self> {
        Self::make(folder, false)
    }

    fn make(folder: PathBuf, is_temporary: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self { folder, is_temporary })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has the folder stay, because somebody may want to read what is in it.
    pub(crate) fn keep(&mut self) {
        self.is_temporary = false;
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if !self.is_temporary {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            complain(format_args!("cannot remove {}: {error}", self.folder.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_logs_go_unless_they_are_to_be_kept() {
        let gone = Logs::temporary().unwrap();
        let mut kept = Logs::temporary().unwrap();
        kept.keep();
        let folders = [gone.folder().to_owned(), kept.folder().to_owned()];

        drop((gone, kept));

        let exist = folders.each_ref().map(|folder| folder.exists());
        fs::remove_dir(&folders[1]).unwrap();
        assert_eq!(exist, [false, true]);
    }
}
