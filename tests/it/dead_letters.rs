//! Jobs that failed for good: found, looked into, tried again, removed.

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::harness::{Body, TestApp};

/// Has a job fail for good, and returns it.
async fn given_dead(app: &TestApp, more: Value) -> String {
    let mut job = json!({ "name": "x", "params": { "fail": "permanent" } });
    job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let id = app.submit(job).await;
    app.until_state(&id, "failed").await;
    id
}

async fn listed(app: &TestApp, query: &str) -> Vec<String> {
    let jobs = app.get(&format!("/dead-letters{query}")).await.expect(200).json();
    let jobs = jobs.as_array().unwrap();
    jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn dead_letters_are_listed_and_filtered() {
    let app = TestApp::start().workers(1).await;
    let one = given_dead(&app, json!({ "submitted_by": "ann" })).await;
    let two = given_dead(
        &app,
        json!({ "params": { "fail": "transient" }, "max_attempts": 1, "submitted_by": "bob" }),
    )
    .await;

    assert_eq!(listed(&app, "").await, [two.clone(), one.clone()]);
    assert_eq!(listed(&app, "?submitted_by=ann").await, std::slice::from_ref(&one));
    assert_eq!(listed(&app, "?error=transient").await, [two]);
    assert_eq!(listed(&app, "?lane=default&tool=simulate&error=permanent").await, [one]);
    let problem = app.get("/dead-letters?error=bad").await.expect(422).problem();
    assert_eq!(problem["errors"][0]["parameter"], "error");
}

#[tokio::test]
async fn every_attempt_is_kept_with_its_error() {
    let app = TestApp::start().workers(1).await;
    let id =
        given_dead(&app, json!({ "params": { "fail": "transient" }, "max_attempts": 3 })).await;

    let attempts = app.get(&format!("/jobs/{id}/attempts")).await.expect(200).json();

    let attempts = attempts.as_array().unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|a| (a["attempt"].as_i64().unwrap(), a["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(1, "retried"), (2, "retried"), (3, "failed")]);
    for attempt in attempts {
        assert_eq!(attempt["error"]["type"], "transient", "{attempt}");
        assert!(attempt["started_at"].is_string() && attempt["ended_at"].is_string(), "{attempt}");
        assert!(attempt["worker"].is_string() && attempt["execution_time"].is_number());
    }
}

#[tokio::test]
async fn a_redriven_job_runs_again_with_all_its_attempts() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;
    let id = given_dead(&app, json!({ "params": { "fail": 2 }, "max_attempts": 1 })).await;

    let job = app.ask("POST", &format!("/jobs/{id}/redrive"), Body::None).await.expect(200).json();

    assert_eq!((&job["failures"], &job["finished_at"]), (&json!(0), &Value::Null));
    watcher.until_kind(&id, "redriven").await;
    let again = app.until_ended(&id).await;
    assert_eq!(again["attempt"], 2, "attempts are never reused");
    app.ask("POST", &format!("/jobs/{id}/redrive"), Body::None).await.expect(200);
    app.eventually("it completes in the end", async || {
        (app.state(&id).await == "completed").then_some(())
    })
    .await;
    let conflict = app.ask("POST", &format!("/jobs/{id}/redrive"), Body::None).await.expect(409);
    conflict.problem();
}

#[tokio::test]
async fn many_are_redriven_by_filter_and_a_dry_run_changes_nothing() {
    let app = TestApp::start().workers(1).await;
    let mine =
        given_dead(&app, json!({ "submitted_by": "ann", "params": { "fail": "permanent" } }));
    let mine = mine.await;
    let other = given_dead(&app, json!({ "submitted_by": "bob" })).await;
    let redrive =
        async |body| app.ask("POST", "/dead-letters:redrive", body).await.expect(200).json();

    let dry = redrive(json!({ "submitted_by": "ann", "dry_run": true })).await;
    assert_eq!(dry["jobs"], json!([mine]));
    assert_eq!(app.kinds(&mine).await.last().unwrap(), "failed");

    let done = redrive(json!({ "submitted_by": "ann" })).await;
    assert_eq!((&done["redriven"], &done["jobs"]), (&json!(1), &json!([mine])));
    app.eventually("it ran again", async || (app.job(&mine).await["attempt"] == 2).then_some(()))
        .await;
    assert_eq!(app.job(&other).await["attempt"], 1);
    let by_id = redrive(json!({ "job_ids": [other] })).await;
    assert_eq!(by_id["redriven"], 1);
}

#[tokio::test]
async fn purged_dead_letters_are_gone_and_the_feed_tells_so() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;
    let dead = given_dead(&app, json!({})).await;
    let done = app.submit(json!({ "name": "good" })).await;
    app.until_state(&done, "completed").await;

    let purged = app.ask("POST", "/dead-letters:purge", json!({})).await.expect(200).json();

    assert_eq!(purged["jobs"], json!([dead]));
    watcher.until_kind(&dead, "deleted").await;
    app.get(&format!("/jobs/{dead}")).await.expect(404);
    app.get(&format!("/jobs/{done}")).await.expect(200);
}

#[tokio::test]
async fn an_empty_selection_is_not_everything() {
    let app = TestApp::start().workers(1).await;
    let dead = given_dead(&app, json!({})).await;

    for verb in ["redrive", "purge"] {
        let path = format!("/dead-letters:{verb}");
        app.ask("POST", &path, json!({ "job_ids": [] })).await.expect(422);
    }

    assert_eq!(app.state(&dead).await, "failed");
}

#[tokio::test]
async fn a_tenant_sees_and_moves_its_own_dead_letters_only() {
    let app = TestApp::start().workers(1).await;
    let dead = given_dead(&app, json!({})).await;

    let theirs = |verb, path: &str| app.request(verb, path).header("x-jetlane-tenant", "other");
    let listed = app.send(theirs("GET", "/dead-letters")).await.expect(200).json();
    assert_eq!(listed, json!([]));
    let purge = theirs("POST", "/dead-letters:purge").json(&json!({ "job_ids": [dead] }));
    assert_eq!(app.send(purge).await.expect(200).json()["purged"], 0);
    app.send(theirs("POST", &format!("/jobs/{dead}/redrive"))).await.expect(404);
}

#[tokio::test]
async fn each_dead_letter_is_an_entry_of_its_stream() {
    let app = TestApp::start().workers(1).await;
    let dead = given_dead(&app, json!({})).await;
    let jetstream = async_nats::jetstream::new(app.nats_client().await);
    app.eventually("the entry", async || {
        let stream = jetstream.get_stream("DEAD_LETTERS").await.unwrap();
        (stream.cached_info().state.messages == 1).then_some(())
    })
    .await;

    let stream = jetstream.get_stream("DEAD_LETTERS").await.unwrap();
    let config = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let mut entries = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let entry = app.race(entries.next()).await.unwrap().unwrap();

    assert_eq!(entry.subject.as_str(), "dead.default");
    let event: Value = serde_json::from_slice(&entry.payload).unwrap();
    assert_eq!((&event["job_id"], &event["kind"]), (&json!(dead), &json!("failed")));
    assert_eq!(event["error"]["type"], "permanent");
}
