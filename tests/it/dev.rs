//! `demo` and `dev`: what they tell of what they brought up, and what they leave behind.

use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use jetlane_tests::eventually;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

use crate::harness::{Folder, PATIENCE, Program};

/// A command that brings servers up, as processes of this machine.
struct Bringing {
    process: Child,
    printed: Lines<BufReader<ChildStdout>>,
    complaints: Lines<BufReader<ChildStderr>>,
}

impl Bringing {
    fn start(program: Program, folder: &Path) -> Self {
        let ignored = signals(std::process::id(), "SigIgn:");
        assert_eq!(
            ignored & bit(Signal::HUP),
            0,
            "run the tests without nohup: it hears no SIGHUP"
        );
        let inherited = ["PATH", "HOME"].map(|name| {
            let value = std::env::var_os(name).unwrap_or_default();
            (name, value.into_string().unwrap())
        });
        let program = program
            .vars(inherited)
            .var("TMPDIR", folder.to_str().unwrap())
            .var("JETLANE_DEVSTACK", "binaries,wheels");
        let mut command = tokio::process::Command::from(program.command(folder));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let printed = BufReader::new(process.stdout.take().unwrap()).lines();
        let complaints = BufReader::new(process.stderr.take().unwrap()).lines();
        Self { process, printed, complaints }
    }

    fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Waits for a line that contains `text`.
    async fn until_printed(&mut self, text: &str) {
        let found = async {
            while let Some(line) = self.printed.next_line().await.unwrap() {
                if line.contains(text) {
                    return;
                }
            }
            panic!("it ended without printing {text}");
        };
        timeout(PATIENCE, found).await.expect("it must be printed");
    }

    async fn next_complaint(&mut self) -> String {
        let line = timeout(PATIENCE, self.complaints.next_line()).await;
        line.expect("it must complain").unwrap().expect("it must not end")
    }

    async fn end(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.process.wait()).await.expect("it must end").unwrap()
    }
}

/// The server called `name` that one of the guards of `parent` owns.
fn server_of(parent: u32, name: &str) -> Option<u32> {
    let processes: Vec<_> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid: u32 = entry.unwrap().file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // As in `17 (name) S 1 …`.
            let (called, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            let its_parent: u32 = rest.split(' ').nth(1)?.parse().ok()?;
            Some((pid, called.to_owned(), its_parent))
        })
        .collect();
    let guards: Vec<_> =
        processes.iter().filter(|process| process.2 == parent).map(|process| process.0).collect();
    let mut servers = processes.iter().filter(|process| guards.contains(&process.2));
    servers.find(|process| process.1 == name).map(|process| process.0)
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

fn logs_in(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("jetlane-logs-")).count()
}

#[tokio::test]
async fn dev_tells_of_a_server_that_dies_and_stays_up() {
    let folder = Folder::new();
    let program = Program::new("dev").arg("--ephemeral").arg("--port=0").arg("--workers=0");
    let mut dev = Bringing::start(program, folder.path());
    dev.until_printed("ready").await;

    for (program, server) in [("nats-server", "nats-server"), ("postgres", "PostgreSQL")] {
        let pid = server_of(dev.pid(), program).expect("the server runs");
        signal(pid, Signal::KILL);

        let line = dev.next_complaint().await;
        let expected = format!("{server} (process {pid}) ended: signal: 9 (SIGKILL); ");
        assert!(line.starts_with(&expected) && line.len() > expected.len(), "{line}");
    }
    assert!(dev.process.try_wait().unwrap().is_none(), "it stays up");
    assert_eq!(server_of(dev.pid(), "postgres"), None, "it does not start them again");

    signal(dev.pid(), Signal::TERM);
    assert!(dev.end().await.success());
}

#[tokio::test]
async fn a_closed_terminal_ends_dev_in_good_order() {
    let folder = Folder::new();
    let program = Program::new("dev").arg("--ephemeral").arg("--port=0").arg("--workers=1");
    let mut dev = Bringing::start(program, folder.path());
    dev.until_printed("ready").await;
    let postgres = server_of(dev.pid(), "postgres").unwrap();
    assert_eq!(logs_in(folder.path()), 1);

    // From the system and from the shell.
    signal(dev.pid(), Signal::HUP);
    signal(dev.pid(), Signal::HUP);

    assert!(dev.end().await.success());
    assert_eq!(logs_in(folder.path()), 0);
    assert!(!Path::new(&format!("/proc/{postgres}")).exists());
}

#[tokio::test]
async fn a_closed_terminal_ends_the_demo_and_leaves_nothing() {
    let folder = Folder::new();
    let mut demo = Bringing::start(Program::new("demo").arg("--jobs=10000"), folder.path());
    demo.until_printed("all up").await;
    let postgres = server_of(demo.pid(), "postgres").unwrap();

    let pid = demo.pid();
    let Bringing { mut process, printed, complaints } = demo;
    drop((printed, complaints));
    signal(pid, Signal::HUP);

    // How it ends, nobody is left to be told.
    timeout(PATIENCE, process.wait()).await.expect("it must end").unwrap();
    assert_eq!(logs_in(folder.path()), 0);
    assert!(!Path::new(&format!("/proc/{postgres}")).exists());
}

/// The signals, as bits from the lowest, that a process has in a field of its status.
fn signals(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

/// As `nohup` has it.
#[tokio::test]
async fn where_hang_ups_are_ignored_they_stay_ignored() {
    let folder = Folder::new();
    let program = Program::new("worker").var("DATABASE_URL", "postgresql://u@127.0.0.1:1/d");
    let program = program.var("WORKER_PORT", "0").var("NATS_URL", "nats://127.0.0.1:1");
    let worker = program.command(folder.path());
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(worker.get_program())
        .args(worker.get_args())
        .env_clear()
        .envs(worker.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let process = command.spawn().unwrap();
    let pid = process.id().unwrap();

    // Of its signals it listens to this one late.
    eventually("it listens to signals", PATIENCE, async || {
        (signals(pid, "SigCgt:") & bit(Signal::INT) != 0).then_some(())
    })
    .await;

    assert_eq!(signals(pid, "SigIgn:") & bit(Signal::HUP), bit(Signal::HUP));
    assert_eq!(signals(pid, "SigCgt:") & bit(Signal::HUP), 0);
}
