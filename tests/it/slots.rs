//! A worker without room.

use std::time::Duration;

use serde_json::json;

use crate::harness::TestApp;

/// Long enough for a sweep and a bell to have been of no use.
const A_WHILE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn without_a_slot_nothing_is_claimed_and_nothing_is_told() {
    let app = TestApp::start().workers(1).slots(0).var("POLL_INTERVAL", "0.2").await;
    let watcher = app.watch().await;

    let id = app.submit(json!({ "name": "x" })).await;
    tokio::time::sleep(A_WHILE).await;

    assert_eq!(app.state(&id).await, "queued");
    assert_eq!(app.kinds(&id).await, ["queued"]);
    assert_eq!(watcher.events().len(), 1);
}

#[tokio::test]
async fn without_a_slot_it_keeps_no_bell_from_another_worker() {
    let mut app = TestApp::start().workers(1).slots(0).without_sweep().await;
    app.start_worker(&[("GPU_COUNT", "1")]).await;

    for n in 0..10 {
        let id = app.submit(json!({ "name": format!("{n}") })).await;
        app.until_state(&id, "completed").await;
    }
}

#[tokio::test]
async fn a_full_worker_keeps_no_bell_from_another() {
    let app = TestApp::start().workers(2).slots(1).without_sweep().await;
    let busy = app.submit(json!({ "name": "busy", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&busy, "running").await;

    for n in 0..10 {
        let id = app.submit(json!({ "name": format!("{n}") })).await;
        app.until_state(&id, "completed").await;
    }
}

#[tokio::test]
async fn without_real_or_simulated_gpus_there_is_no_slot() {
    let mut app = TestApp::start().await;
    app.start_worker(&[("GPU_SIMULATION", "false")]).await;

    let slots: i32 = app
        .eventually("the worker is entered", async || {
            let slots = sqlx::query_scalar("SELECT slots FROM workers");
            slots.fetch_optional(&app.ledger).await.unwrap()
        })
        .await;
    assert_eq!(slots, 0);
}
