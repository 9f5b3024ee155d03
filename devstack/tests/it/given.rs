//! What tests start from.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jetlane_devstack::{Settings, Source};
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The environment's settings, for servers of our own, whatever they run in.
pub(crate) fn settings() -> Settings {
    Settings::from_env().unwrap().without_given()
}

/// The same, for servers that are processes of this machine: what a test says of signals, process
/// groups and folders.
pub(crate) fn processes() -> Settings {
    Settings { sources: vec![Source::Binaries, Source::Wheels], ..settings() }
}

/// The same, for servers in containers and nothing else.
pub(crate) fn containers() -> Settings {
    Settings { sources: vec![Source::Containers], ..settings() }
}

/// The processes whose command contains `text`, guards among them. Linux only.
pub(crate) fn processes_naming(text: &str) -> Vec<PathBuf> {
    let wanted = text.as_bytes();
    let names_it = |process: &PathBuf| {
        let command = fs::read(process.join("cmdline"));
        command.is_ok_and(|command| command.windows(wanted.len()).any(|part| part == wanted))
    };
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes.filter(names_it).collect()
}

/// Signals a process of `/proc`, which may have gone already, with another one.
pub(crate) fn signal(process: &Path, signal: Signal) {
    let pid = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).ok();
}

/// Whether nothing listens at a URL any more.
pub(crate) fn is_closed(url: &str) -> bool {
    let address = url.rsplit('@').next().unwrap().trim_start_matches("nats://");
    TcpStream::connect(address.split('/').next().unwrap()).is_err()
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
