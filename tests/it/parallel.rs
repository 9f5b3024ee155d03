//! Many jobs at once: each once, each on a GPU of its own, and no slot idle.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use crate::harness::{Recorded, TestApp};

/// From the first start to the last end, by the ledger's clock.
fn span(events: &[Recorded]) -> Duration {
    let times = |kind: &str| {
        let of_kind = events.iter().filter(|event| event.kind == kind);
        of_kind.map(|event| event.created_at).collect::<Vec<_>>()
    };
    let (first, last) = (times("running").into_iter().min(), times("completed").into_iter().max());
    (last.unwrap() - first.unwrap()).to_std().unwrap()
}

#[tokio::test]
async fn each_job_of_two_workers_runs_exactly_once() {
    let app = TestApp::start().workers(2).await;

    let ids = app
        .submit_each(0..50, |n| json!({ "name": format!("{n}"), "params": { "duration_ms": 20 } }))
        .await;
    for id in &ids {
        app.until_ended(id).await;
    }

    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in app.recorded().await {
        kinds.entry(event.job_id.to_string()).or_default().push(event.kind);
    }
    assert_eq!(kinds.len(), 50);
    for (id, kinds) in kinds {
        assert_eq!(kinds, ["queued", "running", "completed"], "{id}");
    }
}

#[tokio::test]
async fn both_of_two_workers_work() {
    let app = TestApp::start().workers(2).slots(2).await;

    let ids = app
        .submit_each(0..20, |n| json!({ "name": format!("{n}"), "params": { "duration_ms": 100 } }))
        .await;
    for id in &ids {
        app.until_ended(id).await;
    }

    let events = app.recorded().await;
    let workers: BTreeSet<_> =
        events.iter().filter_map(|event| event.details["worker"].as_str()).collect();
    assert_eq!(workers.len(), 2);
}

#[tokio::test]
async fn as_many_jobs_as_slots_take_the_time_of_one() {
    let app = TestApp::start().workers(1).slots(4).await;

    let ids = app
        .submit_each(0..4, |n| json!({ "name": format!("{n}"), "params": { "duration_ms": 1000 } }))
        .await;
    for id in &ids {
        app.until_ended(id).await;
    }

    let span = span(&app.recorded().await);
    assert!(span < Duration::from_millis(1900), "{span:?}");
}

#[tokio::test]
async fn jobs_that_run_at_once_have_gpus_of_their_own() {
    let app = TestApp::start().workers(1).slots(4).await;

    let ids = app
        .submit_each(
            0..4,
            |n| json!({ "name": format!("{n}"), "params": { "duration_ms": 60_000 } }),
        )
        .await;

    let mut gpus = BTreeSet::new();
    for id in &ids {
        let job = app.until_state(id, "running").await;
        gpus.insert(job["gpu_id"].as_i64().unwrap());
    }
    assert_eq!(gpus, BTreeSet::from([0, 1, 2, 3]));
}

#[tokio::test]
async fn a_gpu_has_one_job_at_a_time() {
    let app = TestApp::start().workers(1).slots(3).await;

    let ids = app
        .submit_each(0..30, |n| json!({ "name": format!("{n}"), "params": { "duration_ms": 15 } }))
        .await;
    for id in &ids {
        app.until_ended(id).await;
    }

    // A worker frees a GPU only once the end of its job is committed, so the
    // next job's transaction is a later one.
    let mut busy: BTreeMap<i64, uuid::Uuid> = BTreeMap::new();
    let mut events = app.recorded().await;
    events.sort_by_key(|event| event.xid);
    for event in events.iter().filter(|event| event.kind != "queued") {
        let gpu = event.details["gpu_id"].as_i64().unwrap();
        if event.kind == "running" {
            assert_eq!(busy.insert(gpu, event.job_id), None, "GPU {gpu} was busy");
        } else {
            assert_eq!(busy.remove(&gpu), Some(event.job_id), "GPU {gpu}");
        }
    }
}

#[tokio::test]
async fn eight_jobs_on_four_slots_take_two_rounds() {
    let app = TestApp::start().workers(1).slots(4).await;

    let ids = app
        .submit_each(0..8, |n| json!({ "name": format!("{n}"), "params": { "duration_ms": 1100 } }))
        .await;
    for id in &ids {
        app.until_ended(id).await;
    }

    let span = span(&app.recorded().await);
    assert!(span >= Duration::from_millis(2200), "{span:?}");
    assert!(span < Duration::from_millis(3200), "{span:?}");
}

#[tokio::test]
async fn a_jobs_times_are_those_of_its_events() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 200 } })).await;

    let job = app.until_ended(&id).await;

    let at = |name: &str| {
        chrono::DateTime::parse_from_rfc3339(job[name].as_str().unwrap()).unwrap().to_utc()
    };
    assert_eq!(at("started_at"), app.time_of(&id, "running").await);
    assert_eq!(at("finished_at"), app.time_of(&id, "completed").await);
    assert!(at("finished_at") - at("started_at") >= TimeDelta::milliseconds(200));
}
