//! Jobs that workers die of: alone after two deaths, quarantined after three.

use serde_json::{Value, json};

use crate::harness::TestApp;

fn long(name: &str) -> Value {
    json!({ "name": name, "params": { "duration_ms": 60_000 } })
}

async fn until_attempt(app: &TestApp, id: &str, attempt: u32) {
    app.eventually(&format!("attempt {attempt} at {id}"), async || {
        let job = app.job(id).await;
        (job["attempt"] == attempt && job["state"] == "running").then_some(())
    })
    .await;
}

/// Has the job's first two workers die, each of them with this job alone.
async fn given_two_deaths(app: &mut TestApp, id: &str) {
    for attempt in 1..=2 {
        until_attempt(app, id, attempt).await;
        let worker = app.workers.len() - 1;
        app.start_worker(&[]).await;
        app.kill_worker(worker).await;
    }
}

#[tokio::test]
async fn after_two_deaths_a_job_runs_alone_and_the_others_go_on_afterwards() {
    let mut app = TestApp::start().workers(1).slots(4).await;
    app.given_ledger_past_its_start().await;
    let suspect = app.submit(long("suspect")).await;
    given_two_deaths(&mut app, &suspect).await;
    until_attempt(&app, &suspect, 3).await;

    let other = app.submit(json!({ "name": "other" })).await;
    let urgent = app.submit(json!({ "name": "urgent", "priority": 9 })).await;

    let alone = app.history(&suspect).await.pop().unwrap();
    assert_eq!(alone.details["alone"], true, "{alone:?}");
    // Three slots are free, and nothing is started in them.
    assert_eq!(app.state(&other).await, "queued");
    app.stop_job(&suspect).await;
    app.until_state(&suspect, "cancelled").await;
    for id in [other, urgent] {
        app.until_state(&id, "completed").await;
        assert!(app.time_of(&id, "running").await >= app.time_of(&suspect, "cancelled").await);
    }
}

#[tokio::test]
async fn a_third_death_quarantines_the_job_and_nobody_claims_it_again() {
    let mut app = TestApp::start().workers(1).slots(2).await;
    app.given_ledger_past_its_start().await;
    let deadly = app.submit(long("deadly")).await;
    given_two_deaths(&mut app, &deadly).await;
    until_attempt(&app, &deadly, 3).await;

    let worker = app.workers.len() - 1;
    app.start_worker(&[]).await;
    app.kill_worker(worker).await;

    let job = app.until_ended(&deadly).await;
    assert_eq!((&job["state"], &job["failures"]), (&json!("failed"), &json!(0)));
    assert_eq!(job["error"]["type"], "quarantined");
    let after = app.submit(json!({ "name": "life goes on" })).await;
    app.until_state(&after, "completed").await;
}
