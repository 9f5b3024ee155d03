//! With the sweep switched off everywhere, whatever makes a job claimable
//! starts it at once. One test for each reason.

mod isolated;
mod keys;
mod losses;
mod rates;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Body, PATIENCE, PROMPT, Setup, TestApp, now};

/// How late a job may start that is due at a certain time. Promised are
/// 100 ms; a machine that runs other tests gets some more.
const LATE: TimeDelta = TimeDelta::milliseconds(600);

const LONG: u32 = 60_000;

/// A system that finds nothing by looking again.
fn unswept() -> Setup {
    TestApp::start().without_sweep()
}

/// The same, whose worker has looked at everything and waits to be told.
async fn idle(setup: Setup) -> TestApp {
    let app = setup.workers(1).await;
    let id = app.submit(job_of(1)).await;
    app.until_state(&id, "completed").await;
    app
}

fn job_of(duration_ms: u32) -> Value {
    json!({ "name": "x", "params": { "duration_ms": duration_ms } })
}

fn with(mut job: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("an object is needed") };
    job.as_object_mut().unwrap().extend(more);
    job
}

/// `lane` has no worker, so a job there takes its key's turn and keeps it.
const UNSERVED: &str = "unserved";

async fn put(app: &TestApp, id: &str, change: Value) {
    app.ask("PUT", &format!("/jobs/{id}"), change).await.expect(200);
}

/// Waits until the job has been started at all, a moment at most.
async fn assert_starts(app: &TestApp, id: &str) {
    app.within(PROMPT, &format!("job {id} starts"), async || {
        (app.job(id).await["attempt"] != 0).then_some(())
    })
    .await;
}

/// How long after `reason` the job was started, by the ledger's clock.
async fn start_after(app: &TestApp, id: &str, reason: DateTime<Utc>) -> TimeDelta {
    app.time_of(id, "running").await - reason
}

#[track_caller]
fn assert_in_time(late: TimeDelta) {
    assert!(late >= TimeDelta::zero() && late < LATE, "{late}");
}

#[tokio::test]
async fn accepting_a_job() {
    let app = idle(unswept()).await;

    let id = app.submit(job_of(1)).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn accepting_jobs_while_the_worker_is_looking() {
    let app = idle(unswept().slots(2)).await;

    app.submit_each(0..100, |_| job_of(1)).await;

    app.eventually("all of them have run", async || {
        let left = app.get("/jobs?state=queued").await.expect(200).json();
        (left == json!([])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn accepting_a_job_in_the_second_lane_of_a_worker() {
    let app = idle(unswept().var("LANES", "default,second")).await;

    let id = app.submit(with(job_of(1), json!({ "lane": "second" }))).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn jobs_that_were_there_before_the_worker() {
    let mut app = unswept().await;
    let id = app.submit(job_of(1)).await;

    app.start_worker(&[]).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn a_due_time() {
    let app = idle(unswept()).await;
    let due = now() + TimeDelta::milliseconds(1500);

    let id = app.submit(with(job_of(1), json!({ "run_at": due.to_rfc3339() }))).await;

    app.until_ended(&id).await;
    let late = start_after(&app, &id, due).await;
    assert_in_time(late);
}

#[tokio::test]
async fn a_due_time_that_came_before_the_worker() {
    let mut app = unswept().await;
    let due = now() + TimeDelta::milliseconds(100);
    let id = app.submit(with(job_of(1), json!({ "run_at": due.to_rfc3339() }))).await;
    app.eventually("it is due", async || (now() > due).then_some(())).await;

    app.start_worker(&[]).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn a_due_time_earlier_than_the_one_waited_for() {
    let app = idle(unswept()).await;
    let far = now() + TimeDelta::hours(1);
    app.submit(with(job_of(1), json!({ "run_at": far.to_rfc3339() }))).await;
    let due = now() + TimeDelta::milliseconds(1000);

    let id = app.submit(with(job_of(1), json!({ "run_at": due.to_rfc3339() }))).await;

    app.until_ended(&id).await;
    let late = start_after(&app, &id, due).await;
    assert_in_time(late);
}

#[tokio::test]
async fn the_end_of_a_backoff() {
    let app = idle(unswept().var("RETRY_BACKOFF", "0.3")).await;

    let id = app.submit(json!({ "name": "x", "params": { "fail": 1 } })).await;

    app.until_ended(&id).await;
    let history = app.history(&id).await;
    let scheduled = history.iter().find(|event| event.kind == "scheduled").unwrap();
    let due = scheduled.details["run_at"].as_str().unwrap();
    let due = DateTime::parse_from_rfc3339(due).unwrap().to_utc();
    let late = start_after(&app, &id, due).await;
    assert_in_time(late);
}

#[tokio::test]
async fn a_release_by_a_worker_that_drains() {
    let mut app = idle(unswept().slots(1).var("DRAIN_GRACE", "0.1")).await;
    let id = app.submit(job_of(LONG)).await;
    app.until_state(&id, "running").await;
    app.start_worker(&[]).await;

    app.workers[0].process.signal(Signal::TERM);
    app.workers[0].process.end_within(PATIENCE).await;

    app.within(PROMPT, "a second attempt", async || {
        (app.job(&id).await["attempt"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn jobs_waiting_behind_a_worker_that_drains() {
    let mut app = idle(unswept().slots(1)).await;
    let running = app.submit(job_of(LONG)).await;
    app.until_state(&running, "running").await;
    let waiting = app.submit(job_of(1)).await;

    app.workers[0].process.signal(Signal::TERM);
    app.start_worker(&[]).await;

    assert_starts(&app, &waiting).await;
}

#[tokio::test]
async fn an_update_that_makes_a_job_due() {
    let app = idle(unswept()).await;
    let id = app.submit(with(job_of(1), json!({ "run_at": "2099-01-01T00:00:00Z" }))).await;

    put(&app, &id, json!({ "run_at": now().to_rfc3339() })).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn an_update_that_brings_the_due_time_closer() {
    let app = idle(unswept()).await;
    let id = app.submit(with(job_of(1), json!({ "run_at": "2099-01-01T00:00:00Z" }))).await;
    let due = now() + TimeDelta::milliseconds(1000);

    put(&app, &id, json!({ "run_at": due.to_rfc3339() })).await;

    app.until_ended(&id).await;
    let late = start_after(&app, &id, due).await;
    assert_in_time(late);
}

#[tokio::test]
async fn an_update_that_puts_a_waiting_job_off_for_a_moment() {
    let app = idle(unswept().slots(1)).await;
    let busy = app.submit(job_of(LONG)).await;
    app.until_state(&busy, "running").await;
    let id = app.submit(job_of(1)).await;
    let due = now() + TimeDelta::milliseconds(1000);

    put(&app, &id, json!({ "run_at": due.to_rfc3339() })).await;
    app.stop_job(&busy).await;

    app.until_ended(&id).await;
    let late = start_after(&app, &id, due).await;
    assert_in_time(late);
}

#[tokio::test]
async fn an_update_that_moves_a_job_to_a_served_lane() {
    let app = idle(unswept()).await;
    app.given_lane(UNSERVED).await;
    let id = app.submit(with(job_of(1), json!({ "lane": UNSERVED }))).await;

    put(&app, &id, json!({ "lane": "default" })).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn a_slot_that_becomes_free() {
    let app = idle(unswept().slots(1)).await;
    let first = app.submit(job_of(300)).await;

    let second = app.submit(job_of(1)).await;

    app.until_ended(&second).await;
    let late = start_after(&app, &second, app.time_of(&first, "completed").await).await;
    assert_in_time(late);
}

#[tokio::test]
async fn a_slot_that_a_cancellation_frees() {
    let app = idle(unswept().slots(1)).await;
    let first = app.submit(job_of(LONG)).await;
    app.until_state(&first, "running").await;
    let second = app.submit(job_of(1)).await;

    app.stop_job(&first).await;

    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn the_return_of_nats() {
    let mut app = idle(unswept()).await;
    app.stop_nats().await;
    let id = app.submit(job_of(1)).await;

    app.start_nats().await;

    app.until_state(&id, "completed").await;
}

#[tokio::test]
async fn the_return_of_nats_without_its_store() {
    let mut app = idle(unswept()).await;
    app.stop_nats().await;
    app.nats.wipe().await.unwrap();
    app.start_nats().await;
    app.until_ready().await;

    for _ in 0..5 {
        let id = app.submit(job_of(1)).await;
        app.until_state(&id, "completed").await;
    }
}

#[tokio::test]
async fn a_resumed_lane() {
    let app = idle(unswept()).await;
    app.ask("POST", "/lanes/default/pause", Body::None).await.expect(200);
    let id = app.submit(job_of(1)).await;

    app.ask("POST", "/lanes/default/resume", Body::None).await.expect(200);

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn a_redriven_dead_letter() {
    let app = idle(unswept()).await;
    let job = json!({ "name": "x", "params": { "fail": 1 }, "max_attempts": 1 });
    let id = app.submit(job).await;
    app.until_state(&id, "failed").await;

    app.ask("POST", &format!("/jobs/{id}/redrive"), Body::None).await.expect(200);

    app.until_state(&id, "completed").await;
}

#[tokio::test]
async fn a_job_of_another_tenant() {
    let app = idle(unswept()).await;
    let request = app.request("POST", "/jobs").header("x-jetlane-tenant", "other");

    app.send(request.json(&job_of(1))).await.expect(201);

    app.within(PROMPT, "both tenants' jobs have run", async || {
        let done = app.recorded().await.iter().filter(|e| e.kind == "completed").count();
        (done == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn accepting_a_batch() {
    let app = idle(unswept().slots(2)).await;

    let batch = json!({ "jobs": [job_of(1), job_of(1)] });
    let answer = app.ask("POST", "/jobs:batch", batch).await.expect(200).json();

    for result in answer["results"].as_array().unwrap() {
        assert_starts(&app, result["job"]["id"].as_str().unwrap()).await;
    }
}

#[tokio::test]
async fn a_slot_that_a_time_out_frees() {
    let app = idle(unswept().slots(1)).await;
    let stuck = json!({ "timeout": 0.3, "max_attempts": 1 });
    let first = app.submit(with(job_of(LONG), stuck)).await;
    let second = app.submit(job_of(1)).await;

    app.until_ended(&second).await;

    let late = start_after(&app, &second, app.time_of(&first, "failed").await).await;
    assert_in_time(late);
}

#[tokio::test]
async fn dead_letters_that_are_redriven_together() {
    let app = idle(unswept()).await;
    let job = json!({ "name": "x", "params": { "fail": 1 }, "max_attempts": 1 });
    let id = app.submit(job).await;
    app.until_state(&id, "failed").await;

    app.ask("POST", "/dead-letters:redrive", json!({})).await.expect(200);

    app.until_state(&id, "completed").await;
}
