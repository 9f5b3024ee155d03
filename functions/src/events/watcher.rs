//! One watcher's stream: what it asked for of the past, then what happens.

use std::collections::HashMap;
use std::time::Duration;

use async_stream::stream;
use bytes::Bytes;
use futures_util::Stream;
use jetlane_core::causes;
use jetlane_core::domain::{Event, JobId, ResumePoint, TenantName};
use jetlane_core::store::{FeedFilter, FeedKey, JobFilter, StoreError};
use prometheus::IntGauge;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use super::Hub;
use super::frame::{CONNECTED, Frame, KEEPALIVE, here, is_wanted, reset};
use crate::app::App;

/// How many past events are read from the ledger in one round.
const PAGE: i64 = 500;

/// How many jobs a reset tells of.
const RESET_JOBS: usize = 100;

/// Sent at the start, so that proxies pass the head on, and as often as this.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(15);

/// What a watcher asks for.
pub(super) struct Wish {
    pub(super) tenant: TenantName,
    pub(super) filter: FeedFilter,
    pub(super) past: Past,
}

/// What a watcher wants of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    /// Nothing.
    None,
    /// All of it.
    All,
    /// What came after this id of a frame.
    After(ResumePoint),
    /// What came after an id that is none of ours.
    AfterUnknown,
}

/// Counts a stream for as long as it lives.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The stream of a watcher's bytes. Ends when the process drains, when the
/// watcher lags too far behind, or when the ledger cannot tell the past: it
/// comes back with its last id and misses nothing. `keep` is dropped with it.
pub(super) fn watch(
    app: App,
    hub: Hub,
    wish: Wish,
    keep: Option<DropGuard>,
) -> impl Stream<Item = Bytes> + Send + 'static {
    stream! {
        let _keep = keep;
        let _counted = Counted::new(app.metrics.streams.clone());
        // The mark before the frames that follow it; both before the past is
        // read, so that what happens meanwhile is not missed.
        let low_water = hub.low_water();
        let mut live = hub.subscribe();
        yield Bytes::from_static(CONNECTED);
        // So that who loses the connection before the first event resumes too.
        if wish.past == Past::None {
            yield here(low_water);
        }
        yield Bytes::from_static(KEEPALIVE);

        let mut replay = match Replay::begin(&app, low_water, &wish).await {
            Ok(Beginning::Known(replay)) => replay,
            Ok(Beginning::Lost(frame, replay)) => {
                yield frame;
                replay
            }
            Err(error) => return give_up(error),
        };
        while let Some(page) = replay.page(&app, &wish).await.transpose() {
            match page {
                Ok(frames) => for frame in frames {
                    yield frame;
                },
                Err(error) => return give_up(error),
            }
        }

        let mut keepalives = interval(KEEPALIVE_PERIOD);
        keepalives.set_missed_tick_behavior(MissedTickBehavior::Delay);
        keepalives.reset();
        loop {
            let frame = tokio::select! {
                () = app.drain.cancelled() => return,
                frame = live.recv() => Some(frame),
                _ = keepalives.tick() => None,
            };
            match frame {
                None => yield Bytes::from_static(KEEPALIVE),
                Some(Ok(frame)) => {
                    if is_wanted(&frame.event, &wish) && !replay.covers(&frame) {
                        yield frame.bytes.clone();
                    }
                }
                Some(Err(RecvError::Lagged(_))) => {
                    app.metrics.slow_watchers.inc();
                    tracing::info!("a slow watcher was disconnected");
                    return;
                }
                Some(Err(RecvError::Closed)) => return,
            }
        }
    }
}

fn give_up(error: StoreError) {
    let error = anyhow::Error::new(error);
    tracing::warn!(error = causes(&error), "a watcher was disconnected");
}

enum Beginning {
    /// The past is there, or none was asked for.
    Known(Replay),
    /// It is not: a reset goes out first.
    Lost(Bytes, Replay),
}

/// Reading the past, and remembering it until the present has overtaken it.
struct Replay {
    cursor: Option<FeedKey>,
    /// Of this job, the watcher has seen all up to this event.
    seen: Option<ResumePoint>,
    /// No event below this mark can appear any more: the past below it can be
    /// read in pages, the rest has to be read at once.
    low_water: i64,
    /// Of what was read above the mark, the last of each job.
    replayed: HashMap<JobId, i32>,
    replayed_until: i64,
}

impl Replay {
    async fn begin(app: &App, low_water: i64, wish: &Wish) -> Result<Beginning, StoreError> {
        let mut replay = Self {
            cursor: None,
            seen: None,
            low_water,
            replayed: HashMap::new(),
            replayed_until: 0,
        };
        match wish.past {
            Past::None => {}
            Past::All => replay.cursor = Some(first_of(0)),
            Past::After(point) if replay.knows(app, point).await? => {
                replay.cursor = Some(first_of(point.xid));
                replay.seen = Some(point);
            }
            Past::After(_) | Past::AfterUnknown => {
                let jobs = as_they_stand(app, wish).await?;
                return Ok(Beginning::Lost(reset(&jobs), replay));
            }
        }
        Ok(Beginning::Known(replay))
    }

    /// Whether the ledger can have given this point out.
    async fn knows(&self, app: &App, point: ResumePoint) -> Result<bool, StoreError> {
        if point.xid <= app.ledger.event_horizon().await? {
            return Ok(false);
        }
        // Another edge may be a moment ahead of ours.
        Ok(point.xid <= self.low_water || point.xid <= app.ledger.low_water().await?)
    }

    /// The next frames of the past; `None` at its end.
    async fn page(&mut self, app: &App, wish: &Wish) -> Result<Option<Vec<Bytes>>, StoreError> {
        let Some(cursor) = self.cursor else {
            return Ok(None);
        };
        let (below, limit) =
            if cursor.xid < self.low_water { (self.low_water, PAGE) } else { (i64::MAX, i64::MAX) };
        let events = app.ledger.replay(&wish.tenant, &wish.filter, cursor, below, limit).await?;
        let is_whole = i64::try_from(events.len()).is_ok_and(|read| read < limit);
        self.cursor = match events.last() {
            Some(last) if !is_whole => {
                Some(FeedKey { xid: last.xid, job_id: last.job_id, seq: last.seq })
            }
            _ if below < i64::MAX => Some(first_of(below)),
            _ => None,
        };

        let sent_at = app.clock.now();
        app.metrics.events.with_label_values(&["replay"]).inc_by(events.len() as u64);
        let mut frames = Vec::with_capacity(events.len());
        for event in events {
            if self.has_seen(&event) {
                continue;
            }
            if event.xid >= self.low_water {
                self.replayed.insert(event.job_id, event.seq);
                self.replayed_until = self.replayed_until.max(event.xid);
            }
            let low_water = self.low_water.min(event.xid);
            frames.push(Frame::new(event.announce(None, None), low_water, sent_at).bytes);
        }
        Ok(Some(frames))
    }

    fn has_seen(&self, event: &Event) -> bool {
        self.seen.is_some_and(|seen| event.job_id == seen.job_id && event.seq <= seen.seq)
    }

    /// Whether a live frame was part of the past already.
    fn covers(&mut self, frame: &Frame) -> bool {
        if frame.low_water > self.replayed_until {
            self.replayed.clear();
        }
        self.replayed.get(&frame.event.job_id).is_some_and(|seq| frame.event.seq <= *seq)
    }
}

/// The place in the feed before all events of a transaction.
fn first_of(xid: i64) -> FeedKey {
    FeedKey { xid, job_id: JobId(Uuid::nil()), seq: 0 }
}

/// The jobs that the watcher asks for, as they stand.
async fn as_they_stand(app: &App, wish: &Wish) -> Result<Vec<Value>, StoreError> {
    let mut jobs = Vec::new();
    if wish.filter.job_ids.is_empty() {
        let filter = JobFilter {
            state: wish.filter.state,
            lane: wish.filter.lane.clone(),
            submitted_by: None,
        };
        let limit = i64::try_from(RESET_JOBS).unwrap_or(i64::MAX);
        jobs = app.ledger.list(&wish.tenant, &filter, None, limit).await?;
    }
    for id in wish.filter.job_ids.iter().take(RESET_JOBS) {
        jobs.extend(app.ledger.find(&wish.tenant, *id).await?);
    }
    Ok(jobs.iter().filter_map(|job| serde_json::to_value(job).ok()).collect())
}
