//! What a server says of itself: what it is, that it lives, whether it serves.

use serde_json::json;

use crate::harness::{PROMPT, TestApp};

#[tokio::test]
async fn a_program_that_asks_what_this_is_gets_json() {
    let app = TestApp::start().await;

    let body = app.get("/").await.expect(200).json();

    assert_eq!(body["status"], "running");
    assert!(body["name"].is_string() && body["version"].is_string(), "{body}");
}

#[tokio::test]
async fn a_browser_that_asks_what_this_is_gets_a_page() {
    let app = TestApp::start().await;

    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let reply = app.send(app.request("GET", "/").header("accept", accept)).await.expect(200);

    assert!(reply.header("content-type").starts_with("text/html"), "{reply:?}");
}

#[tokio::test]
async fn a_living_edge_is_healthy() {
    let app = TestApp::start().await;

    assert_eq!(app.get("/health").await.expect(200).json()["status"], "healthy");
}

#[tokio::test]
async fn an_edge_with_all_it_needs_is_ready() {
    let app = TestApp::start().await;

    assert_eq!(app.get("/ready").await.expect(200).json(), json!({ "status": "ready" }));
}

#[tokio::test]
async fn a_worker_is_healthy_while_a_job_runs() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&id, "running").await;

    let url = format!("{}/health", app.workers[0].url);
    let reply = tokio::time::timeout(PROMPT, app.get_url(&url)).await.expect("an answer at once");

    assert_eq!(reply.expect(200).json()["status"], "healthy");
}

#[tokio::test]
async fn an_edge_without_its_ledger_is_alive_and_not_ready() {
    let unreachable = "postgresql://nobody@127.0.0.1:1/none";
    let mut app = TestApp::start().edges(0).await;
    let edge = app.start_edge(&[("DATABASE_URL", unreachable)]).await;
    assert_eq!(edge, 0);

    app.get("/health").await.expect(200);
    app.get("/ready").await.expect(503);
}

#[tokio::test]
async fn without_its_ledger_an_edge_asks_to_come_back_later() {
    let unreachable = "postgresql://nobody@127.0.0.1:1/none";
    let mut app = TestApp::start().edges(0).await;
    app.start_edge(&[("DATABASE_URL", unreachable)]).await;

    let reply = app.ask("POST", "/jobs", json!({ "name": "x" })).await.expect(503);
    let request = app.request("POST", "/jobs").header("idempotency-key", "a-key");
    let keyed = app.send(request.json(&json!({ "name": "x" }))).await.expect(503);

    for reply in [reply, keyed] {
        assert_eq!(reply.problem()["type"], "/problems/unavailable");
        assert!(reply.header("retry-after").parse::<u32>().is_ok(), "{reply:?}");
    }
}

#[tokio::test]
async fn an_edge_without_a_free_connection_asks_to_come_back_later() {
    let app = TestApp::start().var("DATABASE_MAX_CONNECTIONS", "1").await;
    let id = app.submit(json!({ "name": "x", "run_at": "2099-01-01T00:00:00Z" })).await;
    let mut locking = app.ledger.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs FOR UPDATE").execute(&mut *locking).await.unwrap();

    let path = format!("/jobs/{id}");
    let (changed, refused) = tokio::join!(app.ask("PUT", &path, json!({ "name": "y" })), async {
        app.until_blocked(1).await;
        let refused = app.ask("POST", "/jobs", json!({ "name": "too much" })).await;
        locking.rollback().await.unwrap();
        refused
    });

    let refused = refused.expect(503);
    assert_eq!(refused.problem()["type"], "/problems/unavailable");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "{refused:?}");
    changed.expect(200);
    app.ask("POST", "/jobs", json!({ "name": "now" })).await.expect(201);
}

#[tokio::test]
async fn an_edge_whose_ledger_was_never_migrated_says_what_to_do() {
    let app = TestApp::start().await;
    app.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;

    let reply = app.get("/ready").await.expect(503);

    assert!(reply.text.contains("jetlane migrate"), "{}", reply.text);
}
