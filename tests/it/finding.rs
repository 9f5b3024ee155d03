//! `GET /jobs/{id}` and what else a path can be asked.

use serde_json::json;

use crate::harness::{Body, TestApp};

#[tokio::test]
async fn an_unknown_job_is_not_found() {
    let app = TestApp::start().await;

    let reply = app.get("/jobs/00000000-0000-4000-8000-000000000000").await.expect(404);

    assert!(reply.problem()["detail"].as_str().unwrap().contains("not found"));
}

#[tokio::test]
async fn what_is_no_uuid_is_an_invalid_path() {
    let app = TestApp::start().await;

    for (method, body) in
        [("GET", Body::None), ("PUT", json!({ "priority": 1 }).into()), ("DELETE", Body::None)]
    {
        let reply = app.ask(method, "/jobs/not-a-uuid", body).await.expect(422);
        assert_eq!(reply.problem()["errors"][0]["path"], "id", "{method}");
    }
}

#[tokio::test]
async fn a_path_says_which_methods_it_takes() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;

    let reply = app.ask("PATCH", &format!("/jobs/{id}"), json!({ "priority": 1 })).await;

    let reply = reply.expect(405);
    reply.problem();
    let mut allowed: Vec<_> = reply.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_too() {
    let app = TestApp::start().await;

    assert_eq!(app.get("/nothing/here").await.expect(404).problem()["type"], "/problems/not-found");
}

#[tokio::test]
async fn the_result_of_a_job_that_is_not_completed_is_a_conflict() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;

    app.get(&format!("/jobs/{id}/result")).await.expect(409).problem();
}

#[tokio::test]
async fn the_result_of_a_completed_job_is_what_the_job_shows() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x" })).await;
    let job = app.until_state(&id, "completed").await;

    let result = app.get(&format!("/jobs/{id}/result")).await.expect(200).json();

    assert_eq!(result, job["result"]);
}
