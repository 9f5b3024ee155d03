//! What faults work with.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use rustix::process::Signal;

use crate::args::Switch;
use crate::faults::Connections;
use crate::history::History;
use crate::load::{Clients, Door};
use crate::violations::{Invariant, Violation};
use crate::watching::Feed;
use crate::world::{Member, Role, World};

/// What a process gives its requests and attempts, and some more for itself.
const END_LIMIT: Duration = Duration::from_secs(16);

/// What faults work with.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) world: Arc<World>,
    pub(crate) history: Arc<History>,
    pub(crate) clients: Arc<Clients>,
    /// What NATS is told.
    pub(crate) feed: Arc<Feed>,
    /// The connections that functions had when they came to rest the last time.
    functions_left: Mutex<Connections>,
}

impl Ground {
    pub(super) fn new(
        world: Arc<World>,
        history: Arc<History>,
        feed: Arc<Feed>,
        http: Client,
        seed: u64,
        idempotency: Switch,
    ) -> Self {
        let clients = Arc::new(Clients {
            world: Arc::clone(&world),
            history: Arc::clone(&history),
            http,
            seed,
            idempotency,
            door: Door::Edges,
            troubles: Arc::default(),
            ledger_offset: Arc::default(),
        });
        Self { world, history, clients, feed, functions_left: Mutex::default() }
    }

    /// The connections that functions had when they came to rest the last time;
    /// none before their first invocation.
    pub(crate) fn functions_left(&self) -> Connections {
        self.functions_left.lock().unwrap().clone()
    }

    /// Functions have come to rest with these connections.
    pub(crate) fn leave_functions(&self, connections: Connections) {
        *self.functions_left.lock().unwrap() = connections;
    }

    /// How many calls found no answer, a bad one, or a late one.
    pub(crate) fn troubles(&self) -> u64 {
        self.clients.troubles.load(Ordering::Relaxed)
    }

    /// Reads what the stream of events holds, before that may be lost.
    pub(crate) async fn read_stream(&self) -> anyhow::Result<()> {
        self.feed.read_stream(self.nats().await?).await
    }

    /// A connection to NATS past every proxy.
    pub(crate) async fn nats(&self) -> anyhow::Result<async_nats::Client> {
        Ok(async_nats::connect(&self.world.servers.nats_url).await?)
    }

    /// Tells a process to end, and sees that it does so in good order.
    ///
    /// # Errors
    ///
    /// If not even kill -9 ends it.
    pub(crate) async fn end_in_good_order(&self, member: &Member) -> anyhow::Result<()> {
        let name = member.latest().name.clone();
        let blame = |what| self.history.blame(Violation::general(Invariant::Processes, what));
        match member.end(Signal::TERM, END_LIMIT).await {
            Ok(status) if is_in_good_order(status, member.role) => {}
            Ok(status) => blame(format!("{name} was told to end and did with {status}")),
            Err(error) => {
                blame(format!("it was told to: {error:#}"));
                member.kill().await?;
            }
        }
        Ok(())
    }

    /// Puts right whatever a fault that failed may have left.
    pub(super) async fn restore(&self) -> anyhow::Result<()> {
        self.world.servers.restore().await?;
        self.world.wait_for_replica(false).await?;
        for member in self.world.members() {
            member.clear_up();
            if member.role == Role::Function {
                // It is frozen because it rests, and replaced if it has ended.
                continue;
            }
            let life = member.latest();
            if life.lives() {
                life.thaw();
            } else {
                member.start_again().await?;
            }
        }
        Ok(())
    }
}

/// Whether a process may end so that was told to. Nothing in a function takes
/// notice of SIGTERM.
fn is_in_good_order(status: ExitStatus, role: Role) -> bool {
    match role {
        Role::Edge | Role::Worker => status.success(),
        Role::Function => status.signal() == Some(Signal::TERM.as_raw()),
    }
}
