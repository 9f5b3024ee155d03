//! What others build on, as text: a change of it is seen in review.
//!
//! `JETLANE_GOLDEN=write cargo test -p jetlane-tests golden` writes the files anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{TestApp, workspace};

/// Compares with the file of this name, or writes it if asked to.
#[track_caller]
fn assert_golden(name: &str, text: &str) {
    let path = workspace().join("tests/golden").join(name);
    if std::env::var_os("JETLANE_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "{name} differs; if that is meant, set JETLANE_GOLDEN=write.\n--- golden\n{golden}\n--- now\n{text}"
    );
}

/// One value a line.
fn lines(values: impl IntoIterator<Item = impl Into<String>>) -> String {
    values.into_iter().map(|value| value.into() + "\n").collect()
}

/// `name type` of each metric.
fn metric_names(text: &str) -> String {
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines(names.collect::<BTreeSet<_>>())
}

#[test]
fn problem_types() {
    assert_golden("problems.txt", &lines(jetlane_functions::problem::PROBLEM_TYPES));
}

#[tokio::test]
async fn metrics_of_an_edge() {
    let app = TestApp::start().workers(1).await;
    let _watcher = app.watch().await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.until_ended(&id).await;

    let metrics = app.get("/metrics").await.expect(200);

    assert_golden("edge-metrics.txt", &metric_names(&metrics.text));
}

#[tokio::test]
async fn metrics_of_a_worker() {
    let app = TestApp::start().workers(1).await;
    // Some metrics appear when they are touched: by a bell that finds the worker
    // waiting, by a renewal.
    for duration_ms in [1, 2000] {
        let id = app.submit(json!({ "name": "x", "params": { "duration_ms": duration_ms } })).await;
        app.until_ended(&id).await;
    }

    let metrics = app.get_url(&format!("{}/metrics", app.workers[0].url)).await.expect(200);

    assert_golden("worker-metrics.txt", &metric_names(&metrics.text));
}

#[tokio::test]
async fn every_metric_is_named_for_the_product() {
    let app = TestApp::start().workers(1).await;

    for url in [&app.edges[0].url, &app.workers[0].url] {
        let metrics = app.get_url(&format!("{url}/metrics")).await.expect(200);
        for name in metric_names(&metrics.text).lines() {
            assert!(name.starts_with("jetlane_"), "{name}");
        }
    }
}

#[tokio::test]
async fn streams_and_consumers() {
    let app = TestApp::start().workers(1).await;
    app.eventually("the worker listens", async || (app.consumers().await > 0).then_some(())).await;

    let mut text = String::new();
    for (name, stream) in app.streams().await {
        writeln!(text, "stream {name}").unwrap();
        let fields = [
            "subjects",
            "retention",
            "storage",
            "discard",
            "max_age",
            "max_msgs",
            "max_bytes",
            "max_msgs_per_subject",
            "duplicate_window",
        ];
        write_fields(&mut text, &stream["config"], &fields);
        for consumer in stream["consumer_detail"].as_array().into_iter().flatten() {
            writeln!(text, "consumer {}", consumer["name"].as_str().unwrap()).unwrap();
            let fields =
                ["filter_subject", "ack_policy", "ack_wait", "max_deliver", "max_ack_pending"];
            write_fields(&mut text, &consumer["config"], &fields);
        }
    }
    assert_golden("topology.txt", &text);
}

fn write_fields(text: &mut String, config: &Value, fields: &[&str]) {
    for field in fields {
        writeln!(text, "    {field}: {}", config[*field]).unwrap();
    }
}

#[tokio::test]
async fn every_stream_is_bounded_and_on_disk() {
    let app = TestApp::start().await;

    for (name, stream) in app.streams().await {
        let config = &stream["config"];
        assert_eq!(config["storage"], "file", "{name}");
        assert!(config["max_age"].as_u64().is_some_and(|age| age > 0), "{name}");
        let is_bounded = |field: &str| config[field].as_i64().is_some_and(|bound| bound > 0);
        assert!(is_bounded("max_bytes") || is_bounded("max_msgs_per_subject"), "{name}: {config}");
    }
}

#[tokio::test]
async fn the_events_of_all_jobs_are_in_one_stream() {
    let app = TestApp::start().await;

    let streams = app.streams().await;

    assert_eq!(streams["JOBS"]["config"]["subjects"], json!(["jobs.>"]));
}

#[tokio::test]
async fn schema() {
    let app = TestApp::start().edges(0).await;

    let dump: Vec<String> = sqlx::query_scalar(
        r"
        SELECT line FROM (
            SELECT 1, table_name::text, ordinal_position::int, format(
                'column %s.%s %s%s%s', table_name, column_name, data_type,
                CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END,
                COALESCE(' DEFAULT ' || column_default, '')
            )
            FROM information_schema.columns
            WHERE table_schema = 'public'
            UNION ALL
            SELECT 2, conrelid::regclass::text, 0,
                   format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
            FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
            UNION ALL
            SELECT 3, tablename::text, 0, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL
            SELECT 4, proname::text, 0, pg_get_functiondef(oid)
            FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace
        ) AS dump (section, owner, place, line)
        WHERE owner NOT LIKE '\_sqlx%'
          -- A week's partition is as the table is, and the weeks go on.
          AND owner !~ '_[0-9]{8}$'
        ORDER BY section, owner, place, line
        ",
    )
    .fetch_all(&app.ledger)
    .await
    .unwrap();

    assert_golden("schema.txt", &lines(dump));
}
