//! Which of the waiting jobs goes first.

use std::collections::BTreeMap;

use serde_json::json;

use crate::harness::TestApp;

/// A worker with one slot, and the job that fills it.
async fn given_busy_worker() -> (TestApp, String) {
    let app = TestApp::start().workers(1).slots(1).await;
    let id = app.submit(json!({ "name": "busy", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&id, "running").await;
    (app, id)
}

/// The names of the jobs in the order in which they were started.
async fn started(app: &TestApp) -> Vec<String> {
    let events = app.recorded().await;
    let mut running: Vec<_> = events.iter().filter(|event| event.kind == "running").collect();
    running.sort_by_key(|event| event.xid);
    running.iter().map(|event| event.details["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn higher_priorities_first_then_older_jobs() {
    let (app, busy) = given_busy_worker().await;
    let mut waiting = Vec::new();
    for (name, priority) in [("one", 1), ("nine, older", 9), ("five", 5), ("nine, newer", 9)] {
        waiting.push(app.submit(json!({ "name": name, "priority": priority })).await);
    }

    app.stop_job(&busy).await;

    for id in &waiting {
        app.until_ended(id).await;
    }
    assert_eq!(started(&app).await, ["busy", "nine, older", "nine, newer", "five", "one"]);
}

#[tokio::test]
async fn a_changed_priority_counts() {
    let (app, busy) = given_busy_worker().await;
    let first = app.submit(json!({ "name": "first", "priority": 1 })).await;
    let second = app.submit(json!({ "name": "second" })).await;
    app.ask("PUT", &format!("/jobs/{second}"), json!({ "priority": 2 })).await.expect(200);

    app.stop_job(&busy).await;

    for id in [&first, &second] {
        app.until_ended(id).await;
    }
    assert_eq!(started(&app).await, ["busy", "second", "first"]);
}

#[tokio::test]
async fn a_batch_for_several_slots_is_taken_in_order() {
    let mut app = TestApp::start().slots(4).await;
    let ids =
        app.submit_each(0..12, |n| json!({ "name": format!("{n}"), "priority": n % 3 })).await;

    app.start_worker(&[]).await;

    for id in &ids {
        app.until_ended(id).await;
    }
    // Those of one claim share a transaction, in which none is before another.
    let mut claims: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for event in app.recorded().await.iter().filter(|event| event.kind == "running") {
        let name = event.details["name"].as_str().unwrap();
        claims.entry(event.xid).or_default().push(name.parse::<i64>().unwrap() % 3);
    }
    let claims: Vec<_> = claims.into_values().collect();
    for pair in claims.windows(2) {
        assert!(pair[0].iter().min() >= pair[1].iter().max(), "{claims:?}");
    }
}

#[tokio::test]
async fn a_due_job_keeps_the_place_of_its_age() {
    let (app, busy) = given_busy_worker().await;
    let due_soon = chrono::DateTime::UNIX_EPOCH.to_rfc3339();
    let older = app.submit(json!({ "name": "older", "run_at": "2099-01-01T00:00:00Z" })).await;
    let newer = app.submit(json!({ "name": "newer" })).await;
    app.ask("PUT", &format!("/jobs/{older}"), json!({ "run_at": due_soon })).await.expect(200);

    app.stop_job(&busy).await;

    for id in [&older, &newer] {
        app.until_ended(id).await;
    }
    assert_eq!(started(&app).await, ["busy", "older", "newer"]);
}
