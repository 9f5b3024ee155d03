//! How soon a job starts while a slot is free.

use std::time::Duration;

use serde_json::json;

use crate::harness::TestApp;

/// How many jobs are submitted, one at a time.
const JOBS: usize = 11;

/// What a user notices, on a machine that runs other tests as well.
const LIMIT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn an_idle_system_starts_a_job_within_a_tenth_of_a_second() {
    let app = TestApp::start().workers(1).without_sweep().await;
    let mut watcher = app.watch().await;

    let mut waits = Vec::new();
    for _ in 0..JOBS {
        let asked = std::time::Instant::now();
        let id = app.submit(json!({ "name": "x" })).await;
        watcher.until_kind(&id, "running").await;
        waits.push(asked.elapsed());
        watcher.until_kind(&id, "completed").await;
    }

    waits.sort();
    let median = waits[JOBS / 2];
    assert!(median < LIMIT, "{waits:?}");
}
