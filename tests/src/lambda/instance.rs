//! One instance of a function: a place, and the process that fills it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use rustix::process::{Signal, kill_process};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use super::runtime_api;
use super::stage::{News, Stage};
use crate::processes::{Crashes, Process};

/// What an invocation of the function brings.
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) id: Uuid,
    /// JSON.
    pub(super) event: String,
    /// How long it may take.
    pub(super) limit: Duration,
}

/// What came of an invocation: the function's answer, or what it failed with.
/// Both are JSON.
pub(super) type Outcome = Result<Bytes, Bytes>;

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The instance has another invocation, or no process. It was not handed
    /// over.
    #[error("the instance is not free")]
    NotFree,
    /// The function says that it failed.
    #[error("the function failed: {0}")]
    Failed(String),
    /// The process has ended; how far it got is unknown.
    #[error("the instance ended: {0}")]
    Ended(ExitStatus),
    /// Nothing came in time. The process was killed; how far it got is unknown.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

/// A place for one process of a function, which has a Runtime API of its own.
/// Dropping it ends the API, and with the last handle to it the process.
#[derive(Debug)]
pub struct Instance {
    address: SocketAddr,
    desk: Arc<Desk>,
    _serving: JoinSet<()>,
}

/// What the Runtime API and the gateway share of an instance.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// Told each time that the instance comes to rest.
    rests: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    process: Option<Arc<Process>>,
    /// The process's question that waits for an invocation.
    asker: Option<oneshot::Sender<Invocation>>,
    /// What the process has yet to ask for.
    handed: Option<Invocation>,
    /// Who waits for the outcome.
    client: Option<oneshot::Sender<Outcome>>,
}

impl Instance {
    /// A place that nobody fills yet. `rests` is told each time that it is free.
    pub(super) async fn start(rests: Arc<Notify>) -> io::Result<Self> {
        let state =
            State { stage: Stage::Vacant, process: None, asker: None, handed: None, client: None };
        let desk = Arc::new(Desk { state: Mutex::new(state), rests });
        let mut serving = JoinSet::new();
        let address = runtime_api::serve(Arc::clone(&desk), &mut serving).await?;
        Ok(Self { address, desk, _serving: serving })
    }

    /// Starts `command` in this place, with what a process learns from Lambda in
    /// its environment. Whoever filled the place before must have ended.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn fill(
        &self,
        name: &str,
        mut command: Command,
        folder: &Path,
        crashes: &Crashes,
    ) -> Arc<Process> {
        let function = Path::new(command.get_program()).file_stem().unwrap_or_default().to_owned();
        command
            .env("AWS_LAMBDA_RUNTIME_API", self.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", function)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512");
        // Locked, so that the process is known before it asks.
        let mut state = self.desk.state();
        let process = Arc::new(Process::start(name, command, folder, crashes));
        state.process = Some(Arc::clone(&process));
        state.hear(News::Filled);
        process
    }

    /// Where its process finds the Runtime API.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long it has been frozen; `None` if it is not, or its process has ended.
    #[must_use]
    pub fn rested(&self) -> Option<Duration> {
        let state = self.desk.state();
        match state.stage {
            Stage::Resting { since } if state.lives() => Some(since.elapsed()),
            Stage::Resting { .. } | Stage::Vacant | Stage::Starting | Stage::Busy(_) => None,
        }
    }

    /// Has the function handle `event`, JSON, for `limit` at most. A process
    /// that is silent for longer is killed: its place is to be filled again.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn invoke(&self, event: String, limit: Duration) -> Result<Bytes, NoAnswer> {
        let invocation = Invocation { id: Uuid::now_v7(), event, limit };
        let id = invocation.id;
        let (process, outcome) = self.desk.hand_over(invocation)?;
        let ended = tokio::select! {
            biased;
            Ok(outcome) = outcome => return outcome.map_err(|error| failed(&error)),
            ended = process.wait(limit) => ended,
        };
        self.desk.state().hear(News::GivenUp(id));
        if let Some(status) = ended {
            return Err(NoAnswer::Ended(status));
        }
        process.signal(Signal::KILL);
        Err(NoAnswer::Silent(limit))
    }
}

fn failed(error: &Bytes) -> NoAnswer {
    NoAnswer::Failed(String::from_utf8_lossy(error).into_owned())
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn hand_over(
        &self,
        invocation: Invocation,
    ) -> Result<(Arc<Process>, oneshot::Receiver<Outcome>), NoAnswer> {
        let mut state = self.state();
        let process = state.process.clone().ok_or(NoAnswer::NotFree)?;
        if !state.lives() || !state.hear(News::Handed(invocation.id)) {
            return Err(NoAnswer::NotFree);
        }
        let (client, outcome) = oneshot::channel();
        state.client = Some(client);
        state.handed = match state.asker.take() {
            // An asker that has gone asks again.
            Some(asker) => asker.send(invocation).err(),
            None => Some(invocation),
        };
        Ok((process, outcome))
    }

    /// The process asks for an invocation; `None` if it has asked again since.
    pub(super) async fn next(&self) -> Option<Invocation> {
        let invocation = {
            let mut state = self.state();
            if let Some(invocation) = state.handed.take() {
                return Some(invocation);
            }
            let (asker, invocation) = oneshot::channel();
            state.asker = Some(asker);
            if state.hear(News::Asked) {
                self.rests.notify_one();
            }
            invocation
        };
        invocation.await.ok()
    }

    /// The process tells what came of an invocation, and is frozen before it
    /// hears that it was understood; `false` if nobody wants to know.
    pub(super) fn answer(&self, id: Uuid, outcome: Outcome) -> bool {
        let mut state = self.state();
        if !state.hear(News::Answered(id)) {
            return false;
        }
        if let Some(client) = state.client.take() {
            // An error says that the client was told already that it took too long.
            let _ = client.send(outcome);
        }
        self.rests.notify_one();
        true
    }
}

impl State {
    /// Takes the news in, and stops the process or lets it go on; `false` if they
    /// are out of place.
    fn hear(&mut self, news: News) -> bool {
        let Some(next) = self.stage.after(news, Instant::now()) else { return false };
        let was_frozen = std::mem::replace(&mut self.stage, next).is_frozen();
        if matches!(news, News::Filled | News::GivenUp(_)) {
            (self.asker, self.handed, self.client) = (None, None, None);
        } else if was_frozen != next.is_frozen() {
            self.signal(if was_frozen { Signal::CONT } else { Signal::STOP });
        }
        true
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = self.process.as_ref().filter(|process| process.end().is_none()) {
            // An error says that it has just ended.
            let _ = kill_process(process.pid(), signal);
        }
    }

    fn lives(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.end().is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::patience::{PATIENCE, PROMPT, eventually};

    const BRIEFLY: Duration = Duration::from_millis(20);

    /// A process that asks for nothing by itself, in a place of its own.
    async fn given_instance() -> (Instance, Arc<Process>) {
        let instance = Instance::start(Arc::default()).await.unwrap();
        let process = fill(&instance);
        (instance, process)
    }

    fn fill(instance: &Instance) -> Arc<Process> {
        let folder = std::env::temp_dir().join(format!("jetlane-instance-{}", Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let process = instance.fill("sleeper", command, &folder, &Crashes::new());
        fs::remove_dir_all(folder).unwrap();
        process
    }

    /// Its process has asked for an invocation.
    fn asking(instance: &Instance) -> JoinSet<Option<Invocation>> {
        let desk = Arc::clone(&instance.desk);
        let mut asking = JoinSet::new();
        asking.spawn(async move { desk.next().await });
        asking
    }

    async fn until_stopped(process: &Process, is_stopped: bool) {
        let what = format!("the process is stopped: {is_stopped}");
        eventually(&what, PROMPT, async || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).ok()?;
            (stat.rsplit(") ").next()?.starts_with('T') == is_stopped).then_some(())
        })
        .await;
    }

    #[tokio::test]
    async fn it_is_frozen_but_for_its_invocations() {
        let (instance, process) = given_instance().await;
        let mut asking = asking(&instance);
        until_stopped(&process, true).await;

        let function = async {
            let invocation = asking.join_next().await.unwrap().unwrap().unwrap();
            until_stopped(&process, false).await;
            assert!(instance.desk.answer(invocation.id, Ok("done".into())));
        };
        let invoke = instance.invoke("{}".to_owned(), PATIENCE);
        let (answer, ()) = tokio::join!(invoke, function);

        assert_eq!(answer.unwrap(), "done");
        until_stopped(&process, true).await;
    }

    #[tokio::test]
    async fn what_it_is_handed_waits_until_it_asks() {
        let (instance, _process) = given_instance().await;
        let mut asking = asking(&instance);
        eventually("it rests", PROMPT, async || instance.rested()).await;
        asking.shutdown().await;

        let function = async {
            let invocation = instance.desk.next().await.unwrap();
            instance.desk.answer(invocation.id, Err("why".into()));
        };
        let invoke = instance.invoke("{}".to_owned(), PATIENCE);
        let (answer, ()) = tokio::join!(invoke, function);

        assert!(matches!(answer, Err(NoAnswer::Failed(why)) if why == "why"));
    }

    #[tokio::test]
    async fn one_that_is_silent_is_killed_and_can_be_replaced() {
        let (instance, process) = given_instance().await;
        let _asking = asking(&instance);
        until_stopped(&process, true).await;

        let answer = instance.invoke("{}".to_owned(), BRIEFLY).await;

        assert!(matches!(answer, Err(NoAnswer::Silent(BRIEFLY))));
        assert!(process.wait(PATIENCE).await.is_some());
        assert_eq!(instance.rested(), None);
        let next = fill(&instance);
        let _asking = asking(&instance);
        until_stopped(&next, true).await;
    }

    #[tokio::test]
    async fn one_that_was_killed_while_it_was_frozen_is_not_free() {
        let (instance, process) = given_instance().await;
        let _asking = asking(&instance);
        until_stopped(&process, true).await;

        process.kill().await;

        assert_eq!(instance.rested(), None);
        let answer = instance.invoke("{}".to_owned(), PATIENCE).await;
        assert!(matches!(answer, Err(NoAnswer::NotFree)));
    }
}
