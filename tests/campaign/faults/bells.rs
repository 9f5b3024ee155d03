//! A saboteur on NATS: doorbells and events that come twice, late, in another
//! order, or not at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::{Client, HeaderMap, Message, jetstream};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{Fault, Felt};
use crate::campaign::Ground;
use crate::world::LANES;

/// Marks what the saboteur sends, so that it does not sabotage itself.
const MARK: &str = "Saboteur";

/// How many more times a bell rings.
const MORE: usize = 4;

/// How many thieves listen at each lane. The bells go round: most are stolen.
const THIEVES: usize = 8;

/// How long a thief waits at a time.
const LURK: Duration = Duration::from_millis(500);

/// How much later a stolen bell rings, in milliseconds.
const DELAY: std::ops::Range<u64> = 300..3_000;

/// How many of the latest events come again at a time, and how often.
const REPLAYED: usize = 300;
const REPLAY_PERIOD: Duration = Duration::from_millis(300);

/// Work that goes on until it is told to stop, and counts what it does.
#[derive(Default)]
struct Sabotage {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    count: Arc<AtomicU64>,
}

impl Sabotage {
    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

fn marked(mut headers: HeaderMap) -> HeaderMap {
    headers.insert(MARK, "again");
    headers
}

fn is_marked(message: &Message) -> bool {
    message.headers.as_ref().is_some_and(|headers| headers.get(MARK).is_some())
}

/// Every doorbell rings several times.
#[derive(Default)]
pub(super) struct Doubled(Sabotage);

impl Fault for Doubled {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let client = ground.nats().await?;
            let mut bells = client.subscribe("work.*").await?;
            let (stop, count) = (self.0.stop.clone(), Arc::clone(&self.0.count));
            self.0.tasks.spawn(async move {
                while let Some(Some(bell)) = stop.run_until_cancelled(bells.next()).await {
                    if is_marked(&bell) {
                        continue;
                    }
                    for _ in 0..MORE {
                        let (subject, payload) = (bell.subject.clone(), bell.payload.clone());
                        let headers = marked(HeaderMap::new());
                        let sent = client.publish_with_headers(subject, headers, payload).await;
                        count.fetch_add(u64::from(sent.is_ok()), Ordering::Relaxed);
                    }
                }
            });
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.0.stop.cancel();
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "bells more", count: self.0.count() }).boxed_local()
    }
}

/// Doorbells go to somebody who does nothing; they ring later, or never.
pub(super) struct Swallowed {
    sabotage: Sabotage,
    late: Option<StdRng>,
}

impl Swallowed {
    /// They never ring.
    pub(super) fn for_good() -> Self {
        Self { sabotage: Sabotage::default(), late: None }
    }

    /// They ring later, each after a time of its own.
    pub(super) fn for_a_while(chance: u64) -> Self {
        Self { sabotage: Sabotage::default(), late: Some(StdRng::seed_from_u64(chance)) }
    }
}

impl Fault for Swallowed {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let client = ground.nats().await?;
            for lane in LANES.into_iter().cycle().take(LANES.len() * THIEVES) {
                let thief = Thief {
                    client: client.clone(),
                    lane,
                    late: self.late.as_mut().map(|rng| StdRng::seed_from_u64(rng.random())),
                    stop: self.sabotage.stop.clone(),
                    count: Arc::clone(&self.sabotage.count),
                };
                self.sabotage.tasks.spawn(thief.steal());
            }
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.sabotage.stop.cancel();
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        async move {
            while self.sabotage.tasks.join_next().await.is_some() {}
            Felt { what: "bells swallowed", count: self.sabotage.count() }
        }
        .boxed_local()
    }
}

/// One who takes bells as a worker does.
struct Thief {
    client: Client,
    lane: &'static str,
    late: Option<StdRng>,
    stop: CancellationToken,
    count: Arc<AtomicU64>,
}

impl Thief {
    async fn steal(mut self) {
        let mut ringing = JoinSet::new();
        while !self.stop.is_cancelled() {
            let Some(bells) = self.lurk().await else {
                sleep(LURK / 5).await;
                continue;
            };
            self.count.fetch_add(bells.len() as u64, Ordering::Relaxed);
            if let Some(rng) = &mut self.late {
                for bell in bells {
                    let after = Duration::from_millis(rng.random_range(DELAY));
                    ringing.spawn(ring(self.client.clone(), bell, after));
                }
            }
            while ringing.try_join_next().is_some() {}
        }
        ringing.join_all().await;
    }

    /// Takes the bells that ring for a while. Read to its end: bells that go to
    /// a request nobody reads would be held for half a minute.
    async fn lurk(&self) -> Option<Vec<Message>> {
        let work = jetstream::new(self.client.clone()).get_stream("WORK").await.ok()?;
        let consumer: PullConsumer =
            work.get_consumer(&format!("worker-{}", self.lane)).await.ok()?;
        let mut batch = consumer.fetch().max_messages(4).expires(LURK).messages().await.ok()?;
        let mut bells = Vec::new();
        while let Some(Ok(bell)) = batch.next().await {
            bell.ack().await.ok()?;
            bells.push(bell.message);
        }
        Some(bells)
    }
}

async fn ring(client: Client, bell: Message, after: Duration) {
    sleep(after).await;
    // A bell that is lost now is one more that was swallowed.
    let _ = client.publish_with_headers(bell.subject, marked(HeaderMap::new()), bell.payload).await;
}

/// Events on NATS come again, in another order.
pub(super) struct Replayed {
    sabotage: Sabotage,
    rng: StdRng,
}

impl Replayed {
    pub(super) fn new(chance: u64) -> Self {
        Self { sabotage: Sabotage::default(), rng: StdRng::seed_from_u64(chance) }
    }
}

impl Fault for Replayed {
    fn inject<'a>(&'a mut self, ground: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        async move {
            let client = ground.nats().await?;
            let mut events = client.subscribe("jobs.>").await?;
            let (stop, count) = (self.sabotage.stop.clone(), Arc::clone(&self.sabotage.count));
            let mut rng = StdRng::seed_from_u64(self.rng.random());
            self.sabotage.tasks.spawn(async move {
                let mut latest = VecDeque::new();
                let mut ticks = interval(REPLAY_PERIOD);
                loop {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        Some(event) = events.next() => if !is_marked(&event) {
                            latest.push_back(event);
                            if latest.len() > REPLAYED {
                                latest.pop_front();
                            }
                        },
                        _ = ticks.tick() => {
                            let mut again: Vec<Message> = latest.iter().cloned().collect();
                            again.shuffle(&mut rng);
                            count.fetch_add(send_again(&client, again).await, Ordering::Relaxed);
                        }
                    }
                }
            });
            Ok(())
        }
        .boxed_local()
    }

    fn heal<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.sabotage.stop.cancel();
        std::future::ready(Ok(())).boxed_local()
    }

    fn felt<'a>(&'a mut self, _: &'a Ground) -> LocalBoxFuture<'a, Felt> {
        std::future::ready(Felt { what: "events repeated", count: self.sabotage.count() })
            .boxed_local()
    }
}

async fn send_again(client: &Client, events: Vec<Message>) -> u64 {
    let mut sent = 0;
    for event in events {
        let headers = marked(event.headers.unwrap_or_default());
        let published = client.publish_with_headers(event.subject, headers, event.payload).await;
        sent += u64::from(published.is_ok());
    }
    sent
}
