//! The history as a file: one JSON object a line, only ever appended to.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// How far something has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// It was asked for.
    Invoke,
    /// It was done.
    Ok,
    /// It was certainly not done.
    Fail,
    /// Nobody told whether it was done.
    Unknown,
}

#[derive(Debug, Serialize)]
struct Record {
    /// Since the campaign began, by a clock that only goes on.
    ms: u64,
    at: DateTime<Utc>,
    what: &'static str,
    phase: Phase,
    /// The number of the submit it is about.
    n: Option<u32>,
    more: Value,
}

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    start: Instant,
    file: Mutex<File>,
}

impl Journal {
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self { start: Instant::now(), file: Mutex::new(File::create(path)?) })
    }

    pub(super) fn write(&self, what: &'static str, phase: Phase, n: Option<u32>, more: Value) {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let record = Record { ms, at: now(), what, phase, n, more };
        let mut line = serde_json::to_string(&record).expect("a record can be told in JSON");
        line.push('\n');
        // Whole lines, at once: the file is good whenever the campaign ends.
        self.file.lock().unwrap().write_all(line.as_bytes()).expect("the disk has room");
    }
}

#[expect(clippy::disallowed_methods, reason = "the campaign's own clock is the system's")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
