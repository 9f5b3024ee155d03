//! Attempts that take too long.

use serde_json::{Value, json};

use crate::harness::TestApp;

async fn given_slow_job(max_attempts: u32) -> (TestApp, String) {
    let app = TestApp::start().workers(1).await;
    let id = app
        .submit(json!({
            "name": "slow",
            "params": { "duration_ms": 60_000 },
            "timeout": 0.2,
            "max_attempts": max_attempts,
        }))
        .await;
    (app, id)
}

#[tokio::test]
async fn an_attempt_is_stopped_when_its_time_is_over() {
    let (app, id) = given_slow_job(1).await;

    let job = app.until_ended(&id).await;

    assert_eq!((&job["state"], &job["error"]["type"]), (&json!("failed"), &json!("timeout")));
    let took = app.time_of(&id, "failed").await - app.time_of(&id, "running").await;
    assert!((200..3_000).contains(&took.num_milliseconds()), "{took}");
}

#[tokio::test]
async fn it_is_tried_again_until_no_attempt_is_left() {
    let (app, id) = given_slow_job(3).await;

    let job = app.until_ended(&id).await;

    assert_eq!((&job["attempt"], &job["failures"]), (&json!(3), &json!(3)));
    let errors: Vec<Value> = app
        .history(&id)
        .await
        .into_iter()
        .filter(|event| ["scheduled", "failed"].contains(&event.kind.as_str()))
        .map(|event| event.details["error"]["type"].clone())
        .collect();
    assert_eq!(errors, ["timeout", "timeout", "timeout"]);
}

#[tokio::test]
async fn a_job_that_is_quick_enough_does_not_notice() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "quick", "timeout": 30 })).await;

    assert_eq!(app.until_ended(&id).await["state"], "completed");
}

#[tokio::test]
async fn the_slot_of_a_stopped_attempt_is_free_again() {
    let app = TestApp::start().workers(1).slots(1).without_sweep().await;
    let slow = app
        .submit(json!({
            "name": "slow", "params": { "duration_ms": 60_000 }, "timeout": 0.2, "max_attempts": 1,
        }))
        .await;

    let next = app.submit(json!({ "name": "next" })).await;

    app.until_state(&next, "completed").await;
    assert_eq!(app.state(&slow).await, "failed");
}
