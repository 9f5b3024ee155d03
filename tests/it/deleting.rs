//! `DELETE /jobs/{id}`: removing a job that does not run.

use serde_json::json;

use crate::harness::{Body, Reply, TestApp};

async fn delete(app: &TestApp, id: &str) -> Reply {
    app.ask("DELETE", &format!("/jobs/{id}"), Body::None).await
}

#[tokio::test]
async fn a_waiting_job_is_removed() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;

    let reply = delete(&app, &id).await.expect(204);

    assert_eq!(reply.text, "");
    app.get(&format!("/jobs/{id}")).await.expect(404);
}

#[tokio::test]
async fn a_job_is_removed_only_once() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;
    delete(&app, &id).await.expect(204);

    delete(&app, &id).await.expect(404).problem();
}

#[tokio::test]
async fn a_finished_job_is_removed() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.until_state(&id, "completed").await;

    delete(&app, &id).await.expect(204);

    app.get(&format!("/jobs/{id}")).await.expect(404);
}

#[tokio::test]
async fn a_running_job_is_not_removed() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&id, "running").await;

    let reply = delete(&app, &id).await.expect(409);

    assert_eq!(reply.problem()["type"], "/problems/conflict");
    assert_eq!(app.state(&id).await, "running");
}

#[tokio::test]
async fn watchers_are_told_of_a_removal() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;
    let id = app.submit(json!({ "name": "x" })).await;

    delete(&app, &id).await.expect(204);

    assert_eq!(watcher.until_kind(&id, "deleted").await.seq, 2);
}

#[tokio::test]
async fn a_removed_job_is_not_run() {
    let mut app = TestApp::start().await;
    let removed = app.submit(json!({ "name": "removed" })).await;
    delete(&app, &removed).await.expect(204);

    app.start_worker(&[]).await;
    let other = app.submit(json!({ "name": "other" })).await;
    app.until_state(&other, "completed").await;

    assert_eq!(app.kinds(&removed).await, ["queued", "deleted"]);
}

#[tokio::test]
async fn the_others_stay() {
    let app = TestApp::start().await;
    let ids = app.submit_each(0..3, |n| json!({ "name": format!("job {n}") })).await;

    delete(&app, &ids[1]).await.expect(204);

    let page = app.get("/jobs").await.expect(200).json();
    let left: Vec<_> = page.as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
    assert_eq!(left, [json!(ids[2]), json!(ids[0])]);
}
