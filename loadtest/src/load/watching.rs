//! Watchers of the feed, as browsers are: they read all, and come back if the stream breaks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use jetlane_tests::Frames;
use reqwest::{Client, Response};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::feed::Told;
use crate::hops::Hops;
use crate::latency::Latency;

/// Opening a stream takes no longer, or it failed.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How long a watcher whose stream broke stays away.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is looked whether all was told.
const POLL: Duration = Duration::from_millis(20);

/// What watchers were told.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// From due until the first watcher was told that the job runs.
    pub(super) running: Latency,
    /// From due until it was told that the job has ended.
    pub(super) ended: Latency,
    /// By the clocks of all who have a part in it, for the first watcher.
    pub(super) hops: Hops,
    /// From the commit until a watcher had read it, for each of them.
    pub(super) delivered: Latency,
    /// Jobs that failed or were cancelled, as the first watcher was told.
    pub(super) failed: u64,
    /// Streams that broke, or did not open again.
    pub(super) broken: u64,
}

impl Watched {
    fn new() -> Self {
        Self {
            running: Latency::new(),
            ended: Latency::new(),
            hops: Hops::new(),
            delivered: Latency::new(),
            failed: 0,
            broken: 0,
        }
    }

    /// Takes note of what the first watcher was told, so long after the job was due.
    fn note(&mut self, told: &Told, took: Duration, by_the_clock: SystemTime) {
        self.hops.note(told, by_the_clock);
        match told.kind.as_str() {
            "running" => self.running.record(took),
            "completed" => self.ended.record(took),
            "failed" | "cancelled" => {
                self.ended.record(took);
                self.failed += 1;
            }
            _ => {}
        }
    }
}

/// All watchers of a run.
#[derive(Debug)]
pub(super) struct Watching {
    seat: Arc<Seat>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// What every watcher needs.
#[derive(Debug)]
struct Seat {
    client: Client,
    url: String,
    shared: Arc<Shared>,
    watched: Mutex<Watched>,
    stop: CancellationToken,
}

impl Watching {
    /// Opens `count` streams of the target, and returns once all are open.
    ///
    /// # Errors
    ///
    /// If one is refused.
    pub(super) async fn begin(
        client: &Client,
        host: &str,
        shared: &Arc<Shared>,
        count: usize,
    ) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let seat = Arc::new(Seat {
            client: client.clone(),
            url: format!("{}/events", host.trim_end_matches('/')),
            shared: Arc::clone(shared),
            watched: Mutex::new(Watched::new()),
            stop: stop.clone(),
        });
        let mut tasks = JoinSet::new();
        for n in 0..count {
            let stream = seat.open("").await?;
            tasks.spawn(Arc::clone(&seat).watch(stream, n == 0));
        }
        Ok(Self { seat, stop, tasks })
    }

    /// Waits until the first watcher was told the end of every job that was accepted, for `limit`
    /// at most; then all of them leave. Returns what they were told.
    ///
    /// # Errors
    ///
    /// If one of them panicked.
    pub(super) async fn end(mut self, limit: Duration) -> anyhow::Result<Watched> {
        let all_told = async {
            while self.seat.lock().ended.count() < self.seat.shared.accepted() {
                sleep(POLL).await;
            }
        };
        // Whatever is missing then is counted as not told.
        let _ = timeout(limit, all_told).await;
        self.stop.cancel();
        while let Some(left) = self.tasks.join_next().await {
            left?;
        }
        let watched = self.seat.lock().clone();
        Ok(watched)
    }
}

impl Seat {
    async fn open(&self, last_event_id: &str) -> anyhow::Result<Response> {
        let mut request = self.shared.authorized(self.client.get(&self.url));
        if !last_event_id.is_empty() {
            request = request.header("last-event-id", last_event_id);
        }
        let opened = timeout(OPEN_LIMIT, request.send()).await.context("a stream did not open")?;
        let stream = opened.context("a stream did not open")?;
        ensure!(stream.status() == 200, "a stream was refused with {}", stream.status());
        Ok(stream)
    }

    /// Reads until told to stop, and comes back as often as the stream breaks.
    async fn watch(self: Arc<Self>, mut stream: Response, is_first: bool) {
        let mut last_event_id = String::new();
        loop {
            let mut frames = Frames::default();
            while let Ok(Some(chunk)) = tokio::select! {
                chunk = stream.chunk() => chunk,
                () = self.stop.cancelled() => return,
            } {
                let (at, by_the_clock) = (Instant::now(), SystemTime::now());
                for frame in frames.push(&chunk) {
                    if !frame.id.is_empty() {
                        last_event_id = frame.id;
                    }
                    let told = serde_json::from_str(&frame.data).ok();
                    if let Some(told) = told {
                        self.note(&told, at, by_the_clock, is_first);
                    }
                }
            }
            stream = loop {
                self.lock().broken += 1;
                tokio::select! {
                    () = sleep(PAUSE) => {}
                    () = self.stop.cancelled() => return,
                }
                if let Ok(stream) = self.open(&last_event_id).await {
                    break stream;
                }
            };
        }
    }

    fn note(&self, told: &Told, at: Instant, by_the_clock: SystemTime, is_first: bool) {
        let Some(visit) = self.shared.visit_of(&told.name) else { return };
        let took = at.saturating_duration_since(visit.due());
        if is_first && told.kind == "running" {
            self.shared.note_running(visit, took);
        }
        let mut watched = self.lock();
        if let Some(span) = told.committed_before(by_the_clock) {
            watched.delivered.record(span);
        }
        if is_first {
            watched.note(told, took, by_the_clock);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        // What another has noted before it panicked is true all the same.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_failed_has_ended_and_is_counted_apart() {
        let mut watched = Watched::new();
        for kind in ["queued", "running", "completed", "failed", "cancelled"] {
            let told: Told = serde_json::from_str(&format!(r#"{{"kind":"{kind}"}}"#)).unwrap();
            watched.note(&told, Duration::from_millis(1), SystemTime::now());
        }
        assert_eq!((watched.running.count(), watched.ended.count(), watched.failed), (1, 3, 2));
    }
}
