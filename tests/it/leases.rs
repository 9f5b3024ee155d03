//! Workers that die, freeze or come back: their jobs run elsewhere, and what
//! they still say does not count.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestApp};

/// How soon a dead worker's job must run again.
const LIMIT: Duration = Duration::from_secs(5);

const LONG: u32 = 60_000;

fn long_job() -> Value {
    json!({ "name": "long", "params": { "duration_ms": LONG } })
}

/// A worker that runs a job, and another that could.
async fn given_running_job() -> (TestApp, String) {
    let mut app = TestApp::start().workers(1).await;
    app.given_ledger_past_its_start().await;
    let id = app.submit(long_job()).await;
    app.until_state(&id, "running").await;
    app.start_worker(&[]).await;
    (app, id)
}

async fn until_second_attempt(app: &TestApp, id: &str, limit: Duration) -> Value {
    app.within(limit, "a second attempt", async || {
        Some(app.job(id).await).filter(|job| job["attempt"] == 2 && job["state"] == "running")
    })
    .await
}

#[tokio::test]
async fn a_killed_workers_job_runs_again_within_five_seconds() {
    let (app, id) = given_running_job().await;
    let first = app.job(&id).await;

    app.kill_worker(0).await;

    let second = until_second_attempt(&app, &id, LIMIT).await;
    assert_ne!(second["worker"], first["worker"]);
}

#[tokio::test]
async fn a_worker_that_comes_later_takes_over_too() {
    let mut app = TestApp::start().workers(1).await;
    app.given_ledger_past_its_start().await;
    let id = app.submit(long_job()).await;
    app.until_state(&id, "running").await;
    app.kill_worker(0).await;

    app.start_worker(&[]).await;

    until_second_attempt(&app, &id, LIMIT).await;
}

#[tokio::test]
async fn a_lost_attempt_charges_no_failure() {
    let (app, id) = given_running_job().await;

    app.kill_worker(0).await;

    assert_eq!(until_second_attempt(&app, &id, PATIENCE).await["failures"], 0);
}

#[tokio::test]
async fn watchers_see_that_a_lost_job_was_released() {
    let (app, id) = given_running_job().await;
    let mut watcher = app.watch_at(&format!("/jobs/{id}/events")).await;

    app.kill_worker(0).await;

    watcher.until("the second start", |events| events.iter().any(|e| e.attempt == 2)).await;
    let kinds: Vec<_> = watcher.events().into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["queued", "running", "released", "running"]);
}

#[tokio::test]
async fn every_job_of_a_killed_worker_runs_again() {
    let mut app = TestApp::start().workers(1).slots(4).await;
    app.given_ledger_past_its_start().await;
    let ids = app.submit_each(0..4, |_| long_job()).await;
    for id in &ids {
        app.until_state(id, "running").await;
    }
    app.start_worker(&[]).await;

    app.kill_worker(0).await;

    for id in &ids {
        until_second_attempt(&app, id, PATIENCE).await;
    }
}

#[tokio::test]
async fn a_workers_long_jobs_are_not_taken_from_it() {
    let mut app = TestApp::start().workers(1).var("LEASE", "3").await;
    app.given_ledger_past_its_start().await;
    let id = app
        .submit(
            json!({ "name": "longer than lease and silence", "params": { "duration_ms": 6000 } }),
        )
        .await;
    app.until_state(&id, "running").await;
    app.start_worker(&[]).await;

    let job = app.until_ended(&id).await;

    assert_eq!((&job["attempt"], &job["state"]), (&json!(1), &json!("completed")));
}

#[tokio::test]
async fn a_worker_that_was_frozen_cannot_end_a_job_that_was_taken_from_it() {
    let mut app = TestApp::start().workers(1).await;
    app.given_ledger_past_its_start().await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 3000 } })).await;
    app.until_state(&id, "running").await;
    app.start_worker(&[("SIMULATE_MIN_MS", "1")]).await;

    app.workers[0].process.freeze();
    let second = until_second_attempt(&app, &id, PATIENCE).await;
    // Its own attempt is over the moment it wakes up.
    app.workers[0].process.thaw();

    let job = app.until_ended(&id).await;
    assert_eq!((&job["attempt"], &job["worker"]), (&json!(2), &second["worker"]));
    assert_eq!(app.kinds(&id).await, ["queued", "running", "released", "running", "completed"]);
}

#[tokio::test]
async fn a_worker_that_was_frozen_works_on() {
    let mut app = TestApp::start().workers(1).without_sweep().await;
    app.given_ledger_past_its_start().await;
    let id = app.submit(long_job()).await;
    app.until_state(&id, "running").await;
    app.start_worker(&[]).await;
    app.workers[0].process.freeze();
    until_second_attempt(&app, &id, PATIENCE).await;
    app.workers[0].process.thaw();
    app.kill_worker(1).await;

    let next = app.submit(json!({ "name": "next" })).await;

    app.until_state(&next, "completed").await;
}

#[tokio::test]
async fn a_lease_ends_by_the_ledgers_clock() {
    // One that is never renewed, of a worker that has left no other trace.
    let app = TestApp::start().await;
    app.given_ledger_past_its_start().await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.sql(
        "UPDATE jobs SET state = 'running', attempt = 1, worker = gen_random_uuid(), gpu_id = 0,
                lease_expires_at = ledger_now() + interval '1 hour', event_seq = 2;
         INSERT INTO job_events
         SELECT job_id, 2, 'running', 'running', 1, created_at, lane, tenant, xid, details
         FROM job_events",
    )
    .await;

    app.move_clock(3_700).await;
    let mut app = app;
    app.start_worker(&[("POLL_INTERVAL", "0.5")]).await;

    let job = app.until_ended(&id).await;
    assert_eq!((&job["attempt"], &job["state"]), (&json!(2), &json!("completed")));
}
