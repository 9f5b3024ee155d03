//! A watcher: a client of server-sent events that keeps all it reads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use jetlane_tests::{Crashes, Frame, Frames, PATIENCE};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::events::{Event, kinds, without_repeats};

/// What has been read so far.
#[derive(Debug, Default)]
struct Log {
    /// With the time at which each was read.
    frames: Vec<(Frame, DateTime<Utc>)>,
    is_over: bool,
}

/// An open stream. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) headers: HeaderMap,
    log: Arc<Mutex<Log>>,
    grown: watch::Receiver<()>,
    crashes: Crashes,
    _reader: JoinSet<()>,
}

impl Watcher {
    /// Opens a stream; when this returns, no later event can be missed.
    pub(crate) async fn open(request: RequestBuilder, crashes: Crashes) -> Self {
        let response = crashes.race(request.send()).await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());

        let headers = response.headers().clone();
        let log = Arc::new(Mutex::new(Log::default()));
        let (grow, grown) = watch::channel(());
        let mut reader = JoinSet::new();
        reader.spawn(read(response, Arc::clone(&log), grow));

        let mut this = Self { headers, log, grown, crashes, _reader: reader };
        this.until_log("the first frame", |log| !log.frames.is_empty()).await;
        this
    }

    /// All frames so far.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.log.lock().unwrap().frames.iter().map(|(frame, _)| frame.clone()).collect()
    }

    /// All events so far, as they came, repeats too.
    pub(crate) fn events_with_repeats(&self) -> Vec<Event> {
        let frames = self.log.lock().unwrap().frames.clone();
        let events = frames.iter().filter_map(|(frame, read_at)| {
            let json: Value = serde_json::from_str(&frame.data).ok()?;
            Event::read(&frame.id, json, *read_at)
        });
        events.collect()
    }

    /// All events so far, as they came, without repeats.
    pub(crate) fn events(&self) -> Vec<Event> {
        without_repeats(self.events_with_repeats())
    }

    /// A job's events so far.
    pub(crate) fn events_of(&self, job_id: &str) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| event.job_id == job_id);
        events
    }

    /// Waits until the events so far are as wanted, and returns them.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        is_wanted: impl Fn(&[Event]) -> bool,
    ) -> Vec<Event> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            self.grown.mark_unchanged();
            let events = self.events();
            if is_wanted(&events) {
                return events;
            }
            let grown = self.crashes.race(tokio::time::timeout_at(deadline, self.grown.changed()));
            let state = || format!("{what}; read so far: {:?}", kinds(&events));
            match grown.await {
                Err(elapsed) => panic!("{elapsed}: {}", state()),
                // Only the reader's end closes the channel: look once more.
                Ok(Err(_)) if is_wanted(&self.events()) => return self.events(),
                Ok(Err(_)) => panic!("the stream ended before {}", state()),
                Ok(Ok(())) => {}
            }
        }
    }

    /// Waits for an event of this kind of this job, and returns it.
    pub(crate) async fn until_kind(&mut self, job_id: &str, kind: &str) -> Event {
        let is_it = |event: &&Event| event.job_id == job_id && event.kind == kind;
        let events = self
            .until(&format!("{kind} of {job_id}"), |events| events.iter().any(|e| is_it(&e)))
            .await;
        events.iter().find(is_it).cloned().expect("it was there a moment ago")
    }

    /// Waits until each of these jobs has ended, and returns all events.
    pub(crate) async fn until_all_ended(&mut self, job_ids: &[String]) -> Vec<Event> {
        let is_end = |event: &Event| ["completed", "failed", "cancelled"].contains(&&*event.kind);
        self.until("the end of every job", |events| {
            job_ids.iter().all(|id| events.iter().any(|e| e.job_id == *id && is_end(e)))
        })
        .await
    }

    /// Waits until a frame is as wanted, and returns it.
    pub(crate) async fn until_frame(
        &mut self,
        what: &str,
        is_wanted: impl Fn(&Frame) -> bool,
    ) -> Frame {
        self.until_log(what, |log| log.frames.iter().any(|(frame, _)| is_wanted(frame))).await;
        self.frames().into_iter().find(is_wanted).expect("it was there a moment ago")
    }

    /// Whether the server ends the stream within `limit`.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> bool {
        let log = Arc::clone(&self.log);
        let over = async {
            while !log.lock().unwrap().is_over {
                if self.grown.changed().await.is_err() {
                    break;
                }
            }
        };
        tokio::time::timeout(limit, over).await.is_ok()
    }

    /// Whether the stream is still open.
    pub(crate) fn is_open(&self) -> bool {
        !self.log.lock().unwrap().is_over
    }

    async fn until_log(&mut self, what: &str, is_wanted: impl Fn(&Log) -> bool) {
        let waiting = async {
            loop {
                self.grown.mark_unchanged();
                if is_wanted(&self.log.lock().unwrap()) {
                    return true;
                }
                if self.grown.changed().await.is_err() {
                    return is_wanted(&self.log.lock().unwrap());
                }
            }
        };
        let waiting = self.crashes.clone().race(tokio::time::timeout(PATIENCE, waiting)).await;
        match waiting {
            Ok(true) => {}
            Ok(false) => panic!("the stream ended before {what}"),
            Err(elapsed) => panic!("{elapsed}: {what}"),
        }
    }
}

/// Reads the stream to its end.
async fn read(response: Response, log: Arc<Mutex<Log>>, grow: watch::Sender<()>) {
    let mut chunks = response.bytes_stream();
    let mut frames = Frames::default();
    while let Some(Ok(chunk)) = chunks.next().await {
        let read_at = now();
        let read = frames.push(&chunk).into_iter().map(|frame| (frame, read_at));
        log.lock().unwrap().frames.extend(read);
        grow.send_replace(());
    }
    log.lock().unwrap().is_over = true;
    grow.send_replace(());
}

#[expect(clippy::disallowed_methods, reason = "a test's own clock is the system's")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
