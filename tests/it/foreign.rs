//! Messages on our subjects that are none of ours.

use serde_json::json;

use crate::harness::TestApp;

#[tokio::test]
async fn watchers_stay_connected_and_get_the_next_good_event() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;
    let nats = app.nats_client().await;

    for (subject, payload) in [
        ("jobs.x.running", &b"not json"[..]),
        ("jobs.x.running", b""),
        ("jobs.x.running", b"\xff\xfe"),
        ("jobs.x.running", b"{}"),
        ("jobs.00000000-0000-4000-8000-000000000000.running", b"{\"job_id\":1}"),
    ] {
        nats.publish(subject, payload.into()).await.unwrap();
    }
    nats.flush().await.unwrap();
    let id = app.submit(json!({ "name": "good" })).await;

    watcher.until_kind(&id, "queued").await;
    assert_eq!(watcher.events().len(), 1);
}

#[tokio::test]
async fn a_forged_event_of_no_known_tenant_reaches_nobody() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;
    let nats = app.nats_client().await;
    let id = app.submit(json!({ "name": "good" })).await;

    let forged = json!({
        "job_id": id, "seq": 2, "kind": "completed", "state": "completed", "attempt": 1,
        "timestamp": "2026-01-01T00:00:00Z", "lane": "default",
    });
    nats.publish(format!("jobs.{id}.completed"), forged.to_string().into()).await.unwrap();
    nats.flush().await.unwrap();
    app.cancel(&id).await.expect(200);

    watcher.until_kind(&id, "cancelled").await;
    assert_eq!(watcher.events_of(&id).len(), 2);
}

#[tokio::test]
async fn they_are_counted() {
    let app = TestApp::start().await;
    let nats = app.nats_client().await;

    nats.publish("jobs.x.running", "not json".into()).await.unwrap();

    app.eventually("the message is counted", async || {
        let metrics = app.get("/metrics").await.text;
        metrics.contains("jetlane_foreign_messages_total 1").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_doorbell_that_is_none_of_ours_only_makes_a_worker_look() {
    let app = TestApp::start().workers(1).await;
    let nats = app.nats_client().await;

    for payload in ["not json", "", "{}"] {
        nats.publish("work.default", payload.into()).await.unwrap();
    }
    nats.flush().await.unwrap();
    let id = app.submit(json!({ "name": "x" })).await;

    app.until_state(&id, "completed").await;
}
