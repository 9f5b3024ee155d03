//! Following events over SSE, across lost connections.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jetlane_core::clock::{Clock, SystemClock};
use jetlane_core::domain::{JobId, JobState};
use reqwest::Response;
use serde_json::Value;

use super::api::Api;
use super::error::ClientError;
use super::event::JobEvent;
use super::sse::{Frame, SseParser};

/// The first wait before a new connection; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Which events to follow.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeedFilter {
    /// Of these jobs only; of all if empty.
    pub(crate) jobs: Vec<JobId>,
    /// Of this lane only.
    pub(crate) lane: Option<String>,
    /// Those after which a job stands so.
    pub(crate) state: Option<JobState>,
    /// Everything the server still knows first, then what is new.
    pub(crate) from_start: bool,
}

/// What a watcher sees.
#[derive(Debug)]
pub(crate) enum Sighting {
    /// The server has accepted the connection: nothing is missed from here on.
    Connected,
    /// Something happened. A resumed stream may repeat it.
    Event {
        /// What.
        event: Box<JobEvent>,
        /// The same as it came.
        json: String,
        /// When its bytes were read.
        at: Instant,
        /// The same on the wall clock.
        wall: DateTime<Utc>,
    },
    /// The point to resume at has expired: events were missed.
    Reset,
    /// The connection was lost, for this reason; another one will be tried.
    Lost(String),
}

/// One stream of events, reconnected as often as needed.
#[derive(Debug)]
pub(crate) struct Feed {
    api: Api,
    filter: FeedFilter,
    connection: Option<Connection>,
    last_id: Option<String>,
    /// Whether the server has ever answered.
    was_connected: bool,
    failures: u32,
    ready: VecDeque<Sighting>,
}

#[derive(Debug)]
struct Connection {
    response: Response,
    parser: SseParser,
}

impl Feed {
    /// A stream that is not connected yet.
    pub(crate) fn new(api: Api, filter: FeedFilter) -> Self {
        Self {
            api,
            filter,
            connection: None,
            last_id: None,
            was_connected: false,
            failures: 0,
            ready: VecDeque::new(),
        }
    }

    /// The next thing to see. Waits for it as long as it takes.
    ///
    /// # Errors
    ///
    /// If the server refuses the request, or if it cannot be reached at first;
    /// once it has answered, it is tried again and again.
    pub(crate) async fn next(&mut self) -> Result<Sighting, ClientError> {
        loop {
            if let Some(sighting) = self.ready.pop_front() {
                return Ok(sighting);
            }
            match &mut self.connection {
                None => self.connect().await?,
                Some(connection) => match connection.read().await {
                    Ok(read) => self.take(read),
                    Err(reason) => {
                        self.connection = None;
                        return Ok(Sighting::Lost(reason));
                    }
                },
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if self.was_connected {
            tokio::time::sleep(wait(self.failures, rand::random())).await;
        }
        match self.api.events(&self.query(), self.last_id.as_deref()).await {
            Ok(response) => {
                self.was_connected = true;
                self.connection = Some(Connection { response, parser: SseParser::default() });
                Ok(())
            }
            Err(error) if self.was_connected && error.may_pass() => {
                self.failures = self.failures.saturating_add(1);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let FeedFilter { jobs, lane, state, from_start } = &self.filter;
        let mut query: Vec<_> = jobs.iter().map(|job| ("job_id", job.to_string())).collect();
        query.extend(lane.iter().map(|lane| ("lane", lane.clone())));
        query.extend(state.iter().map(|state| ("state", state.to_string())));
        if *from_start && self.last_id.is_none() {
            query.push(("from", "start".to_owned()));
        }
        query
    }

    fn take(&mut self, read: Read) {
        self.failures = 0;
        // An id can come without an event: where to go on if none comes.
        if let Some(id) = self.connection.as_ref().and_then(|open| open.parser.last_id()) {
            self.last_id = Some(id.to_owned());
        }
        for frame in read.frames {
            self.ready.extend(sighting(frame, read.at, read.wall));
        }
    }
}

/// Frames that one read completed, and when that was.
struct Read {
    frames: Vec<Frame>,
    at: Instant,
    wall: DateTime<Utc>,
}

impl Connection {
    async fn read(&mut self) -> Result<Read, String> {
        let chunk = self.response.chunk().await.map_err(|error| root_cause(&error))?;
        let (at, wall) = (Instant::now(), SystemClock.now());
        let bytes = chunk.ok_or("the server has ended the stream")?;

        let mut frames = Vec::new();
        self.parser.push(&bytes, &mut frames).map_err(|error| error.to_string())?;
        Ok(Read { frames, at, wall })
    }
}

/// What is at the bottom of an error: the layers above it say nothing to a person.
fn root_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

/// What a frame means; `None` for one that a newer server may send.
fn sighting(frame: Frame, at: Instant, wall: DateTime<Utc>) -> Option<Sighting> {
    match frame.event.as_deref() {
        None => {}
        Some("reset") => return Some(Sighting::Reset),
        Some(_) => return None,
    }
    if let Ok(event) = serde_json::from_str(&frame.data) {
        return Some(Sighting::Event { event: Box::new(event), json: frame.data, at, wall });
    }
    let told: Value = serde_json::from_str(&frame.data).ok()?;
    (told["type"] == "connected").then_some(Sighting::Connected)
}

/// Half to all of a wait that doubles; `chance` is 0 to 1.
fn wait(failures: u32, chance: f64) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << failures.min(10)).min(LONGEST_WAIT);
    longest.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str, event: Option<&str>) -> Option<Sighting> {
        let event = event.map(str::to_owned);
        let frame = Frame { id: None, event, data: data.to_owned() };
        sighting(frame, Instant::now(), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn waits_double_up_to_a_limit_and_keep_apart() {
        assert_eq!(wait(0, 1.0), FIRST_WAIT);
        assert_eq!(wait(3, 1.0), FIRST_WAIT * 8);
        assert_eq!(wait(u32::MAX, 1.0), LONGEST_WAIT);
        assert_eq!(wait(0, 0.0), FIRST_WAIT / 2);
    }

    #[test]
    fn frames_are_told_apart() {
        let event = r#"{"job_id":"019a0000-0000-7000-8000-000000000001","seq":2,"kind":"running",
            "state":"running","attempt":1,"timestamp":"2026-01-31T12:00:00.000000Z",
            "lane":"default","worker":"w","gpu_id":3,"committed_at":null,"new_field":{}}"#;

        assert!(matches!(read(event, None), Some(Sighting::Event { event, .. })
            if event.seq == 2 && event.gpu_id == Some(3) && event.committed_at.is_none()));
        assert!(matches!(read(r#"{"type":"connected"}"#, None), Some(Sighting::Connected)));
        assert!(matches!(read("{}", Some("reset")), Some(Sighting::Reset)));
        assert!(read("{}", None).is_none());
        assert!(read(event, Some("something new")).is_none());
    }
}
