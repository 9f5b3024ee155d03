//! What gives a job that is to run alone to a worker, and lets the others go on.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{LONG, assert_starts, idle, job_of, put, unswept, with};
use crate::harness::{Body, TestApp};

/// The second death leaves it to a worker alone: one that is busy makes room,
/// runs it, and goes on with the others.
#[tokio::test]
async fn a_second_death_and_the_end_of_the_job_that_ran_alone() {
    let mut app = idle(unswept().slots(1)).await;
    app.given_ledger_past_its_start().await;
    let suspect = app.submit(job_of(LONG)).await;
    app.until_state(&suspect, "running").await;
    app.sql(&format!("UPDATE jobs SET deaths = 1 WHERE id = '{suspect}'")).await;
    app.start_worker(&[]).await;

    app.kill_worker(0).await;

    app.within(Duration::from_secs(6), "a second attempt", async || {
        (app.job(&suspect).await["attempt"] == 2).then_some(())
    })
    .await;
    let next = app.submit(job_of(1)).await;
    app.stop_job(&suspect).await;
    assert_starts(&app, &next).await;
}

/// The worker that makes room for the job.
async fn reserved_by(app: &TestApp, id: &str) -> Option<String> {
    sqlx::query_scalar("SELECT isolated_for::text FROM jobs WHERE id = $1::uuid")
        .bind(id)
        .fetch_one(&app.ledger)
        .await
        .unwrap()
}

/// A job of the default lane of whom two workers have died.
async fn submit_suspect(app: &TestApp) -> String {
    let later = json!({ "name": "suspect", "run_at": "2099-01-01T00:00:00Z" });
    let id = app.submit(later).await;
    app.sql(&format!("UPDATE jobs SET deaths = 2 WHERE id = '{id}'")).await;
    let due = json!({
        "name": "suspect",
        "params": { "duration_ms": LONG },
        "run_at": "2020-01-01T00:00:00Z",
    });
    put(app, &id, due).await;
    id
}

/// Two workers of two slots that each run a job of a lane of its own.
struct Busy {
    app: TestApp,
    /// A job that is to run alone.
    suspect: String,
    /// The worker that makes room for it, and the other one.
    places: [usize; 2],
    /// What each of the two runs, in that order.
    jobs: [String; 2],
}

async fn given_room_is_made() -> Busy {
    let mut app = idle(unswept().slots(2).var("LANES", "default,one")).await;
    app.start_worker(&[("LANES", "default,two")]).await;
    app.given_ledger_past_its_start().await;
    let mut jobs = Vec::new();
    for lane in ["one", "two"] {
        app.given_lane(lane).await;
        let id = app.submit(with(job_of(LONG), json!({ "lane": lane }))).await;
        app.until_state(&id, "running").await;
        jobs.push(id);
    }
    let suspect = submit_suspect(&app).await;
    let place = app
        .eventually("room is made", async || {
            let worker = reserved_by(&app, &suspect).await?;
            (0..2).find(|place| app.workers[*place].process.told("worker") == Some(worker.clone()))
        })
        .await;
    let places = [place, 1 - place];
    let jobs = places.map(|place| jobs[place].clone());
    Busy { app, suspect, places, jobs }
}

async fn until_attempt(app: &TestApp, id: &str, attempt: u32) -> Value {
    app.eventually(&format!("attempt {attempt} at {id}"), async || {
        let job = app.job(id).await;
        (job["attempt"] == attempt && job["state"] == "running").then_some(job)
    })
    .await
}

#[tokio::test]
async fn room_that_is_made_at_last() {
    let Busy { app, suspect, jobs, .. } = given_room_is_made().await;

    app.stop_job(&jobs[0]).await;

    assert_starts(&app, &suspect).await;
}

/// It drains for as long as its attempt lasts, and lives.
#[tokio::test]
async fn the_drain_of_the_worker_that_makes_room() {
    let Busy { app, suspect, places: [first, other], jobs } = given_room_is_made().await;

    app.workers[first].process.signal(Signal::TERM);

    let other = app.workers[other].process.told("worker");
    app.within(Duration::from_secs(2), "the other one makes room", async || {
        (reserved_by(&app, &suspect).await == other).then_some(())
    })
    .await;
    assert_eq!(app.state(&jobs[0]).await, "running");
    app.stop_job(&jobs[1]).await;
    let job = until_attempt(&app, &suspect, 1).await;
    assert_eq!(job["worker"].as_str(), other.as_deref());
}

/// What it ran is of a lane that the other one does not serve.
#[tokio::test]
async fn the_loss_of_the_worker_that_makes_room() {
    let Busy { app, suspect, places: [first, other], .. } = given_room_is_made().await;

    app.kill_worker(first).await;

    let other = app.workers[other].process.told("worker");
    app.within(Duration::from_secs(6), "the other one makes room", async || {
        (reserved_by(&app, &suspect).await == other).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_lane_that_was_paused_while_a_worker_made_room() {
    let Busy { app, suspect, .. } = given_room_is_made().await;
    let nobody = Some(uuid::Uuid::nil().to_string());
    app.ask("POST", "/lanes/default/pause", Body::None).await.expect(200);
    app.within(Duration::from_secs(2), "nobody makes room", async || {
        (reserved_by(&app, &suspect).await == nobody).then_some(())
    })
    .await;

    app.ask("POST", "/lanes/default/resume", Body::None).await.expect(200);

    app.within(Duration::from_secs(2), "somebody makes room", async || {
        (reserved_by(&app, &suspect).await != nobody).then_some(())
    })
    .await;
}

/// The lane's rate lets one job start every two seconds: the one that runs
/// alone takes its turn, and another worker the next.
#[tokio::test]
async fn a_rate_that_allows_a_job_to_run_alone_and_another_meanwhile() {
    let mut app = idle(unswept().slots(2)).await;
    let rate = json!({ "rate": { "per_second": 0.5, "burst": 1 } });
    app.ask("PATCH", "/lanes/default", rate).await.expect(200);
    let first = app.submit(job_of(1)).await;
    app.until_state(&first, "completed").await;

    app.start_worker(&[]).await;
    let suspect = submit_suspect(&app).await;
    let other = app.submit(job_of(1)).await;
    until_attempt(&app, &suspect, 1).await;

    app.within(Duration::from_secs(5), "the other one runs", async || {
        (app.state(&other).await == "completed").then_some(())
    })
    .await;
}
