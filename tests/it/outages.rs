//! NATS is away: nobody ends, nothing is lost or taken away, and all goes on
//! by itself when it is back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{TestApp, assert_gapless, kinds};

/// Longer than a lease may go without a doorbell, a ping and a few sweeps.
const LONG_OUTAGE: Duration = Duration::from_secs(25);

fn job_of(duration_ms: u32) -> Value {
    json!({ "name": "x", "params": { "duration_ms": duration_ms } })
}

async fn ready(app: &TestApp) -> Value {
    app.get("/ready").await.expect(200).json()
}

#[tokio::test]
async fn a_long_outage_takes_no_attempt_away_and_loses_nothing() {
    let mut app = TestApp::start().workers(2).slots(4).await;
    let mut watcher = app.watch().await;
    let mut ids = app.submit_each(0..4, |_| job_of(60_000)).await;
    // These end during the outage.
    ids.extend(app.submit_each(0..3, |_| job_of(5_000)).await);
    for id in &ids {
        app.until_state(id, "running").await;
    }

    app.stop_nats().await;
    // The harness notices if a process ends meanwhile.
    app.race(tokio::time::sleep(LONG_OUTAGE)).await;
    app.start_nats().await;

    for id in &ids[..4] {
        app.stop_job(id).await;
    }
    watcher.until_all_ended(&ids).await;
    for id in &ids[..4] {
        let events = watcher.events_of(id);
        assert_eq!(kinds(&events), ["queued", "running", "cancel_requested", "cancelled"]);
    }
    for id in &ids[4..] {
        assert_eq!(kinds(&watcher.events_of(id)), ["queued", "running", "completed"]);
    }
}

#[tokio::test]
async fn an_edge_says_that_it_is_degraded_as_long_as_it_lasts() {
    let mut app = TestApp::start().await;

    app.stop_nats().await;
    app.eventually("it is degraded", async || {
        (ready(&app).await == json!({ "status": "degraded", "nats": "down" })).then_some(())
    })
    .await;
    app.start_nats().await;

    app.until_ready().await;
}

#[tokio::test]
async fn a_metric_tells_of_it() {
    let mut app = TestApp::start().await;
    app.stop_nats().await;

    app.eventually("the metric is 0", async || {
        app.get("/metrics").await.text.contains("jetlane_nats_up 0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn jobs_are_accepted_at_once() {
    let mut app = TestApp::start().await;
    app.stop_nats().await;

    let asked = std::time::Instant::now();
    for _ in 0..10 {
        app.submit(job_of(1)).await;
    }

    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn accepted_jobs_are_found_by_the_sweep() {
    let mut app = TestApp::start().workers(1).var("POLL_INTERVAL", "1").await;
    app.stop_nats().await;

    let id = app.submit(job_of(1)).await;

    app.until_state(&id, "completed").await;
}

#[tokio::test]
async fn watchers_are_fed_from_the_ledger() {
    let mut app = TestApp::start().workers(1).var("POLL_INTERVAL", "1").await;
    let mut watcher = app.watch().await;
    app.stop_nats().await;

    let id = app.submit(job_of(1)).await;

    watcher.until_kind(&id, "completed").await;
    let events = watcher.events_of(&id);
    assert_eq!(kinds(&events), ["queued", "running", "completed"]);
    assert_gapless(&events);
}

#[tokio::test]
async fn a_watcher_that_comes_meanwhile_is_served() {
    let mut app = TestApp::start().await;
    app.stop_nats().await;
    let mut watcher = app.watch().await;

    let id = app.submit(job_of(1)).await;

    watcher.until_kind(&id, "queued").await;
}

#[tokio::test]
async fn streams_that_were_open_go_on_after_it() {
    let mut app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;
    app.stop_nats().await;
    app.start_nats().await;

    let id = app.submit(job_of(1)).await;

    watcher.until_kind(&id, "completed").await;
    assert!(watcher.is_open());
}

#[tokio::test]
async fn a_running_job_can_be_cancelled_meanwhile() {
    let mut app = TestApp::start().workers(1).await;
    let id = app.submit(job_of(60_000)).await;
    app.until_state(&id, "running").await;
    app.stop_nats().await;

    app.stop_job(&id).await;

    app.until_state(&id, "cancelled").await;
}

#[tokio::test]
async fn a_killed_workers_job_runs_again_meanwhile() {
    let mut app = TestApp::start().workers(1).await;
    app.given_ledger_past_its_start().await;
    let id = app.submit(job_of(60_000)).await;
    app.until_state(&id, "running").await;
    app.start_worker(&[]).await;
    app.stop_nats().await;

    app.kill_worker(0).await;

    app.eventually("a second attempt", async || (app.job(&id).await["attempt"] == 2).then_some(()))
        .await;
}

#[tokio::test]
async fn an_edge_starts_without_nats_and_recovers_by_itself() {
    let mut app = TestApp::start().without_nats().await;
    let id = app.submit(job_of(1)).await;
    let mut watcher = app.watch().await;

    app.start_nats().await;

    app.until_ready().await;
    app.cancel(&id).await.expect(200);
    watcher.until_kind(&id, "cancelled").await;
}

#[tokio::test]
async fn an_edge_without_nats_serves_all_of_a_jobs_life() {
    let app = TestApp::start().without_nats().await;
    let id = app.submit(job_of(1)).await;

    app.ask("PUT", &format!("/jobs/{id}"), json!({ "priority": 5 })).await.expect(200);
    assert_eq!(app.job(&id).await["priority"], 5);
    assert_eq!(app.get("/jobs").await.expect(200).json().as_array().unwrap().len(), 1);
    app.cancel(&id).await.expect(200);

    assert_eq!(app.kinds(&id).await, ["queued", "updated", "cancelled"]);
}

#[tokio::test]
async fn a_worker_starts_without_nats_and_works() {
    let mut app = TestApp::start().without_nats().var("POLL_INTERVAL", "1").await;
    let before = app.submit(job_of(1)).await;

    app.start_worker(&[]).await;
    app.until_state(&before, "completed").await;

    let after = app.submit(job_of(1)).await;
    app.until_state(&after, "completed").await;
}

#[tokio::test]
async fn a_worker_that_started_without_nats_hears_bells_once_it_is_there() {
    let mut app = TestApp::start().without_nats().without_sweep().workers(1).await;
    app.start_nats().await;
    app.until_ready().await;

    for _ in 0..5 {
        let id = app.submit(job_of(1)).await;
        app.until_state(&id, "completed").await;
    }
}

#[tokio::test]
async fn streams_that_somebody_deletes_come_back_without_touching_a_process() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;
    let jetstream = async_nats::jetstream::new(app.nats_client().await);
    for stream in ["WORK", "JOBS", "OUTPUT", "DEAD_LETTERS"] {
        jetstream.delete_stream(stream).await.unwrap();
    }

    let id = app.submit(job_of(1)).await;

    watcher.until_kind(&id, "completed").await;
    app.eventually("streams, consumer, and nothing owed", async || {
        let is_whole = app.streams().await.len() == 4 && app.consumers().await == 1;
        (is_whole && app.count("outbox").await == 0).then_some(())
    })
    .await;
}
