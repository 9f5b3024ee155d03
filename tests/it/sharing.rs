//! Order and share, decided by operators and kept by workers.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::TestApp;

/// Submits for a tenant.
async fn submit_for(app: &TestApp, tenant: &str, job: &Value) -> String {
    let request = app.request("POST", "/jobs").header("x-jetlane-tenant", tenant).json(job);
    app.send(request).await.expect(201).json()["id"].as_str().unwrap().to_owned()
}

/// The jobs in the order in which they were started.
async fn started(app: &TestApp) -> Vec<String> {
    let recorded = app.recorded().await;
    let mut starts: Vec<_> = recorded.iter().filter(|event| event.kind == "running").collect();
    starts.sort_by_key(|event| (event.created_at, event.xid));
    starts.iter().map(|event| event.job_id.to_string()).collect()
}

async fn until_started(app: &TestApp, count: usize) -> Vec<String> {
    app.eventually(&format!("{count} starts"), async || {
        Some(started(app).await).filter(|starts| starts.len() >= count)
    })
    .await
}

#[tokio::test]
async fn tenants_share_a_lane_by_weight_however_many_jobs_each_has() {
    let mut app = TestApp::start().await;
    app.ask("PATCH", "/lanes/shared", json!({})).await.expect(200);
    app.ask("PUT", "/lanes/shared/shares/heavy", json!({ "weight": 3 })).await.expect(200);
    let job = json!({ "name": "x", "lane": "shared", "params": { "duration_ms": 10 } });
    let mut light = Vec::new();
    for _ in 0..60 {
        submit_for(&app, "heavy", &job).await;
    }
    for _ in 0..40 {
        light.push(submit_for(&app, "light", &job).await);
    }

    app.start_worker(&[("LANES", "shared"), ("GPU_COUNT", "1")]).await;

    let starts = until_started(&app, 60).await;
    let of_light = starts[..60].iter().filter(|id| light.contains(id)).count();
    assert!((13..=17).contains(&of_light), "{of_light} of 60 with a weight of 1 against 3");
}

#[tokio::test]
async fn a_tenant_that_comes_later_does_not_wait_behind_anothers_backlog() {
    let mut app = TestApp::start().await;
    app.given_lane("shared").await;
    let job = json!({ "name": "x", "lane": "shared", "params": { "duration_ms": 30 } });
    for _ in 0..200 {
        submit_for(&app, "first", &job).await;
    }
    app.start_worker(&[("LANES", "shared"), ("GPU_COUNT", "1")]).await;
    until_started(&app, 5).await;

    let late = submit_for(&app, "late", &job).await;

    let starts = app
        .eventually("it starts", async || {
            Some(started(&app).await).filter(|starts| starts.contains(&late))
        })
        .await;
    let place = starts.iter().position(|id| *id == late).unwrap();
    assert!(place < 60, "started as number {place} of 201");
}

#[tokio::test]
async fn one_tenant_gets_exactly_priority_then_age() {
    let mut app = TestApp::start().await;
    app.given_lane("ordered").await;
    let mut jobs = Vec::new();
    for (n, priority) in [0, 5, 5, -3, 9, 0, 9].into_iter().enumerate() {
        let job = json!({ "name": format!("{n}"), "lane": "ordered", "priority": priority });
        jobs.push((std::cmp::Reverse(priority), n, app.submit(job).await));
    }
    jobs.sort();

    app.start_worker(&[("LANES", "ordered"), ("GPU_COUNT", "1")]).await;

    let expected: Vec<_> = jobs.into_iter().map(|(_, _, id)| id).collect();
    assert_eq!(until_started(&app, expected.len()).await, expected);
}

#[tokio::test]
async fn a_rate_spreads_starts_out_and_the_next_one_is_on_time() {
    let app = TestApp::start().workers(1).without_sweep().var("LANES", "slow").slots(8).await;
    let rate = json!({ "rate": { "per_second": 5, "burst": 1 } });
    app.ask("PATCH", "/lanes/slow", rate).await.expect(200);

    for _ in 0..6 {
        app.submit(json!({ "name": "x", "lane": "slow" })).await;
    }
    until_started(&app, 6).await;

    let recorded = app.recorded().await;
    let mut at: Vec<_> =
        recorded.iter().filter(|e| e.kind == "running").map(|e| e.created_at).collect();
    at.sort();
    for pair in at.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap >= TimeDelta::milliseconds(195), "{gap} apart at 5 per second");
        assert!(gap <= TimeDelta::milliseconds(900), "{gap} apart at 5 per second");
    }
}

#[tokio::test]
async fn a_lane_shows_its_policy_and_null_takes_a_rule_away() {
    let app = TestApp::start().await;
    let policy = json!({
        "max_waiting": 100, "rate": { "per_second": 2.5, "burst": 10 }, "ageing": 60,
        "max_attempts": 7, "retry": { "backoff": 2.0, "retry_on": ["timeout"] },
    });

    let lane = app.ask("PATCH", "/lanes/tuned", policy.clone()).await.expect(200).json();
    for (name, value) in policy.as_object().unwrap() {
        assert_eq!(&lane[name], value, "{name}");
    }
    let cleared =
        json!({ "max_waiting": null, "rate": null, "ageing": null, "max_attempts": null });
    let lane = app.ask("PATCH", "/lanes/tuned", cleared).await.expect(200).json();
    for name in ["max_waiting", "rate", "ageing", "max_attempts"] {
        assert_eq!(lane[name], Value::Null, "{name}");
    }
    assert_eq!(lane["retry"]["backoff"], 2.0, "what is not given stays");
    let lane = app.ask("PATCH", "/lanes/tuned", json!({ "retry": null })).await.expect(200).json();
    assert_eq!(lane["retry"], json!({}));
    let lanes = app.get("/lanes").await.expect(200).json();
    assert_eq!(lanes.as_array().unwrap().len(), 2);
    app.get("/lanes/nowhere").await.expect(404).problem();
}

#[tokio::test]
async fn a_job_takes_over_what_its_lane_says_of_attempts() {
    let app = TestApp::start().workers(1).await;
    let policy = json!({ "max_attempts": 2, "retry": { "backoff": 0.01 } });
    app.ask("PATCH", "/lanes/default", policy).await.expect(200);

    let id = app.submit(json!({ "name": "x", "params": { "fail": "transient" } })).await;

    let job = app.until_ended(&id).await;
    assert_eq!((&job["max_attempts"], &job["attempt"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn a_jobs_own_policy_wins_over_its_lanes() {
    let app = TestApp::start().workers(1).await;
    let lane = json!({ "retry": { "retry_on": ["transient"] }, "max_attempts": 9 });
    app.ask("PATCH", "/lanes/default", lane).await.expect(200);

    let id = app
        .submit(json!({
            "name": "x", "params": { "fail": "transient" }, "retry": { "retry_on": ["timeout"] },
        }))
        .await;

    let job = app.until_ended(&id).await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("failed"), &json!(1)));
    assert_eq!(job["retry"], json!({ "retry_on": ["timeout"] }));
}

#[tokio::test]
async fn a_job_that_is_not_started_in_time_fails_as_expired() {
    let app = TestApp::start().workers(1).var("POLL_INTERVAL", "1").slots(1).await;
    let busy = app.submit(json!({ "name": "busy", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&busy, "running").await;
    let deadline = crate::harness::now() + Duration::from_secs(2);

    let id = app.submit(json!({ "name": "urgent", "start_by": deadline.to_rfc3339() })).await;

    let job = app.until_ended(&id).await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("failed"), &json!(0)));
    assert_eq!(job["error"]["type"], "expired");
}
