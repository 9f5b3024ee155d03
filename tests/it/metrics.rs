//! `/metrics` of edges and workers.

use serde_json::json;

use crate::harness::{PROMPT, Reply, TestApp};

/// A metric's value, 0 while it was never touched.
fn value(metrics: &Reply, name: &str) -> f64 {
    let line = metrics.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn an_edges_metrics_are_in_the_prometheus_text_format() {
    let app = TestApp::start().await;

    let metrics = app.get("/metrics").await.expect(200);

    let content_type = metrics.header("content-type");
    assert!(content_type.starts_with("text/plain; version=0.0.4"), "{content_type}");
    assert!(metrics.text.contains("# TYPE jetlane_jobs_created_total counter"));
}

#[tokio::test]
async fn accepted_jobs_are_counted() {
    let app = TestApp::start().await;
    app.submit_each(0..3, |n| json!({ "name": format!("job {n}") })).await;

    let metrics = app.get("/metrics").await.expect(200);

    assert!((value(&metrics, "jetlane_jobs_created_total") - 3.0).abs() < 0.1, "{}", metrics.text);
}

#[tokio::test]
async fn open_streams_are_counted_as_long_as_they_are_open() {
    let app = TestApp::start().await;
    let open = async |count: f64| {
        app.eventually(&format!("{count} streams are open"), async || {
            let metrics = app.get("/metrics").await.expect(200);
            ((value(&metrics, "jetlane_event_streams") - count).abs() < 0.1).then_some(())
        })
        .await;
    };
    let watchers = [app.watch().await, app.watch().await];
    open(2.0).await;

    drop(watchers);

    open(0.0).await;
}

#[tokio::test]
async fn paths_of_requests_do_not_become_labels() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.job(&id).await;
    app.get("/no/such/path").await.expect(404);

    let metrics = app.get("/metrics").await.expect(200);

    assert!(!metrics.text.contains(&id) && !metrics.text.contains("such"), "{}", metrics.text);
}

#[tokio::test]
async fn a_workers_metrics_are_there_while_a_job_runs() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x", "params": { "duration_ms": 60_000 } })).await;
    app.until_state(&id, "running").await;

    let url = format!("{}/metrics", app.workers[0].url);
    let metrics = tokio::time::timeout(PROMPT, app.get_url(&url)).await.expect("an answer at once");

    let metrics = metrics.expect(200);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"), "{metrics:?}");
    assert!(metrics.text.contains("# TYPE jetlane_"), "{}", metrics.text);
}
