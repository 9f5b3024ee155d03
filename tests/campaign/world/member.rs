//! One process of the product, through all its deaths.

use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use jetlane_tests::{Crashes, Instance, PATIENCE, Process, Proxy, Weather};
use rustix::process::Signal;

use super::Launch;
use super::gauges::Gauge;
use super::servers::Servers;

/// How often a starting process is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Edge,
    Worker,
    /// An instance of a Lambda function, frozen but for its invocations.
    Function,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Worker => "worker",
            Self::Function => "function",
        }
    }
}

/// One run of a member's process.
#[derive(Debug)]
pub(crate) struct Incarnation {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) process: Arc<Process>,
    /// Where it serves HTTP. A function does not: its Runtime API.
    pub(crate) url: String,
    pub(crate) gauge: Mutex<Gauge>,
    is_frozen: AtomicBool,
    crashes: Crashes,
}

impl Incarnation {
    /// How it ended although nobody had asked it to, if it did.
    pub(crate) fn crash(&self) -> Option<String> {
        self.crashes.first()
    }

    /// What a worker calls itself in the ledger.
    pub(crate) fn worker_id(&self) -> Option<String> {
        self.process.told("worker")
    }

    /// How many attempts it says that it was refused to end, since they had been
    /// taken from it.
    pub(crate) fn refused(&self) -> u64 {
        self.process.logged().matches("its result is dropped").count() as u64
    }

    /// Stops it without ending it.
    pub(crate) fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Relaxed);
        self.process.freeze();
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.process.thaw();
        self.is_frozen.store(false, Ordering::Relaxed);
    }

    /// Whether it lives and is not frozen, as a function is nearly always.
    pub(crate) fn works(&self) -> bool {
        self.role != Role::Function && self.lives() && !self.is_frozen.load(Ordering::Relaxed)
    }

    /// Whether it has not ended.
    pub(crate) fn lives(&self) -> bool {
        self.process.end().is_none()
    }
}

/// A place in the fleet, with the proxies of whoever fills it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) to_postgres: Proxy,
    pub(crate) to_nats: Proxy,
    launch: Launch,
    /// What a function fills.
    instance: Option<Arc<Instance>>,
    /// Oldest first.
    lives: Mutex<Vec<Arc<Incarnation>>>,
}

impl Member {
    /// Starts the proxies and the first process.
    pub(super) async fn start(
        role: Role,
        number: usize,
        launch: &Launch,
        servers: &Servers,
    ) -> anyhow::Result<Self> {
        Self::start_in(None, role, number, launch, servers).await
    }

    /// The same for a function in the place of `instance`.
    pub(super) async fn start_function(
        instance: &Arc<Instance>,
        number: usize,
        launch: &Launch,
        servers: &Servers,
    ) -> anyhow::Result<Self> {
        let instance = Some(Arc::clone(instance));
        Self::start_in(instance, Role::Function, number, launch, servers).await
    }

    async fn start_in(
        instance: Option<Arc<Instance>>,
        role: Role,
        number: usize,
        launch: &Launch,
        servers: &Servers,
    ) -> anyhow::Result<Self> {
        let to_postgres = Proxy::before(&servers.database_url).await?;
        let to_nats = Proxy::before(&servers.nats_url).await?;
        let this = Self {
            role,
            name: format!("{}-{number}", role.as_str()),
            to_postgres,
            to_nats,
            launch: launch.clone(),
            instance,
            lives: Mutex::default(),
        };
        this.start_again().await?;
        Ok(this)
    }

    /// Starts a new process, and waits until it listens, or until it has asked
    /// for an invocation.
    ///
    /// # Errors
    ///
    /// If it ends, or does not listen in time; its log says why.
    pub(crate) async fn start_again(&self) -> anyhow::Result<()> {
        let name = format!("{}.{}", self.name, self.lives.lock().unwrap().len() + 1);
        let command = self.launch.command(self.role, self.to_postgres.url(), self.to_nats.url());
        let crashes = Crashes::new();
        let folder = self.launch.folder();
        let process = match &self.instance {
            None => Arc::new(Process::start(&name, command, folder, &crashes)),
            Some(instance) => instance.fill(&name, command, folder, &crashes),
        };

        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            if let Some(address) = self.address_of(&process) {
                break address;
            }
            if let Some(status) = process.end() {
                anyhow::bail!("{name} ended before it listened: {status}");
            }
            anyhow::ensure!(Instant::now() < deadline, "{name} does not listen");
            tokio::time::sleep(POLL).await;
        };
        let url = format!("http://{address}");
        let incarnation = Incarnation {
            role: self.role,
            name,
            process,
            url,
            gauge: Mutex::default(),
            is_frozen: AtomicBool::new(false),
            crashes,
        };
        self.lives.lock().unwrap().push(Arc::new(incarnation));
        Ok(())
    }

    fn address_of(&self, process: &Process) -> Option<String> {
        match &self.instance {
            None => process.told("address"),
            Some(instance) => instance.rested().map(|_| instance.address().to_string()),
        }
    }

    /// The process that fills the place, or filled it last.
    pub(crate) fn latest(&self) -> Arc<Incarnation> {
        let lives = self.lives.lock().unwrap();
        Arc::clone(lives.last().expect("a member has had a process since its start"))
    }

    /// Every process that has filled the place, oldest first.
    pub(crate) fn lives(&self) -> Vec<Arc<Incarnation>> {
        self.lives.lock().unwrap().clone()
    }

    /// Where it serves HTTP, or did when it last lived.
    pub(crate) fn url(&self) -> String {
        self.latest().url.clone()
    }

    /// Kills the process as power loss would.
    ///
    /// # Errors
    ///
    /// If it does not end even so.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        self.end(Signal::KILL, PATIENCE).await.map(drop)
    }

    /// Signals the process and waits for its end.
    ///
    /// # Errors
    ///
    /// If it does not end within `limit`.
    pub(crate) async fn end(&self, signal: Signal, limit: Duration) -> anyhow::Result<ExitStatus> {
        let life = self.latest();
        if self.role == Role::Function {
            // What is frozen takes no notice of any signal but SIGKILL.
            life.process.signal(Signal::CONT);
        }
        life.process.signal(signal);
        let status = life.process.wait(limit).await;
        status.with_context(|| format!("{} did not end within {limit:?}", life.name))
    }

    /// The weather on the way to both servers.
    pub(crate) fn clear_up(&self) {
        self.to_postgres.set(Weather::Clear);
        self.to_nats.set(Weather::Clear);
    }
}
