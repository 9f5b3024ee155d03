//! `PUT /jobs/{id}`: changing a job that waits.

use serde_json::{Value, json};

use crate::harness::TestApp;

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

async fn given_job(app: &TestApp) -> (String, Value) {
    let job = json!({
        "name": "before", "params": { "a": 1, "b": 2 }, "priority": 1, "submitted_by": "ada",
    });
    let id = app.submit(job).await;
    let job = app.job(&id).await;
    (id, job)
}

/// The names of the fields that differ, sorted.
fn changed(before: &Value, after: &Value) -> Vec<String> {
    let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
    let names = after.keys().filter(|name| before.get(*name) != after.get(*name));
    let mut names: Vec<_> = names.cloned().collect();
    names.sort();
    names
}

#[tokio::test]
async fn only_what_is_given_changes() {
    let app = TestApp::start().await;
    let (id, before) = given_job(&app).await;

    let reply = app.ask("PUT", &format!("/jobs/{id}"), json!({ "priority": 99 })).await;

    let after = reply.expect(200).json();
    assert_eq!(after["priority"], 99);
    assert_eq!(changed(&before, &after), ["event_seq", "priority"]);
}

#[tokio::test]
async fn several_fields_change_at_once() {
    let app = TestApp::start().await;
    let (id, before) = given_job(&app).await;

    let change = json!({ "name": "after", "priority": -5, "submitted_by": null });
    let after = app.ask("PUT", &format!("/jobs/{id}"), change).await.expect(200).json();

    assert_eq!(
        (&after["name"], &after["priority"], &after["submitted_by"]),
        (&json!("after"), &json!(-5), &json!(null))
    );
    assert_eq!(changed(&before, &after), ["event_seq", "name", "priority", "submitted_by"]);
}

#[tokio::test]
async fn params_are_replaced_whole() {
    let app = TestApp::start().await;
    let (id, _) = given_job(&app).await;

    let change = json!({ "params": { "c": 3 } });
    let after = app.ask("PUT", &format!("/jobs/{id}"), change).await.expect(200).json();

    assert_eq!(after["params"], json!({ "c": 3 }));
}

#[tokio::test]
async fn a_change_is_kept() {
    let app = TestApp::start().await;
    let (id, _) = given_job(&app).await;

    let change = json!({ "name": "after" });
    let answered = app.ask("PUT", &format!("/jobs/{id}"), change).await.expect(200).json();

    assert_eq!(app.job(&id).await, answered);
}

#[tokio::test]
async fn a_change_is_an_event() {
    let app = TestApp::start().await;
    let (id, _) = given_job(&app).await;

    app.ask("PUT", &format!("/jobs/{id}"), json!({ "priority": 99 })).await.expect(200);

    assert_eq!(app.kinds(&id).await, ["queued", "updated"]);
}

#[tokio::test]
async fn an_empty_change_changes_nothing() {
    let app = TestApp::start().await;
    let (id, before) = given_job(&app).await;

    let after = app.ask("PUT", &format!("/jobs/{id}"), json!({})).await.expect(200).json();

    assert_eq!(after, before);
    assert_eq!(app.kinds(&id).await, ["queued"]);
}

#[tokio::test]
async fn a_due_time_in_the_future_puts_a_job_off() {
    let app = TestApp::start().await;
    let (id, _) = given_job(&app).await;

    let change = json!({ "run_at": "2099-01-01T00:00:00Z" });
    let after = app.ask("PUT", &format!("/jobs/{id}"), change).await.expect(200).json();

    assert_eq!(after["state"], "scheduled");
}

#[tokio::test]
async fn a_wrong_change_points_at_every_wrong_field() {
    let app = TestApp::start().await;
    let (id, _) = given_job(&app).await;

    for (change, pointers) in [
        (json!({ "name": "" }), vec!["/name"]),
        (json!({ "name": null }), vec!["/name"]),
        (json!({ "params": null }), vec!["/params"]),
        (json!({ "priority": 99_999_999_999_i64 }), vec!["/priority"]),
        (json!({ "lane": "nowhere" }), vec!["/lane"]),
        (json!({ "state": "completed" }), vec!["/state"]),
        (json!({ "priority": "x", "colour": "red" }), vec!["/priority", "/colour"]),
    ] {
        let reply = app.ask("PUT", &format!("/jobs/{id}"), change.clone()).await;
        assert_eq!(reply.pointers(), pointers, "{change}");
    }
}

#[tokio::test]
async fn a_refused_change_changes_nothing() {
    let app = TestApp::start().await;
    let (id, before) = given_job(&app).await;

    let change = json!({ "name": "after", "state": "completed" });
    app.ask("PUT", &format!("/jobs/{id}"), change).await.expect(422);

    assert_eq!(app.job(&id).await, before);
}

#[tokio::test]
async fn an_unknown_job_is_not_found() {
    let app = TestApp::start().await;

    let reply = app.ask("PUT", &format!("/jobs/{UNKNOWN}"), json!({ "priority": 1 })).await;

    assert!(reply.expect(404).problem()["detail"].as_str().unwrap().contains("not found"));
}

#[tokio::test]
async fn an_empty_change_of_an_unknown_job_is_not_found() {
    let app = TestApp::start().await;

    app.ask("PUT", &format!("/jobs/{UNKNOWN}"), json!({})).await.expect(404);
}

#[tokio::test]
async fn a_job_that_is_over_cannot_be_changed() {
    let app = TestApp::start().await;
    let (id, _) = given_job(&app).await;
    app.cancel(&id).await.expect(200);

    let reply = app.ask("PUT", &format!("/jobs/{id}"), json!({ "priority": 1 })).await;

    assert_eq!(reply.expect(409).problem()["type"], "/problems/conflict");
}

#[tokio::test]
async fn a_running_job_cannot_be_changed() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&id, "running").await;

    app.ask("PUT", &format!("/jobs/{id}"), json!({ "priority": 1 })).await.expect(409);
}
