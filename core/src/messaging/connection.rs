//! The connection of a process to NATS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, ServerAddr, ToServerAddrs};
use rand::RngExt;
use tokio::sync::watch;

use super::MessagingError;
use super::error::Cause;
use super::news::{self, News};
use super::topology::OUTPUT;

/// How long a request to NATS may take before it counts as unanswered.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A dead peer is noticed after two unanswered pings.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A connection unused for longer may be dead without our knowing.
const MAX_REST: Duration = Duration::from_secs(30);

/// The longest pause between two attempts to reconnect.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Whether NATS can be reached, and how often that began anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Connected now.
    pub is_up: bool,
    /// Grows with every connection made and with every loss of messages on one:
    /// whoever sees it grow looks into the ledger for what it missed.
    pub generation: u64,
}

/// A connection to NATS that reconnects for ever. Clones share it.
#[derive(Clone, Debug)]
pub struct Messaging {
    pub(super) client: Client,
    pub(super) jetstream: jetstream::Context,
    link: watch::Receiver<Link>,
    last_use: Arc<LastUse>,
}

/// When the connection was used last.
#[derive(Debug)]
struct LastUse(Mutex<Instant>);

impl LastUse {
    /// Notes a use, and returns how long ago the one before was.
    fn swap_now(&self) -> Duration {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.duration_since(std::mem::replace(&mut *last, now))
    }
}

impl Messaging {
    /// Begins to connect, and returns at once: NATS need not be there.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Connect`] if the address is none.
    pub async fn connect(url: &str, name: &str) -> Result<Self, MessagingError> {
        let (tell, link) = watch::channel(Link::default());
        let servers: Vec<ServerAddr> =
            url.to_server_addrs().map_err(|error| MessagingError::Connect(error.into()))?.collect();
        let address = news::addresses(servers.iter());
        let news = Arc::new(News::default());
        let attempts = Arc::clone(&news);
        let client = ConnectOptions::new()
            .name(name)
            .retry_on_initial_connect()
            .connection_timeout(REQUEST_TIMEOUT)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                note(&tell, &news, &address, &event);
                async {}
            })
            // It is only listened to: none of the servers is chosen here.
            .reconnect_to_server_callback(move |servers, _| {
                attempts.attempt(&servers);
                async { None }
            })
            .connect(servers)
            .await
            .map_err(|error| MessagingError::Connect(error.into()))?;

        let jetstream = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .build(client.clone());
        let last_use = Arc::new(LastUse(Mutex::new(Instant::now())));
        Ok(Self { client, jetstream, link, last_use })
    }

    /// The state of the connection, to read or to wait for.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Whether NATS is connected, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.borrow().is_up
    }

    /// Makes the connection anew if it has been unused for so long that NATS
    /// may have given it up, as a process does that was frozen meanwhile; then
    /// waits until it is there.
    pub async fn revive(&self) {
        let rested = self.last_use.swap_now();
        let mut link = self.link();
        if rested > MAX_REST && self.client.force_reconnect().await.is_ok() {
            let generation = link.borrow().generation;
            let _ = link.wait_for(|link| link.is_up && link.generation > generation).await;
        } else {
            let _ = link.wait_for(|link| link.is_up).await;
        }
    }

    /// Writes a message through JetStream and reads it back: proof that streams
    /// work, which an open connection is not.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Probe`] with whatever went wrong.
    pub async fn prove(&self) -> Result<(), MessagingError> {
        self.round_trip().await.map_err(MessagingError::Probe)
    }

    async fn round_trip(&self) -> Result<(), Cause> {
        // No job has this subject. OUTPUT bounds what it keeps of it.
        let stored = self.jetstream.publish("output.probe", "{}".into()).await?.await?;
        let stream = self.jetstream.get_stream(OUTPUT).await?;
        stream.get_raw_message(stored.sequence).await?;
        Ok(())
    }
}

fn note(tell: &watch::Sender<Link>, news: &News, address: &str, event: &Event) {
    match event {
        Event::Connected => {
            news.connected(address);
            tell.send_modify(|link| {
                *link = Link { is_up: true, generation: link.generation + 1 };
            });
        }
        Event::Disconnected => {
            news.lost(address);
            tell.send_modify(|link| link.is_up = false);
        }
        // By us.
        Event::Closed => tell.send_modify(|link| link.is_up = false),
        Event::SlowConsumer(_) => {
            tracing::warn!("NATS messages were dropped because a reader was slow");
            tell.send_modify(|link| link.generation += 1);
        }
        // Also of a refused attempt, which is made again for ever.
        Event::ClientError(error) => {
            tracing::debug!(%error, "NATS client error");
            news.complaint(error.to_string());
        }
        Event::ServerError(error) => tracing::warn!(%error, "NATS server error"),
        Event::LameDuckMode | Event::Draining => {}
    }
}

/// Grows with each attempt, with jitter, so that a fleet does not return as one.
fn reconnect_delay(attempts: usize) -> Duration {
    let grown = Duration::from_millis(20) * 2_u32.pow(u32::try_from(attempts.min(8)).unwrap_or(8));
    let ceiling = grown.min(MAX_RECONNECT_DELAY);
    ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
}
