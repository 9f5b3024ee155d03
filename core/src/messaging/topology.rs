//! The streams and consumers, in one place.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::{Messaging, MessagingError};
use crate::domain::LaneName;

/// Doorbells wait here.
pub(super) const WORK: &str = "WORK";

/// What attempts put out while they run.
pub(super) const OUTPUT: &str = "OUTPUT";

/// How many streams there are.
pub const STREAM_COUNT: usize = 4;

/// How long a worker may hold a doorbell before it goes to another.
const BELL_ACK_WAIT: Duration = Duration::from_secs(30);

/// The streams: what they hold and for how long. All of it can be rebuilt from
/// the ledger, so each is bounded and drops its oldest.
pub(super) fn streams() -> [Config; STREAM_COUNT] {
    let bounded =
        Config { storage: StorageType::File, discard: DiscardPolicy::Old, ..Config::default() };
    [
        Config {
            name: WORK.into(),
            subjects: vec!["work.*".into()],
            retention: RetentionPolicy::WorkQueue,
            // A bell says "this lane may hold work": a few say it as well as many.
            max_messages_per_subject: 8,
            max_age: Duration::from_mins(5),
            ..bounded.clone()
        },
        Config {
            name: "JOBS".into(),
            subjects: vec!["jobs.>".into()],
            max_age: Duration::from_hours(1),
            max_messages: 1_000_000,
            max_bytes: 512 * 1024 * 1024,
            ..bounded.clone()
        },
        Config {
            name: OUTPUT.into(),
            subjects: vec!["output.*".into()],
            max_messages_per_subject: 1_000,
            max_age: Duration::from_hours(1),
            max_bytes: 256 * 1024 * 1024,
            ..bounded.clone()
        },
        Config {
            name: "DEAD_LETTERS".into(),
            subjects: vec!["dead.*".into()],
            max_age: Duration::from_hours(30 * 24),
            max_messages: 1_000_000,
            max_bytes: 512 * 1024 * 1024,
            ..bounded
        },
    ]
}

/// The consumer that all workers of a lane share.
fn worker_consumer(lane: &LaneName) -> pull::Config {
    pull::Config {
        durable_name: Some(format!("worker-{lane}")),
        filter_subject: format!("work.{lane}"),
        ack_policy: AckPolicy::Explicit,
        ack_wait: BELL_ACK_WAIT,
        ..pull::Config::default()
    }
}

impl Messaging {
    /// Makes the streams as declared, whether they exist or not.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Declare`] for the first that could not be made; those
    /// before it stand.
    pub async fn declare_streams(&self) -> Result<(), MessagingError> {
        for config in streams() {
            let name = config.name.clone();
            self.jetstream
                .create_or_update_stream(config)
                .await
                .map_err(|error| MessagingError::Declare { name, source: error.into() })?;
        }
        Ok(())
    }

    /// The names of those of our streams that NATS has: somebody uses them.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Declare`] if NATS does not say.
    pub async fn existing_streams(&self) -> Result<Vec<String>, MessagingError> {
        let mut existing = Vec::new();
        for Config { name, .. } in streams() {
            match self.jetstream.get_stream(&name).await {
                Ok(_) => existing.push(name),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(MessagingError::Declare { name, source: error.into() }),
            }
        }
        Ok(existing)
    }

    /// Removes our streams with all that they hold.
    ///
    /// # Errors
    ///
    /// [`MessagingError::Declare`] for the first that could not be removed;
    /// those before it are gone.
    pub async fn remove_streams(&self) -> Result<(), MessagingError> {
        for name in self.existing_streams().await? {
            self.jetstream
                .delete_stream(&name)
                .await
                .map_err(|error| MessagingError::Declare { name, source: error.into() })?;
        }
        Ok(())
    }

    pub(super) async fn worker_consumer(
        &self,
        lane: &LaneName,
    ) -> Result<PullConsumer, MessagingError> {
        // The stream may be gone although the connection is not.
        self.declare_streams().await?;
        let config = worker_consumer(lane);
        let name = format!("worker-{lane}");
        self.jetstream
            .create_consumer_on_stream(config, WORK)
            .await
            .map_err(|error| MessagingError::Declare { name, source: error.into() })
    }
}

fn is_absent(error: &GetStreamError) -> bool {
    matches!(
        error.kind(),
        GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_hears_what_the_work_stream_holds() {
        let [work, ..] = streams();
        let consumer = worker_consumer(&LaneName::default());
        assert_eq!(work.subjects, ["work.*"]);
        assert_eq!(consumer.filter_subject, "work.default");
    }

    #[test]
    fn every_stream_is_bounded_and_on_disk() {
        for stream in streams() {
            assert_eq!(stream.storage, StorageType::File, "{}", stream.name);
            assert!(stream.max_age > Duration::ZERO, "{}", stream.name);
            assert!(stream.max_messages_per_subject > 0 || stream.max_bytes > 0, "{}", stream.name);
        }
    }
}
