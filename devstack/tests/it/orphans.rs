//! However a process ends, its servers that are processes, too, and their temporary folders go with
//! it. What becomes of containers is in `containers.rs`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::given::{Folder, eventually, processes_naming, signal};

/// A process that holds both servers, killed in the end.
struct Holder(Child);

impl Holder {
    fn start(temporary: &Folder, kept: Option<&Folder>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jetlane-devstack"));
        command
            .args(kept.map(Folder::path))
            .env("TMPDIR", temporary.path())
            .env("JETLANE_DEVSTACK", "binaries,wheels")
            .stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn wait_until_it_holds(&mut self) {
        let printed = BufReader::new(self.0.stdout.as_mut().unwrap());
        assert!(printed.lines().any(|line| line.unwrap() == "holding"));
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have been killed already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn processes_of(folder: &Path) -> Vec<PathBuf> {
    processes_naming(folder.to_str().unwrap())
}

#[track_caller]
fn assert_all_goes(temporary: &Folder) {
    eventually("no process is left", || processes_of(temporary.path()).is_empty());
    eventually("no folder is left", || temporary.entries().is_empty());
}

#[test]
fn a_killed_process_leaves_no_server_and_no_folder() {
    let temporary = Folder::new();
    let mut holder = Holder::start(&temporary, None);
    holder.wait_until_it_holds();
    assert_eq!(temporary.entries().len(), 2);
    assert!(processes_of(temporary.path()).len() >= 4, "two servers and their guards");

    holder.kill();

    assert_all_goes(&temporary);
}

#[test]
fn a_process_killed_while_its_servers_start_leaves_nothing_either() {
    let temporary = Folder::new();
    let holder = Holder::start(&temporary, None);
    let initialises = |folder: &PathBuf| folder.join("data.new/PG_VERSION").is_file();
    eventually("initdb is at work", || temporary.entries().iter().any(initialises));

    holder.kill();

    assert_all_goes(&temporary);
}

/// As when a system ends a service: every process is told at once.
#[test]
fn a_guard_that_is_told_to_end_cleans_up_first() {
    let temporary = Folder::new();
    let mut holder = Holder::start(&temporary, None);
    holder.wait_until_it_holds();

    for process in processes_of(temporary.path()) {
        signal(&process, Signal::TERM);
    }

    assert_all_goes(&temporary);
}

/// The guard of a killed process is still at work when the next one comes.
#[test]
fn a_kept_folder_can_be_used_again_right_after_a_kill() {
    let (temporary, kept) = (Folder::new(), Folder::new());
    for _ in 0..2 {
        let mut holder = Holder::start(&temporary, Some(&kept));
        holder.wait_until_it_holds();
        holder.kill();
    }
    eventually("no process is left", || processes_of(kept.path()).is_empty());
}
