//! What moves a concurrency key on.

use chrono::TimeDelta;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    LONG, UNSERVED, assert_in_time, assert_starts, idle, job_of, put, start_after, unswept, with,
};
use crate::harness::{Body, PATIENCE, now};

#[tokio::test]
async fn an_update_that_gives_a_job_the_turn_of_its_key() {
    let app = idle(unswept()).await;
    app.given_lane(UNSERVED).await;
    app.submit(with(job_of(1), json!({ "lane": UNSERVED, "concurrency_key": "k" }))).await;
    let id = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    put(&app, &id, json!({ "priority": 5 })).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn an_update_that_puts_off_the_holder_of_a_key() {
    let app = idle(unswept()).await;
    app.given_lane(UNSERVED).await;
    let holder =
        app.submit(with(job_of(1), json!({ "lane": UNSERVED, "concurrency_key": "k" }))).await;
    let id = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    put(&app, &holder, json!({ "run_at": "2099-01-01T00:00:00Z" })).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn accepting_a_better_job_of_a_key() {
    let app = idle(unswept()).await;
    app.given_lane(UNSERVED).await;
    app.submit(with(job_of(1), json!({ "lane": UNSERVED, "concurrency_key": "k" }))).await;

    let id = app.submit(with(job_of(1), json!({ "concurrency_key": "k", "priority": 5 }))).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn the_end_of_the_holder_of_a_key() {
    let app = idle(unswept().slots(2)).await;
    let first = app.submit(with(job_of(300), json!({ "concurrency_key": "k" }))).await;
    app.until_state(&first, "running").await;

    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    app.until_ended(&second).await;
    let late = start_after(&app, &second, app.time_of(&first, "completed").await).await;
    assert_in_time(late);
}

#[tokio::test]
async fn the_end_of_the_holder_of_a_key_at_another_worker() {
    let mut app = idle(unswept().slots(1)).await;
    app.start_worker(&[("LANES", "other")]).await;
    let first = app.submit(with(job_of(300), json!({ "concurrency_key": "k" }))).await;
    app.until_state(&first, "running").await;

    let second =
        app.submit(with(job_of(1), json!({ "lane": "other", "concurrency_key": "k" }))).await;

    app.until_ended(&second).await;
    let late = start_after(&app, &second, app.time_of(&first, "completed").await).await;
    assert_in_time(late);
}

#[tokio::test]
async fn the_postponement_of_the_holder_of_a_key() {
    let app = idle(unswept().slots(2).var("RETRY_BACKOFF", "60")).await;
    let failing = json!({
        "name": "x", "concurrency_key": "k", "params": { "duration_ms": 300, "fail": "transient" },
    });
    let first = app.submit(failing).await;
    app.until_state(&first, "running").await;

    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    app.until_state(&first, "scheduled").await;
    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn the_cancellation_of_a_running_holder_of_a_key() {
    let app = idle(unswept().slots(2)).await;
    let first = app.submit(with(job_of(LONG), json!({ "concurrency_key": "k" }))).await;
    app.until_state(&first, "running").await;
    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    app.stop_job(&first).await;

    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn the_cancellation_of_a_waiting_holder_of_a_key() {
    let app = idle(unswept()).await;
    app.given_lane(UNSERVED).await;
    let first =
        app.submit(with(job_of(1), json!({ "lane": UNSERVED, "concurrency_key": "k" }))).await;
    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    app.cancel(&first).await.expect(200);

    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn the_removal_of_the_holder_of_a_key() {
    let app = idle(unswept()).await;
    app.given_lane(UNSERVED).await;
    let first =
        app.submit(with(job_of(1), json!({ "lane": UNSERVED, "concurrency_key": "k" }))).await;
    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    app.ask("DELETE", &format!("/jobs/{first}"), Body::None).await.expect(204);

    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn the_loss_of_the_worker_of_a_cancelled_holder_of_a_key() {
    // Without room, so that it waits for no bell that it could not answer.
    let mut app = idle(unswept().slots(1)).await;
    app.given_ledger_past_its_start().await;
    let first = app.submit(with(job_of(LONG), json!({ "concurrency_key": "k" }))).await;
    app.until_state(&first, "running").await;
    // It cannot hear that the job is to end, nor end it.
    app.workers[0].process.freeze();
    app.stop_job(&first).await;
    app.start_worker(&[]).await;
    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    app.until_state(&first, "cancelled").await;

    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn the_loss_of_the_worker_of_a_beaten_holder_of_a_key() {
    let mut app = idle(unswept()).await;
    app.given_ledger_past_its_start().await;
    let first = app.submit(with(job_of(LONG), json!({ "concurrency_key": "k" }))).await;
    app.until_state(&first, "running").await;
    let better =
        app.submit(with(job_of(1), json!({ "concurrency_key": "k", "priority": 5 }))).await;
    app.start_worker(&[]).await;

    app.kill_worker(0).await;

    app.until_state(&better, "completed").await;
    app.until_state(&first, "running").await;
}

#[tokio::test]
async fn a_raised_limit_of_a_key() {
    let app = idle(unswept()).await;
    let limit = async |limit: u32| {
        app.ask("PUT", "/concurrency-keys/model", json!({ "limit": limit })).await.expect(200)
    };
    limit(0).await;
    let id = app.submit(with(job_of(1), json!({ "concurrency_key": "model" }))).await;

    limit(1).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn a_deadline_that_frees_a_key() {
    let app = idle(unswept()).await;
    let held = with(
        job_of(1),
        json!({
            "lane": "default",
            "concurrency_key": "model",
            "start_by": (now() + TimeDelta::milliseconds(1500)).to_rfc3339(),
        }),
    );
    app.given_lane(UNSERVED).await;
    let first = app.submit(with(held, json!({ "lane": UNSERVED }))).await;
    let behind = app.submit(with(job_of(1), json!({ "concurrency_key": "model" }))).await;

    app.until_state(&first, "failed").await;

    assert_starts(&app, &behind).await;
}

#[tokio::test]
async fn the_end_of_the_holder_of_a_sequential_key() {
    let app = idle(unswept().slots(2)).await;
    app.ask("PUT", "/concurrency-keys/k", json!({ "sequential": true })).await.expect(200);
    let flaky = json!({ "name": "x", "params": { "fail": 1 }, "concurrency_key": "k" });
    let first = app.submit(with(flaky, json!({ "retry": { "backoff": 0.1 } }))).await;

    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    app.until_ended(&second).await;
    let late = start_after(&app, &second, app.time_of(&first, "completed").await).await;
    assert_in_time(late);
}

#[tokio::test]
async fn a_key_that_is_sequential_no_more() {
    let app = idle(unswept()).await;
    let limit = async |limit: Value| {
        app.ask("PUT", "/concurrency-keys/k", limit).await.expect(200);
    };
    limit(json!({ "sequential": true })).await;
    let flaky = json!({ "name": "x", "params": { "fail": 1 }, "concurrency_key": "k" });
    let first = app.submit(with(flaky, json!({ "retry": { "backoff": 60 } }))).await;
    app.until_state(&first, "scheduled").await;
    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;

    limit(json!({ "limit": 1 })).await;

    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn a_due_time_of_a_job_with_a_key() {
    let app = idle(unswept()).await;
    let due = now() + TimeDelta::milliseconds(1000);
    let keyed = json!({ "concurrency_key": "k", "run_at": due.to_rfc3339() });

    let id = app.submit(with(job_of(1), keyed)).await;

    app.until_ended(&id).await;
    assert_in_time(start_after(&app, &id, due).await);
}

#[tokio::test]
async fn an_update_that_makes_the_holder_of_a_key_less_urgent() {
    let app = idle(unswept()).await;
    app.given_lane(UNSERVED).await;
    let holder = json!({ "lane": UNSERVED, "concurrency_key": "k", "priority": 5 });
    let holder = app.submit(with(job_of(1), holder)).await;
    let id = app.submit(with(job_of(1), json!({ "concurrency_key": "k", "priority": 3 }))).await;

    put(&app, &holder, json!({ "priority": 0 })).await;

    assert_starts(&app, &id).await;
}

#[tokio::test]
async fn the_quarantine_of_the_holder_of_a_key() {
    let mut app = idle(unswept().slots(1)).await;
    app.given_ledger_past_its_start().await;
    let first = app.submit(with(job_of(LONG), json!({ "concurrency_key": "k" }))).await;
    app.until_state(&first, "running").await;
    app.sql(&format!("UPDATE jobs SET deaths = 2 WHERE id = '{first}'")).await;
    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;
    app.start_worker(&[]).await;

    app.kill_worker(0).await;

    app.until_state(&first, "failed").await;
    assert_starts(&app, &second).await;
}

#[tokio::test]
async fn the_drain_of_the_worker_of_a_beaten_holder_of_a_key() {
    // With room for more, it listens to bells.
    let mut app = idle(unswept().slots(4).var("DRAIN_GRACE", "0.1")).await;
    let first = app.submit(with(job_of(LONG), json!({ "concurrency_key": "k" }))).await;
    app.until_state(&first, "running").await;
    let better =
        app.submit(with(job_of(1), json!({ "concurrency_key": "k", "priority": 5 }))).await;
    app.start_worker(&[]).await;

    app.workers[0].process.signal(Signal::TERM);
    app.workers[0].process.end_within(PATIENCE).await;

    assert_starts(&app, &better).await;
}

#[tokio::test]
async fn a_redriven_dead_letter_with_a_key() {
    let app = idle(unswept()).await;
    let job = json!({
        "name": "x", "params": { "fail": 1 }, "max_attempts": 1, "concurrency_key": "k",
    });
    let id = app.submit(job).await;
    app.until_state(&id, "failed").await;

    app.ask("POST", &format!("/jobs/{id}/redrive"), Body::None).await.expect(200);

    app.until_state(&id, "completed").await;
}

#[tokio::test]
async fn the_refusal_of_a_holder_of_a_key_that_cannot_be_read() {
    let app = idle(unswept()).await;
    app.ask("POST", "/lanes/default/pause", Body::None).await.expect(200);
    let first = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;
    let second = app.submit(with(job_of(1), json!({ "concurrency_key": "k" }))).await;
    app.sql(&format!("UPDATE jobs SET tool = 'unheard-of' WHERE id = '{first}'")).await;

    app.ask("POST", "/lanes/default/resume", Body::None).await.expect(200);

    assert_starts(&app, &second).await;
}
