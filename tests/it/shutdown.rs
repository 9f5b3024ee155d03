//! Ending processes in good order.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{PATIENCE, TestApp};

/// What is left of the grace when nothing is left to do.
const SOON: Duration = Duration::from_secs(5);

fn long_job() -> serde_json::Value {
    json!({ "name": "long", "params": { "duration_ms": 60_000 } })
}

#[tokio::test]
async fn an_edge_ends_although_streams_are_open() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;

    app.edges[0].process.signal(Signal::TERM);

    let status = app.edges[0].process.end_within(SOON).await;
    assert_eq!(status.code(), Some(0));
    assert!(watcher.ends_within(SOON).await);
}

#[tokio::test]
async fn an_idle_edge_ends_on_an_interrupt_too() {
    let app = TestApp::start().await;

    app.edges[0].process.signal(Signal::INT);

    assert_eq!(app.edges[0].process.end_within(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn an_edge_that_ends_has_announced_what_it_accepted() {
    let app = TestApp::start().edges(2).await;
    let mut watcher = app.watch_from("/events", "").await;
    let ids = app.submit_each(0..20, |n| json!({ "name": format!("{n}") })).await;

    app.edges[0].process.signal(Signal::TERM);
    app.edges[0].process.end_within(SOON).await;

    watcher.until("all of them", |events| events.len() == ids.len()).await;
    assert_eq!(app.count("outbox").await, 0);
}

#[tokio::test]
async fn an_idle_worker_ends_at_once() {
    let app = TestApp::start().workers(1).await;

    app.workers[0].process.signal(Signal::TERM);

    assert_eq!(app.workers[0].process.end_within(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_worker_that_ends_is_struck_from_the_ledger() {
    let app = TestApp::start().workers(1).await;
    app.eventually("it is entered", async || (app.count("workers").await == 1).then_some(())).await;

    app.workers[0].process.signal(Signal::TERM);
    app.workers[0].process.end_within(SOON).await;

    assert_eq!(app.count("workers").await, 0);
}

#[tokio::test]
async fn a_worker_lets_a_running_job_finish() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 1500 } })).await;
    app.until_state(&id, "running").await;

    app.workers[0].process.signal(Signal::TERM);
    let status = app.workers[0].process.end_within(PATIENCE).await;

    assert_eq!(status.code(), Some(0));
    let job = app.job(&id).await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(1)));
}

#[tokio::test]
async fn a_worker_that_drains_takes_no_new_job() {
    let app = TestApp::start().workers(1).await;
    let running = app.submit(json!({ "name": "x", "params": { "duration_ms": 2000 } })).await;
    app.until_state(&running, "running").await;

    app.workers[0].process.signal(Signal::TERM);
    app.eventually("it drains", async || {
        app.workers[0].process.logged().contains("draining").then_some(())
    })
    .await;
    let waiting = app.submit(json!({ "name": "waiting" })).await;
    app.workers[0].process.end_within(PATIENCE).await;

    assert_eq!(app.kinds(&waiting).await, ["queued"]);
}

#[tokio::test]
async fn a_second_signal_gives_running_jobs_back_uncharged() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(long_job()).await;
    app.until_state(&id, "running").await;

    app.workers[0].process.signal(Signal::TERM);
    app.eventually("it drains", async || {
        app.workers[0].process.logged().contains("draining").then_some(())
    })
    .await;
    app.workers[0].process.signal(Signal::TERM);
    app.workers[0].process.end_within(SOON).await;

    let job = app.job(&id).await;
    assert_eq!((&job["state"], &job["failures"]), (&json!("queued"), &json!(0)));
    assert_eq!(app.kinds(&id).await, ["queued", "running", "released"]);
}

#[tokio::test]
async fn the_end_of_the_grace_gives_running_jobs_back_too() {
    let app = TestApp::start().workers(1).var("DRAIN_GRACE", "0.5").await;
    let id = app.submit(long_job()).await;
    app.until_state(&id, "running").await;

    app.workers[0].process.signal(Signal::TERM);
    app.workers[0].process.end_within(SOON).await;

    assert_eq!(app.state(&id).await, "queued");
}

#[tokio::test]
async fn a_job_that_was_given_back_runs_elsewhere() {
    let mut app = TestApp::start().workers(1).var("DRAIN_GRACE", "0.2").await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 4000 } })).await;
    app.until_state(&id, "running").await;
    app.start_worker(&[]).await;

    app.workers[0].process.signal(Signal::TERM);

    let job = app.until_ended(&id).await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(2)));
}
