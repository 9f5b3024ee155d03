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

/// A worker of two slots that runs one job, and makes room for another which is
/// to run alone: their ids.
async fn given_room_is_made(app: &TestApp) -> (String, String) {
    let long = app.submit(long("long")).await;
    until_attempt(app, &long, 1).await;
    let later = json!({ "name": "suspect", "run_at": "2099-01-01T00:00:00Z" });
    let suspect = app.submit(later).await;
    app.sql(&format!("UPDATE jobs SET deaths = 2 WHERE id = '{suspect}'")).await;
    let now = json!({
        "name": "suspect",
        "params": { "duration_ms": 60_000 },
        "run_at": "2020-01-01T00:00:00Z",
    });
    app.ask("PUT", &format!("/jobs/{suspect}"), now).await.expect(200);
    app.eventually("room is made", async || {
        let reserved: bool =
            sqlx::query_scalar("SELECT isolated_for IS NOT NULL FROM jobs WHERE id = $1::uuid")
                .bind(&suspect)
                .fetch_one(&app.ledger)
                .await
                .unwrap();
        reserved.then_some(())
    })
    .await;
    (long, suspect)
}

#[tokio::test]
async fn a_slot_kept_for_a_job_that_was_cancelled_is_filled_again() {
    let app = TestApp::start().without_sweep().workers(1).slots(2).await;
    let (long, suspect) = given_room_is_made(&app).await;
    let other = app.submit(json!({ "name": "other" })).await;

    app.cancel(&suspect).await.expect(200);

    app.until_state(&other, "completed").await;
    assert_eq!(app.state(&long).await, "running");
}

#[tokio::test]
async fn a_slot_kept_for_a_job_that_another_worker_runs_is_filled_again() {
    let mut app = TestApp::start().without_sweep().workers(1).slots(2).await;
    let (long, suspect) = given_room_is_made(&app).await;
    let other = app.submit(json!({ "name": "other" })).await;

    app.start_worker(&[]).await;

    until_attempt(&app, &suspect, 1).await;
    app.until_state(&other, "completed").await;
    for id in [long, suspect] {
        assert_eq!(app.state(&id).await, "running");
    }
}

#[tokio::test]
async fn a_worker_takes_over_what_another_makes_room_for_as_soon_as_it_runs_nothing() {
    let mut app = TestApp::start().without_sweep().workers(1).slots(2).await;
    let (_, suspect) = given_room_is_made(&app).await;
    let other = app.submit(long("other")).await;
    app.start_worker(&[]).await;
    app.until_state(&other, "running").await;
    assert_eq!(app.state(&suspect).await, "queued");

    app.stop_job(&other).await;

    until_attempt(&app, &suspect, 1).await;
}

#[tokio::test]
async fn it_takes_over_too_if_its_last_attempt_ended_while_it_was_claiming() {
    let mut app = TestApp::start().without_sweep().workers(1).slots(2).await;
    let (_, suspect) = given_room_is_made(&app).await;
    let other = app.submit(long("other")).await;
    app.start_worker(&[]).await;
    app.until_state(&other, "running").await;
    app.eventually("every bell is answered", async || {
        let streams = app.streams().await;
        (streams["WORK"]["state"]["messages"] == 0).then_some(())
    })
    .await;
    // Claims of a lane whose starts are limited take turns.
    let rate = json!({ "rate": { "per_second": 1000, "burst": 1000 } });
    app.ask("PATCH", "/lanes/default", rate).await.expect(200);
    let mut turn = app.ledger.begin().await.unwrap();
    sqlx::query("SELECT FROM lane_buckets FOR UPDATE").execute(&mut *turn).await.unwrap();
    let third = app.submit(json!({ "name": "third" })).await;
    app.until_blocked(1).await;
    app.cancel(&third).await.expect(200);

    app.stop_job(&other).await;
    app.until_state(&other, "cancelled").await;
    turn.rollback().await.unwrap();

    until_attempt(&app, &suspect, 1).await;
}
