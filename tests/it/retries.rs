//! Attempts that fail.

use serde_json::{Value, json};

use crate::harness::TestApp;

async fn run(params: Value, max_attempts: u32) -> (TestApp, String, Value) {
    let app = TestApp::start().workers(1).await;
    let id =
        app.submit(json!({ "name": "x", "params": params, "max_attempts": max_attempts })).await;
    let job = app.until_ended(&id).await;
    (app, id, job)
}

#[tokio::test]
async fn a_job_that_fails_twice_completes_on_the_third_attempt() {
    let (app, id, job) = run(json!({ "fail": 2 }), 3).await;

    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(3)));
    assert_eq!(
        app.kinds(&id).await,
        [
            "queued",
            "running",
            "scheduled",
            "queued",
            "running",
            "scheduled",
            "queued",
            "running",
            "completed"
        ]
    );
}

#[tokio::test]
async fn failures_are_counted() {
    let (_app, _, job) = run(json!({ "fail": 2 }), 3).await;

    assert_eq!(job["failures"], 2);
}

#[tokio::test]
async fn a_postponed_attempt_is_told_with_its_error_and_time() {
    let (app, id, _) = run(json!({ "fail": 1 }), 2).await;

    let history = app.history(&id).await;
    let scheduled = history.iter().find(|event| event.kind == "scheduled").unwrap();
    assert_eq!(scheduled.details["error"]["type"], "transient");
    assert!(scheduled.details["run_at"].is_string(), "{scheduled:?}");
}

#[tokio::test]
async fn a_job_without_an_attempt_left_has_failed() {
    let (_app, _, job) = run(json!({ "fail": "transient" }), 2).await;

    assert_eq!(
        (&job["state"], &job["attempt"], &job["failures"], &job["error"]["type"]),
        (&json!("failed"), &json!(2), &json!(2), &json!("transient"))
    );
}

#[tokio::test]
async fn a_permanent_failure_is_not_tried_again() {
    let (app, id, job) = run(json!({ "fail": "permanent" }), 5).await;

    assert_eq!((&job["state"], &job["error"]["type"]), (&json!("failed"), &json!("permanent")));
    assert_eq!(app.kinds(&id).await, ["queued", "running", "failed"]);
}

#[tokio::test]
async fn the_wait_before_an_attempt_grows() {
    let app = TestApp::start().workers(1).var("RETRY_BACKOFF", "0.4").await;
    let id = app.submit(json!({ "name": "x", "params": { "fail": 3 }, "max_attempts": 4 })).await;
    app.until_ended(&id).await;

    let history = app.history(&id).await;
    let waits: Vec<i64> = history
        .windows(2)
        .filter(|pair| pair[0].kind == "scheduled")
        .map(|pair| (pair[1].created_at - pair[0].created_at).num_milliseconds())
        .collect();
    // With jitter, each wait is at least half of what it is at most.
    assert!(waits.len() == 3 && waits[2] > waits[0] && waits[2] >= 700, "{waits:?}");
}

#[tokio::test]
async fn a_jobs_error_stays_to_be_seen_while_it_waits() {
    let app = TestApp::start().workers(1).var("RETRY_BACKOFF", "60").await;
    let id = app.submit(json!({ "name": "x", "params": { "fail": "transient" } })).await;

    let job = app.until_state(&id, "scheduled").await;

    assert_eq!((&job["error"]["type"], &job["failures"]), (&json!("transient"), &json!(1)));
}

#[tokio::test]
async fn chance_decides_where_the_configuration_says_so() {
    let app = TestApp::start().workers(1).var("SIMULATE_FAILURE_RATE", "1").await;
    let id = app.submit(json!({ "name": "x" })).await;

    let job = app.until_ended(&id).await;

    assert_eq!((&job["state"], &job["attempt"]), (&json!("failed"), &json!(1)));
}

#[tokio::test]
async fn a_job_that_the_worker_cannot_read_fails_and_holds_up_no_other() {
    let mut app = TestApp::start().await;
    app.given_lane("next").await;
    let job = |name: &str| json!({ "name": name, "lane": "next" });
    let foreign = app.submit(job("for a tool of a newer release")).await;
    let sound = app.submit(job("for a tool of this one")).await;
    app.sql(&format!("UPDATE jobs SET tool = 'unheard-of' WHERE id = '{foreign}'")).await;

    app.start_worker(&[("LANES", "next"), ("GPU_COUNT", "2")]).await;

    app.until_ended(&sound).await;
    app.eventually("the other has failed", async || {
        (app.kinds(&foreign).await == ["queued", "running", "failed"]).then_some(())
    })
    .await;
    let error = app.history(&foreign).await.pop().unwrap().details["error"].clone();
    assert_eq!(error["type"], "permanent");
    assert!(error["message"].as_str().unwrap().contains("unheard-of"), "{error}");
}
