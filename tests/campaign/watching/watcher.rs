//! One watcher.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::StreamExt;
use jetlane_tests::{Frame, Frames};
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{List, Told, Wish, ledger_mark};
use crate::chance::{Use, chance};
use crate::history::{History, Phase};
use crate::violations::{Invariant, Violation};
use crate::world::World;

/// A stream that is silent for longer, keepalives and all, is dead.
const SILENCE: Duration = Duration::from_secs(20);

/// How long the head of an answer may take.
const HEAD_LIMIT: Duration = Duration::from_secs(6);

/// What a watcher has read, over all its connections.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) n: usize,
    pub(crate) wish: Wish,
    /// In the order in which it was read, repeats too.
    told: List,
    begin: Mutex<Option<i64>>,
}

impl Log {
    pub(super) fn new(n: usize, wish: Wish) -> Self {
        Self { n, wish, told: Mutex::default(), begin: Mutex::new(wish.from_start.then_some(0)) }
    }

    /// All events of ledger transactions from this one on are due to it.
    pub(crate) fn begin(&self) -> Option<i64> {
        *self.begin.lock().unwrap()
    }

    /// What it has read so far, for the checker.
    pub(crate) fn watched(&self) -> Watched {
        Watched {
            n: self.n,
            wish: self.wish,
            begin: self.begin().unwrap_or(i64::MAX),
            told: self.told.lock().unwrap().clone(),
        }
    }
}

/// What a watcher has read, as the checker sees it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) n: usize,
    pub(crate) wish: Wish,
    /// All events of ledger transactions from this one on are due to it.
    pub(crate) begin: i64,
    /// In the order in which it was read, repeats too.
    pub(crate) told: Vec<Told>,
}

/// A client that follows a stream for as long as the campaign lasts.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) log: Arc<Log>,
    pub(super) world: Arc<World>,
    pub(super) history: Arc<History>,
    pub(super) http: Client,
    pub(super) is_calm: Arc<AtomicBool>,
    pub(super) resumes: Arc<AtomicU64>,
}

impl Watcher {
    /// Follows its stream, connection after connection. Never ends.
    pub(super) async fn watch(self, seed: u64) {
        let mut rng = chance(seed, Use::Watcher, self.log.n as u64);
        let mut last_id = None;
        loop {
            let edge = &self.world.edges[rng.random_range(0..self.world.edges.len())];
            let result = self.follow(&edge.url(), &mut last_id, &mut rng).await;
            let reason = result.err().map(|error| format!("{error:#}"));
            self.history.note(
                "watch",
                Phase::Fail,
                None,
                json!({ "watcher": self.log.n, "last_id": last_id, "reason": reason }),
            );
            sleep(Duration::from_millis(rng.random_range(10..300))).await;
        }
    }

    /// Reads one connection until somebody ends it.
    async fn follow(
        &self,
        edge: &str,
        last_id: &mut Option<String>,
        rng: &mut StdRng,
    ) -> anyhow::Result<()> {
        // Few connections live long: every end of one is a place to go on from.
        let leave_at = Instant::now() + Duration::from_millis(rng.random_range(1000..9000));
        let response = self.open(edge, last_id.as_deref()).await?;
        if last_id.is_some() {
            self.resumes.fetch_add(1, Ordering::Relaxed);
        }
        let mut chunks = response.bytes_stream();
        let mut frames = Frames::default();
        loop {
            let silent_at = Instant::now() + SILENCE;
            let is_calm = self.is_calm.load(Ordering::Relaxed);
            let give_up_at = if is_calm { silent_at } else { silent_at.min(leave_at) };
            let chunk = match timeout_at(give_up_at, chunks.next()).await {
                Ok(Some(chunk)) => chunk?,
                Ok(None) => bail!("the server ended the stream"),
                Err(_) if give_up_at == silent_at => bail!("the stream was silent"),
                Err(_) if self.is_calm.load(Ordering::Relaxed) => continue,
                Err(_) => return Ok(()),
            };
            for frame in frames.push(&chunk) {
                self.read(frame, last_id)?;
            }
            if self.log.begin().is_none() && last_id.is_some() {
                // Later than the place is early enough: nothing after it may be missed.
                let mark = ledger_mark(&self.world.ledger).await?;
                *self.log.begin.lock().unwrap() = Some(mark);
            }
        }
    }

    async fn open(&self, edge: &str, last_id: Option<&str>) -> anyhow::Result<Response> {
        let Wish { tenant, lane, from_start } = self.log.wish;
        let mut query = Vec::new();
        query.extend(lane.map(|lane| format!("lane={lane}")));
        query.extend(from_start.then(|| "from=start".to_owned()));
        let url = format!("{edge}/events?{}", query.join("&"));
        let mut request = self.http.get(url).header("x-jetlane-tenant", tenant);
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = timeout(HEAD_LIMIT, request.send()).await.context("no answer in time")??;
        let status = response.status().as_u16();
        if status != 200 && status != 503 {
            let what = format!("a stream was answered {status}");
            self.history.blame(Violation::general(Invariant::Api, what));
        }
        anyhow::ensure!(status == 200, "answered {status}");
        Ok(response)
    }

    fn read(&self, frame: Frame, last_id: &mut Option<String>) -> anyhow::Result<()> {
        if !frame.event.is_empty() {
            // Nothing is pruned in a campaign: every id of ours is known.
            let what = format!("watcher {} got `{}` after id {last_id:?}", self.log.n, frame.event);
            self.history.blame(Violation::general(Invariant::Watched, what));
        }
        if !frame.data.is_empty() && frame.event.is_empty() {
            let json: Value = serde_json::from_str(&frame.data).context("a frame is no JSON")?;
            if let Some(told) = Told::read(&json) {
                self.log.told.lock().unwrap().push(told);
                if told.kind.is_end() {
                    self.history.ended(told.job, json["worker"].as_str());
                }
            }
        }
        if !frame.id.is_empty() {
            *last_id = Some(frame.id);
        }
        Ok(())
    }
}
