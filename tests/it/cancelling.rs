//! `POST /jobs/{id}/cancel`: a job's end, asked for.

use chrono::TimeDelta;
use serde_json::json;

use crate::harness::TestApp;

/// The worker is told; it does not just find out when it renews its leases.
const SOONER_THAN_A_RENEWAL: TimeDelta = TimeDelta::milliseconds(300);

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;

    let job = app.cancel(&id).await.expect(200).json();

    assert_eq!((&job["state"], job["finished_at"].is_string()), (&json!("cancelled"), true));
    assert_eq!(app.kinds(&id).await, ["queued", "cancelled"]);
}

#[tokio::test]
async fn a_scheduled_job_is_cancelled_at_once() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x", "run_at": "2099-01-01T00:00:00Z" })).await;

    assert_eq!(app.cancel(&id).await.expect(200).json()["state"], "cancelled");
}

#[tokio::test]
async fn a_cancelled_job_is_not_run() {
    let mut app = TestApp::start().await;
    let cancelled = app.submit(json!({ "name": "cancelled" })).await;
    app.cancel(&cancelled).await.expect(200);

    app.start_worker(&[]).await;
    let other = app.submit(json!({ "name": "other" })).await;
    app.until_state(&other, "completed").await;

    assert_eq!(app.job(&cancelled).await["attempt"], 0);
}

#[tokio::test]
async fn a_running_job_is_marked_and_then_stopped() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&id, "running").await;
    // Or it would be stopped before it is seen to be marked.
    app.workers[0].process.freeze();

    let job = app.cancel(&id).await.expect(202).json();
    assert!(job["state"] == "running" && job["cancel_requested_at"].is_string(), "{job}");
    app.workers[0].process.thaw();

    app.until_state(&id, "cancelled").await;
    assert_eq!(app.kinds(&id).await, ["queued", "running", "cancel_requested", "cancelled"]);
}

#[tokio::test]
async fn a_running_job_is_stopped_at_once() {
    let app = TestApp::start().workers(1).await;

    let mut waits = Vec::new();
    for _ in 0..5 {
        let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 60_000 } })).await;
        app.until_state(&id, "running").await;
        app.stop_job(&id).await;
        app.until_state(&id, "cancelled").await;
        let asked = app.time_of(&id, "cancel_requested").await;
        waits.push(app.time_of(&id, "cancelled").await - asked);
    }

    waits.sort();
    assert!(waits[2] < SOONER_THAN_A_RENEWAL, "{waits:?}");
}

#[tokio::test]
async fn a_cancelled_attempt_charges_no_failure() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&id, "running").await;

    app.stop_job(&id).await;

    assert_eq!(app.until_ended(&id).await["failures"], 0);
}

#[tokio::test]
async fn asking_again_changes_nothing() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;
    let first = app.cancel(&id).await.expect(200).json();

    let second = app.cancel(&id).await.expect(200).json();

    assert_eq!(second, first);
    assert_eq!(app.kinds(&id).await, ["queued", "cancelled"]);
}

#[tokio::test]
async fn a_completed_job_cannot_be_cancelled() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.until_state(&id, "completed").await;

    let reply = app.cancel(&id).await.expect(409);

    assert!(reply.problem()["detail"].as_str().unwrap().contains("completed"));
}

#[tokio::test]
async fn an_unknown_job_is_not_found() {
    let app = TestApp::start().await;

    app.cancel("00000000-0000-4000-8000-000000000000").await.expect(404).problem();
}

#[tokio::test]
async fn a_job_that_waits_out_a_backoff_is_cancelled_at_once() {
    let app = TestApp::start().workers(1).var("RETRY_BACKOFF", "60").await;
    let id = app.submit(json!({ "name": "x", "params": { "fail": "transient" } })).await;
    app.until_state(&id, "scheduled").await;

    app.cancel(&id).await.expect(200);

    assert_eq!(app.kinds(&id).await, ["queued", "running", "scheduled", "cancelled"]);
}
