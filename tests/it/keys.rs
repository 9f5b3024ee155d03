//! Concurrency keys: one job of a key at a time, the best one first.

use std::collections::HashMap;

use serde_json::json;
use uuid::Uuid;

use crate::harness::{Recorded, TestApp};

/// The jobs in the order in which they ran, if never two at once.
#[track_caller]
fn in_turn(mut events: Vec<Recorded>) -> Vec<Uuid> {
    events.retain(|event| !["queued", "scheduled"].contains(&event.kind.as_str()));
    // Whoever saw the key free did so in a later transaction than the one that freed it.
    events.sort_by_key(|event| event.xid);
    let mut running = None;
    let mut order = Vec::new();
    for event in events {
        match event.kind.as_str() {
            "running" => {
                assert_eq!(running, None, "{} started meanwhile", event.job_id);
                running = Some(event.job_id);
                order.push(event.job_id);
            }
            _ => assert_eq!(running.take(), Some(event.job_id)),
        }
    }
    order
}

#[tokio::test]
async fn jobs_of_one_key_never_overlap() {
    let app = TestApp::start().workers(2).slots(4).await;

    let ids = app
        .submit_each(0..20, |n| {
            json!({
                "name": format!("{n}"),
                "concurrency_key": "k",
                "params": { "duration_ms": 10 },
            })
        })
        .await;
    for id in &ids {
        app.until_ended(id).await;
    }

    assert_eq!(in_turn(app.recorded().await).len(), 20);
}

#[tokio::test]
async fn jobs_of_one_key_run_by_priority_and_then_by_age() {
    let mut app = TestApp::start().slots(4).await;
    let mut expected = Vec::new();
    for n in 0..20_i64 {
        let id = app
            .submit(json!({ "name": format!("{n}"), "concurrency_key": "k", "priority": n % 3 }))
            .await;
        expected.push((-(n % 3), id.parse::<Uuid>().unwrap()));
    }
    expected.sort();

    app.start_worker(&[]).await;
    app.start_worker(&[]).await;
    for (_, id) in &expected {
        app.until_ended(&id.to_string()).await;
    }

    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(in_turn(app.recorded().await), expected);
}

#[tokio::test]
async fn jobs_submitted_at_once_never_overlap() {
    let app = TestApp::start().edges(2).workers(2).slots(4).await;

    let submit = |n: usize| {
        let job = json!({ "name": format!("{n}"), "concurrency_key": "k" });
        let app = &app;
        async move {
            let reply = app.ask_edge(n % 2, "POST", "/jobs", job).await.expect(201);
            reply.json()["id"].as_str().unwrap().to_owned()
        }
    };
    let ids = futures_util::future::join_all((0..20).map(submit)).await;
    for id in &ids {
        app.until_ended(id).await;
    }

    assert_eq!(in_turn(app.recorded().await).len(), 20);
}

#[tokio::test]
async fn a_job_that_waits_for_its_key_holds_up_nobody_else() {
    let app = TestApp::start().workers(1).slots(2).await;
    let keyed = json!({
        "name": "x", "concurrency_key": "k", "params": { "duration_ms": 60_000 }, "priority": 9,
    });
    let first = app.submit(keyed.clone()).await;
    app.until_state(&first, "running").await;
    app.submit(keyed).await;

    let other = app.submit(json!({ "name": "other" })).await;

    app.until_state(&other, "completed").await;
}

#[tokio::test]
async fn jobs_of_different_keys_run_side_by_side() {
    let app = TestApp::start().workers(1).slots(4).await;

    let ids = app
        .submit_each(0..4, |n| {
            json!({
                "name": "x",
                "concurrency_key": format!("k{n}"),
                "params": { "duration_ms": 60_000 },
            })
        })
        .await;

    for id in &ids {
        app.until_state(id, "running").await;
    }
}

#[tokio::test]
async fn keys_of_different_tenants_are_different_keys() {
    let app = TestApp::start().workers(1).slots(2).await;
    let job = json!({ "name": "x", "concurrency_key": "k", "params": { "duration_ms": 60_000 } });

    let ours = app.submit(job.clone()).await;
    let theirs = app.request("POST", "/jobs").header("x-jetlane-tenant", "other").json(&job);
    let theirs = app.send(theirs).await.expect(201).json()["id"].as_str().unwrap().to_owned();

    app.until_state(&ours, "running").await;
    app.eventually("the other tenant's job runs", async || {
        app.kinds(&theirs).await.contains(&"running".to_owned()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_is_held_across_lanes() {
    let app = TestApp::start().workers(1).slots(4).var("LANES", "default,batch").await;

    let ids = app
        .submit_each(0..10, |n| {
            json!({
                "name": format!("{n}"),
                "lane": if n % 2 == 0 { "default" } else { "batch" },
                "concurrency_key": "k",
                "params": { "duration_ms": 10 },
            })
        })
        .await;
    for id in &ids {
        app.until_ended(id).await;
    }

    assert_eq!(in_turn(app.recorded().await).len(), 10);
}

#[tokio::test]
async fn a_job_that_waits_out_a_backoff_lets_the_next_one_pass() {
    let app = TestApp::start().workers(1).var("RETRY_BACKOFF", "60").await;
    let failing = json!({ "name": "x", "concurrency_key": "k", "params": { "fail": "transient" } });
    let first = app.submit(failing).await;
    app.until_state(&first, "scheduled").await;

    let second = app.submit(json!({ "name": "x", "concurrency_key": "k" })).await;

    app.until_state(&second, "completed").await;
}

#[tokio::test]
async fn many_keys_each_run_their_jobs_in_turn() {
    let app = TestApp::start().workers(2).slots(4).await;
    let mut keys = HashMap::new();
    for n in 0..40 {
        let key = format!("k{}", n % 5);
        let id = app.submit(json!({ "name": format!("{n}"), "concurrency_key": key })).await;
        keys.insert(id.parse::<Uuid>().unwrap(), key);
    }
    for id in keys.keys() {
        app.until_ended(&id.to_string()).await;
    }

    let events = app.recorded().await;
    for key in ["k0", "k1", "k2", "k3", "k4"] {
        let of_key: Vec<_> = events.iter().filter(|e| keys[&e.job_id] == key).cloned().collect();
        assert_eq!(in_turn(of_key).len(), 8, "{key}");
    }
}
