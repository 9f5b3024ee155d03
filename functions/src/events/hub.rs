//! One reader of the feed for all watchers of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jetlane_core::causes;
use jetlane_core::clock::Clock;
use jetlane_core::domain::Announcement;
use jetlane_core::messaging::{Feed, Messaging, Received};
use jetlane_core::store::{FeedHead, FeedKey, Ledger, StoreError};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use super::order::Order;
use crate::metrics::ApiMetrics;

/// How many frames a watcher may lag behind before it is disconnected.
const BUFFER: usize = 4096;

/// How often the ledger is asked for what the feed did not bring.
const QUIET_PERIOD: Duration = Duration::from_secs(1);

/// The same while nobody watches: only the mark is to keep up.
const IDLE_PERIOD: Duration = Duration::from_secs(5);

/// The same while NATS is away and the ledger is all there is.
const DARK_PERIOD: Duration = Duration::from_millis(200);

/// How long an event waits for the one before it, which was sent before it,
/// until the ledger is asked.
const REORDER_GRACE: Duration = Duration::from_millis(3);

/// After a failed look into the ledger.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Feeds the watchers of a process. Clones share it.
#[derive(Clone, Debug)]
pub struct Hub {
    frames: broadcast::Sender<Arc<Frame>>,
    low_water: Arc<AtomicI64>,
    is_started: watch::Receiver<bool>,
}

impl Hub {
    /// A hub, and the task that runs it until `stop`. Watchers are not served
    /// before the task has found out where the ledger's feed stands.
    ///
    /// # Errors
    ///
    /// If the client of NATS is closed.
    pub async fn start(
        ledger: Ledger,
        messaging: Messaging,
        clock: Arc<dyn Clock>,
        metrics: ApiMetrics,
        stop: CancellationToken,
    ) -> anyhow::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let (frames, _) = broadcast::channel(BUFFER);
        let (started, is_started) = watch::channel(false);
        let low_water = Arc::new(AtomicI64::new(0));
        let hub = Self { frames: frames.clone(), low_water: Arc::clone(&low_water), is_started };
        // Before the ledger is asked where it stands: what comes between is not missed.
        let feed = messaging.feed().await?;
        let outlet = Outlet { frames, low_water, clock, metrics };
        let run = async move {
            let work = async {
                let order = seed(&ledger).await;
                outlet.low_water.store(order.low_water(), Ordering::Release);
                started.send_replace(true);
                follow(order, feed, &ledger, &messaging, &outlet).await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        };
        Ok((hub, run))
    }

    /// Whether watchers can be served.
    pub(super) async fn is_started_within(&self, limit: Duration) -> bool {
        let mut is_started = self.is_started.clone();
        let started = is_started.wait_for(|is_started| *is_started);
        matches!(tokio::time::timeout(limit, started).await, Ok(Ok(_)))
    }

    /// All frames from now on.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<Frame>> {
        self.frames.subscribe()
    }

    /// Every event of a smaller ledger transaction has been sent.
    pub(super) fn low_water(&self) -> i64 {
        self.low_water.load(Ordering::Acquire)
    }
}

/// Where the ledger's feed stands, however long it takes to say so.
async fn seed(ledger: &Ledger) -> Order {
    loop {
        let seeded = async {
            let mark = ledger.low_water().await?;
            ledger.feed_head(mark).await
        };
        match seeded.await {
            Ok(head) => return Order::starting_at(&head),
            Err(error) => {
                // Out of reach, it has said why by itself.
                if ledger.until_reached().await {
                    warn(error);
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// What a look into the ledger brings.
struct Look {
    head: FeedHead,
    missing: Vec<Announcement>,
}

async fn follow(
    mut order: Order,
    mut feed: Feed,
    ledger: &Ledger,
    messaging: &Messaging,
    outlet: &Outlet,
) {
    let mut link = messaging.link();
    let mut next_look = Instant::now() + QUIET_PERIOD;
    // At most one look at a time, beside the feed: a ledger that is slow to
    // answer must not keep live events waiting.
    let mut heads: JoinSet<Result<FeedHead, StoreError>> = JoinSet::new();
    let mut looks: JoinSet<Result<Look, StoreError>> = JoinSet::new();

    loop {
        let is_idle = heads.is_empty() && looks.is_empty();
        tokio::select! {
            received = feed.next() => match received {
                Some(Received::Event(event)) => {
                    let mut through = Vec::new();
                    order.offer(event, &mut through);
                    outlet.show(through, order.low_water(), "feed");
                    if order.is_waiting() {
                        next_look = next_look.min(Instant::now() + REORDER_GRACE);
                    }
                }
                Some(Received::Foreign) => outlet.metrics.foreign_messages.inc(),
                None => return,
            },
            Ok(()) = link.changed() => next_look = Instant::now(),
            () = sleep_until(next_look), if is_idle => {
                let (ledger, from) = (ledger.clone(), order.low_water());
                heads.spawn(async move { ledger.feed_head(from).await });
            }
            Some(Ok(head)) = heads.join_next() => match head {
                Ok(head) => {
                    let (ledger, missing) = (ledger.clone(), order.missing(&head.keys));
                    looks.spawn(async move {
                        let missing = fetch(&ledger, &missing).await?;
                        Ok(Look { head, missing })
                    });
                }
                Err(error) => {
                    warn(error);
                    next_look = Instant::now() + RETRY_PAUSE;
                }
            },
            Some(Ok(look)) = looks.join_next() => match look {
                Ok(Look { head, missing }) => {
                    // Until the whole batch is out, only the old mark has been earned.
                    let earned = order.low_water();
                    let mut through = Vec::new();
                    order.repair(&head, missing, &mut through);
                    outlet.show(through, earned, "ledger");
                    outlet.low_water.store(order.low_water(), Ordering::Release);
                    let is_watched = outlet.frames.receiver_count() > 0;
                    let pause = match (order.is_waiting(), is_watched, link.borrow().is_up) {
                        (true, _, _) => REORDER_GRACE,
                        (false, false, _) => IDLE_PERIOD,
                        (false, true, true) => QUIET_PERIOD,
                        (false, true, false) => DARK_PERIOD,
                    };
                    next_look = Instant::now() + pause;
                }
                Err(error) => {
                    warn(error);
                    next_look = Instant::now() + RETRY_PAUSE;
                }
            },
        }
    }
}

async fn fetch(ledger: &Ledger, keys: &[FeedKey]) -> Result<Vec<Announcement>, StoreError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let events = ledger.feed_events(keys).await?;
    Ok(events.iter().map(|event| event.announce(None, None)).collect())
}

fn warn(error: StoreError) {
    let error = anyhow::Error::new(error);
    tracing::warn!(error = causes(&error), "cannot read the ledger's feed");
}

/// Where frames go.
struct Outlet {
    frames: broadcast::Sender<Arc<Frame>>,
    low_water: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
    metrics: ApiMetrics,
}

impl Outlet {
    fn show(&self, events: Vec<Announcement>, low_water: i64, source: &str) {
        let sent_at = self.clock.now();
        self.metrics.events.with_label_values(&[source]).inc_by(events.len() as u64);
        for event in events {
            // No watcher is no mistake.
            let _ = self.frames.send(Arc::new(Frame::new(event, low_water, sent_at)));
        }
    }
}
