//! Why NATS did not do what was asked.

/// Any error of the client, kept as the cause.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why NATS did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum MessagingError {
    /// The address is none, or the client could not be made.
    #[error("connect to NATS")]
    Connect(#[source] Cause),
    /// A stream or a consumer is not as declared.
    #[error("declare {name}")]
    Declare {
        /// Which one.
        name: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// JetStream does not store, or does not give back what it stored.
    #[error("write to JetStream and read back")]
    Probe(#[source] Cause),
    /// A subscription or a pull could not be made.
    #[error("subscribe to {subject}")]
    Subscribe {
        /// To what.
        subject: String,
        /// Why.
        #[source]
        source: Cause,
    },
}
