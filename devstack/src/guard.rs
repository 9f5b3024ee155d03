//! The guard: the process that owns a server, and ends it when we close its pipe or die.
//!
//! What it promises, and how it is spoken to, is said in `guard.sh`; for a server in a container, in
//! `containers/guard.sh`. Nothing here depends on an async runtime: a guard may serve, and outlive,
//! many of them.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::account::Account;
use crate::folder::Folder;

/// Longer than the guard takes to give up on a server.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// How often a dropped guard is looked at.
const POLL: Duration = Duration::from_millis(2);

/// What a guard is to own.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) folder: &'a Folder,
    /// Whom guard and server run as, if not ourselves.
    pub(crate) account: Option<Account>,
    /// What `server.conf` says.
    pub(crate) config: &'a str,
    /// How to end the server, as `SIGNAL:SECONDS` words.
    pub(crate) stop: &'a str,
    /// The `initdb` that makes `data`.
    pub(crate) initdb: Option<&'a Path>,
    pub(crate) command: &'a [OsString],
}

/// What we can tell a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Start,
    Stop,
    Kill,
}

/// What a guard has told us.
#[derive(Clone, Debug, Default)]
struct State {
    /// The server, while it runs.
    pid: Option<u32>,
    /// The last one that ran, and how it ended, if it has.
    last: Option<(u32, Option<ExitStatus>)>,
    /// How often one has ended, or has failed to begin.
    ends: u32,
    /// Complaints of the guard itself.
    said: String,
}

/// A running guard. Dropping it blocks until its server has ended.
#[derive(Debug)]
pub(crate) struct Guard {
    words: Option<ChildStdin>,
    /// Closed when the guard has ended.
    state: watch::Receiver<State>,
    listener: JoinHandle<()>,
}

impl Guard {
    /// Starts the guard of a process, which does not start the server yet.
    pub(crate) fn spawn(task: &Task<'_>) -> io::Result<Self> {
        let (life, lock) = match task.folder {
            Folder::Temporary(_) => ("temporary", Stdio::null()),
            Folder::Kept { lock, .. } => ("kept", Stdio::from(lock.try_clone()?)),
        };
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", include_str!("guard.sh"), "jetlane-guard", life])
            .arg(task.folder.path())
            .args([task.config, task.stop])
            .arg(task.initdb.unwrap_or(Path::new("")))
            .args(task.command)
            .stderr(lock);
        if let Some(Account { uid, gid }) = task.account {
            command.uid(uid).gid(gid);
        }
        Self::run(command)
    }

    /// Starts a guard by the command that runs its script.
    pub(crate) fn run(mut command: Command) -> io::Result<Self> {
        command
            // Servers read many a variable; ours are told all by their settings.
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/local/bin")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());

        let mut child = command.spawn()?;
        let words = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, state) = watch::channel(State::default());
        let listener = thread::Builder::new()
            .name("jetlane-guard".to_owned())
            .spawn(move || listen(child, answers, &sender))?;

        Ok(Self { words, state, listener })
    }

    /// The server, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.state.borrow().pid.filter(|_| self.state.has_changed().is_ok())
    }

    /// The last server that ran, and how it ended, if it has and its guard has told.
    pub(crate) fn last(&self) -> Option<(u32, Option<ExitStatus>)> {
        self.state.borrow().last
    }

    /// What the guard itself complained about.
    pub(crate) fn said(&self) -> String {
        self.state.borrow().said.clone()
    }

    /// Says `word` and waits until it is done: the server runs, or has ended. A start also counts
    /// as done when it has failed; see [`Guard::pid`].
    ///
    /// # Errors
    ///
    /// Of kind `TimedOut` after [`LIMIT`], and the pipe's if the guard is gone.
    pub(crate) async fn tell(&mut self, word: Word) -> io::Result<()> {
        let ends = self.state.borrow().ends;
        self.note(match word {
            Word::Start => "start",
            Word::Stop => "stop",
            Word::Kill => "kill",
        })?;

        let done = self
            .state
            .wait_for(|state| state.ends != ends || (word == Word::Start && state.pid.is_some()));
        match timeout(LIMIT, done).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Says `word`, to which there is no answer.
    ///
    /// # Errors
    ///
    /// The pipe's if the guard is gone.
    pub(crate) fn note(&mut self, word: &str) -> io::Result<()> {
        let words = self.words.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        words.write_all(format!("{word}\n").as_bytes())
    }

    /// Waits until the server, or its guard, is gone.
    pub(crate) async fn ended(&self) {
        let mut state = self.state.clone();
        // An error says that the guard is gone, which is as good.
        drop(state.wait_for(|state| state.pid.is_none()).await);
    }

    /// Ends the server, its temporary folder and the guard. Returns whether that was done in time.
    pub(crate) async fn end(mut self) -> bool {
        self.words = None;
        timeout(LIMIT, self.state.wait_for(|_| false)).await.is_ok()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.words = None;
        let deadline = Instant::now() + LIMIT;
        while !self.listener.is_finished() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}

/// What a shell means by a number: above 128 it stands for a signal.
fn exit_status(number: u8) -> ExitStatus {
    let number = i32::from(number);
    ExitStatus::from_raw(if number > 128 { number - 128 } else { number << 8 })
}

/// Notes what the guard says until it ends.
fn listen(mut guard: Child, answers: ChildStdout, state: &watch::Sender<State>) {
    for line in BufReader::new(answers).lines().map_while(Result::ok) {
        state.send_modify(|state| match line.split_once(' ') {
            Some(("started", pid)) => {
                state.pid = pid.parse().ok();
                state.last = state.pid.map(|pid| (pid, None));
            }
            Some(("exited", status)) => {
                if let (Some(_), Some(last)) = (state.pid.take(), &mut state.last) {
                    last.1 = status.parse().ok().map(exit_status);
                }
                state.ends += 1;
            }
            _ => state.said.push_str(&line),
        });
    }
    drop(guard.wait());
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use uuid::Uuid;

    use super::*;

    /// How often to try what goes wrong only if two processes meet badly.
    const TRIES: u32 = 100;

    fn given_guard(stop: &str, command: &[&str]) -> Guard {
        let name = format!("jetlane-guard-{}", Uuid::now_v7().simple());
        given_guard_of(std::env::temp_dir().join(name), stop, command)
    }

    fn given_guard_of(folder: PathBuf, stop: &str, command: &[&str]) -> Guard {
        let task = Task {
            folder: &Folder::Temporary(folder),
            account: None,
            config: "",
            stop,
            initdb: None,
            command: &command.iter().map(OsString::from).collect::<Vec<_>>(),
        };
        Guard::spawn(&task).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_ends_at_once_is_noticed() {
        let mut guard = given_guard("TERM:30", &["true"]);
        for _ in 0..TRIES {
            guard.tell(Word::Start).await.unwrap();
            timeout(Duration::from_secs(10), guard.ended()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn how_a_server_ended_is_told() {
        for (command, told) in
            [("exit 3", "exit status: 3"), ("kill -s KILL $$", "signal: 9 (SIGKILL)")]
        {
            let mut guard = given_guard("TERM:30", &["sh", "-c", command]);
            guard.tell(Word::Start).await.unwrap();
            guard.ended().await;
            let (_, status) = guard.last().unwrap();
            assert_eq!(status.unwrap().to_string(), told);
        }
    }

    #[tokio::test]
    async fn a_server_that_has_only_just_been_started_can_be_stopped() {
        let mut guard = given_guard("TERM:30", &["sleep", "600"]);
        for _ in 0..TRIES {
            guard.tell(Word::Start).await.unwrap();
            timeout(Duration::from_secs(10), guard.tell(Word::Stop)).await.unwrap().unwrap();
            assert_eq!(guard.pid(), None);
        }
    }

    #[tokio::test]
    async fn a_server_that_does_not_obey_is_killed() {
        let folder = std::env::temp_dir().join(format!("jetlane-deaf-{}", Uuid::now_v7().simple()));
        let deaf = "trap '' TERM; : >\"$0\"/deaf; while :; do sleep 0.1; done";
        let command = ["sh", "-c", deaf, folder.to_str().unwrap()];
        let mut guard = given_guard_of(folder.clone(), "TERM:1 KILL:5", &command);
        guard.tell(Word::Start).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !folder.join("deaf").exists() {
            assert!(Instant::now() < deadline, "it does not run");
            tokio::time::sleep(POLL).await;
        }

        assert!(guard.end().await);
        assert!(!folder.exists());
    }
}
