//! What there is to count on the way from the ledger to the feed.

use prometheus::{IntCounter, Registry};

/// Counters of the announcer and the relay. Clones share them.
#[derive(Clone, Debug)]
pub struct OutboxMetrics {
    /// Messages that NATS acknowledged to the announcer.
    pub published: IntCounter,
    /// Messages left to the relay.
    pub left_to_relay: IntCounter,
    /// Messages that NATS acknowledged to the relay.
    pub relayed: IntCounter,
    /// Rows set aside because NATS refused them too often.
    pub set_aside: IntCounter,
}

impl OutboxMetrics {
    /// Counters known to `registry`.
    ///
    /// # Errors
    ///
    /// If the registry has some of these names already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            published: counter(
                "jetlane_messages_published_total",
                "Events and doorbells stored by NATS right after their commit",
            )?,
            left_to_relay: counter(
                "jetlane_messages_left_to_relay_total",
                "Events and doorbells that were not stored right after their commit",
            )?,
            relayed: counter(
                "jetlane_messages_relayed_total",
                "Events and doorbells stored by NATS from the outbox",
            )?,
            set_aside: counter(
                "jetlane_outbox_set_aside_total",
                "Rows of the outbox that NATS refused too often",
            )?,
        })
    }
}
