//! Workers that die while nobody looks: the others are told that they were busy.

use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use super::{LONG, idle, job_of, unswept, with};
use crate::harness::{PROMPT, TestApp};

#[tokio::test]
async fn the_loss_of_a_worker() {
    let mut app = idle(unswept()).await;
    app.given_ledger_past_its_start().await;
    let id = app.submit(job_of(LONG)).await;
    app.until_state(&id, "running").await;
    app.start_worker(&[]).await;

    app.kill_worker(0).await;

    app.within(Duration::from_secs(6), "a second attempt", async || {
        (app.job(&id).await["attempt"] == 2).then_some(())
    })
    .await;
}

async fn beats(app: &TestApp) -> Subscriber {
    let nats = app.nats_client().await;
    let beats = nats.subscribe("workers.*.beat").await.unwrap();
    nats.flush().await.unwrap();
    beats
}

/// It told that it holds something before there was anyone to hear it, and again
/// so soon that it had no reason to repeat it.
#[tokio::test]
async fn the_loss_of_a_worker_that_was_busy_before_the_other_one_came() {
    let mut app = unswept().await;
    app.given_ledger_past_its_start().await;
    app.given_lane("one").await;
    let job = with(job_of(LONG), json!({ "lane": "one" }));
    app.start_worker(&[("LANES", "one")]).await;
    let mut beats = beats(&app).await;
    let first = app.submit(job.clone()).await;
    beats.next().await.unwrap();
    app.stop_job(&first).await;
    app.until_ended(&first).await;
    app.start_worker(&[]).await;
    let id = app.submit(job).await;
    app.until_state(&id, "running").await;

    app.kill_worker(0).await;

    app.within(Duration::from_secs(6), "the job waits again", async || {
        (app.state(&id).await == "queued").then_some(())
    })
    .await;
}

/// Its connection for renewals takes a moment to open, of which it may die.
#[tokio::test]
async fn the_first_claim_of_a_worker_whose_heartbeat_is_late() {
    let app = unswept().workers(1).await;
    let mut beats = beats(&app).await;
    let mut heartbeats = app.ledger.begin().await.unwrap();
    sqlx::query("SELECT FROM workers FOR UPDATE").execute(&mut *heartbeats).await.unwrap();

    app.submit(job_of(LONG)).await;

    timeout(PROMPT, beats.next()).await.expect("a sign of life").unwrap();
    heartbeats.rollback().await.unwrap();
}
