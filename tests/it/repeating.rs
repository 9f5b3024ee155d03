//! Submits that may be repeated, and batches.

use serde_json::{Value, json};

use crate::harness::{Reply, TestApp};

async fn submit(app: &TestApp, key: &str, job: &Value) -> Reply {
    let request = app.request("POST", "/jobs").header("idempotency-key", key);
    app.send(request.json(job)).await
}

async fn batch(app: &TestApp, body: Value) -> Reply {
    app.ask("POST", "/jobs:batch", body).await
}

fn statuses(reply: &Value) -> Vec<u64> {
    let results = reply["results"].as_array().unwrap();
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_same_request_again_is_answered_as_the_first_was() {
    let app = TestApp::start().workers(1).await;
    let job = json!({ "name": "once", "params": { "b": 1, "a": [1.5] }, "timeout": 7.25 });
    let first = submit(&app, "order-7", &job).await.expect(201);
    let id = first.json()["id"].as_str().unwrap().to_owned();
    app.until_ended(&id).await;

    let again = submit(&app, "order-7", &job).await.expect(201);

    assert_eq!(again.text, first.text, "byte for byte, although the job is over");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(first.header("idempotent-replayed"), "");
    assert_eq!(app.count("jobs").await, 1);
}

#[tokio::test]
async fn it_is_so_on_every_edge_and_after_a_restart() {
    let mut app = TestApp::start().edges(2).await;
    let job = json!({ "name": "once" });
    let first = submit(&app, "k", &job).await.expect(201).json();

    app.edges[0].process.kill().await;
    app.edges.remove(0);
    let on_another = submit(&app, "k", &job).await.expect(201).json();
    app.start_edge(&[]).await;
    app.edges.remove(0);
    let after_a_restart = submit(&app, "k", &job).await.expect(201).json();

    assert_eq!(on_another["id"], first["id"]);
    assert_eq!(after_a_restart["id"], first["id"]);
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let app = TestApp::start().await;
    submit(&app, "k", &json!({ "name": "one" })).await.expect(201);

    let problem = submit(&app, "k", &json!({ "name": "two" })).await.expect(422).problem();

    assert_eq!(problem["type"], "/problems/key-reused");
}

#[tokio::test]
async fn twenty_at_the_same_time_make_one_job() {
    let app = TestApp::start().edges(2).await;
    let job = json!({ "name": "once" });

    let answers = futures_util::future::join_all((0..20).map(|_| submit(&app, "k", &job))).await;

    let ids: std::collections::HashSet<_> =
        answers.into_iter().map(|reply| reply.expect(201).json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(app.count("jobs").await, 1);
}

/// Uses a key in a transaction that is not at its end.
async fn using_key(app: &TestApp) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let mut first = app.ledger.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO idempotency_keys (tenant, key, fingerprint, job_id, job, created_at)
         VALUES ('default', 'k', '', gen_random_uuid(), '{}', now())",
    )
    .execute(&mut *first)
    .await
    .unwrap();
    first
}

#[tokio::test]
async fn who_waits_too_long_for_the_first_is_told_to_come_back() {
    let app = TestApp::start().await;
    let first = using_key(&app).await;

    let reply = submit(&app, "k", &json!({ "name": "x" })).await.expect(409);

    assert_eq!(reply.problem()["type"], "/problems/key-in-use");
    assert_eq!(reply.header("retry-after"), "1");
    first.rollback().await.unwrap();
    submit(&app, "k", &json!({ "name": "x" })).await.expect(201);
    assert_eq!(app.count("jobs").await, 1);
}

#[tokio::test]
async fn a_key_in_use_is_no_other_jobs_trouble() {
    let app = TestApp::start().await;
    let first = using_key(&app).await;
    let jobs = json!([
        { "name": "before", "idempotency_key": "another" },
        { "name": "waits", "idempotency_key": "k" },
        { "name": "after", "concurrency_key": "model" },
    ]);

    let whole = json!({ "jobs": jobs, "all_or_nothing": true });
    app.ask("POST", "/jobs:batch", whole).await.expect(409);
    assert_eq!(app.count("jobs").await, 0);
    let each = app.ask("POST", "/jobs:batch", json!({ "jobs": jobs })).await.expect(200).json();

    let statuses: Vec<_> =
        each["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [201, 409, 201]);
    assert_eq!(app.count("jobs").await, 2);
    drop(first);
}

#[tokio::test]
async fn a_key_that_cannot_be_kept_is_refused_by_name() {
    let app = TestApp::start().await;
    for key in ["", "has space", &"x".repeat(256)] {
        let problem = submit(&app, key, &json!({ "name": "x" })).await.expect(422).problem();
        assert_eq!(problem["errors"][0]["header"], "Idempotency-Key", "{key}");
    }
}

#[tokio::test]
async fn a_batch_runs_and_each_job_is_answered_in_its_place() {
    let app = TestApp::start().workers(1).await;
    let jobs: Vec<_> = (0..50).map(|n| json!({ "name": format!("{n}") })).collect();

    let reply = batch(&app, json!({ "jobs": jobs })).await.expect(200).json();

    assert_eq!((&reply["accepted"], &reply["refused"]), (&json!(50), &json!(0)));
    for (n, result) in reply["results"].as_array().unwrap().iter().enumerate() {
        assert_eq!(result["job"]["name"], format!("{n}"));
        app.until_ended(result["job"]["id"].as_str().unwrap()).await;
    }
}

#[tokio::test]
async fn a_bad_job_of_a_batch_is_told_by_its_place_and_spoils_no_other() {
    let app = TestApp::start().await;

    let reply = batch(
        &app,
        json!({ "jobs": [
            { "name": "good" }, { "name": " " }, { "name": "x", "lane": "nowhere" }, 7,
            { "name": "x", "params": { "text": "a\0b" } },
        ] }),
    )
    .await
    .expect(200)
    .json();

    assert_eq!(statuses(&reply), [201, 422, 422, 422, 422]);
    let error = |n: usize| reply["results"][n]["problem"]["errors"][0]["pointer"].clone();
    assert_eq!(error(1), "/jobs/1/name");
    assert_eq!(error(2), "/jobs/2/lane");
    assert_eq!(error(3), "/jobs/3");
    assert_eq!(error(4), "/jobs/4/params/text");
    assert_eq!(app.count("jobs").await, 1);
}

#[tokio::test]
async fn all_or_nothing_accepts_nothing_if_one_is_refused() {
    let app = TestApp::start().await;
    let good = json!({ "name": "good" });

    for bad in [json!({ "name": " " }), json!({ "name": "x", "lane": "nowhere" })] {
        let body = json!({ "all_or_nothing": true, "jobs": [good, bad] });
        let problem = batch(&app, body).await.expect(422).problem();
        let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer.starts_with("/jobs/1/"), "{problem}");
    }
    assert_eq!(app.count("jobs").await, 0);

    let body = json!({ "all_or_nothing": true, "jobs": [good, good] });
    assert_eq!(statuses(&batch(&app, body).await.expect(200).json()), [201, 201]);
}

#[tokio::test]
async fn a_repeated_batch_makes_no_job_twice() {
    let app = TestApp::start().await;
    let jobs: Vec<_> =
        (0..10).map(|n| json!({ "name": "x", "idempotency_key": format!("k{n}") })).collect();
    let body = json!({ "jobs": jobs });
    let first = batch(&app, body.clone()).await.expect(200).json();

    let again = batch(&app, body).await.expect(200).json();

    assert_eq!(app.count("jobs").await, 10);
    assert_eq!(again["results"][3]["replayed"], true);
    assert_eq!(again["results"][3]["job"], first["results"][3]["job"]);
}

#[tokio::test]
async fn a_batch_has_1_to_1000_jobs() {
    let app = TestApp::start().await;
    let jobs = |count: usize| json!({ "jobs": vec![json!({ "name": "x" }); count] });

    for count in [0, 1001] {
        let problem = batch(&app, jobs(count)).await.expect(422).problem();
        assert_eq!(problem["errors"][0]["pointer"], "/jobs");
    }
    let reply = batch(&app, jobs(1000)).await.expect(200).json();
    assert_eq!(reply["accepted"], 1000);
}

#[tokio::test]
async fn a_full_lane_turns_jobs_away_with_429_until_it_has_room() {
    let app = TestApp::start().await;
    app.ask("PATCH", "/lanes/small", json!({ "max_waiting": 2 })).await.expect(200);
    let job = json!({ "name": "x", "lane": "small" });
    let first = app.submit(job.clone()).await;
    app.submit(job.clone()).await;

    let reply = app.ask("POST", "/jobs", job.clone()).await.expect(429);
    assert_eq!(reply.problem()["type"], "/problems/lane-full");
    assert_eq!(reply.header("retry-after"), "1");

    app.cancel(&first).await.expect(200);
    app.submit(job).await;
}
