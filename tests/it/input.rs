//! Input that no sane client sends: always answered, never kept.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::harness::{Body, Reply, TestApp};

/// How many random bodies are sent.
const RANDOM_BODIES: usize = 300;

/// The reply is the client's mistake, and says so to a person.
#[track_caller]
fn assert_refused(reply: &Reply, input: &str) {
    assert!((400..500).contains(&reply.status), "{input:.200}: {} {}", reply.status, reply.text);
    reply.problem();
}

/// Nothing of what was sent is kept.
async fn assert_nothing_kept(app: &TestApp) {
    let counts =
        (app.count("jobs").await, app.count("job_events").await, app.count("outbox").await);
    assert_eq!(counts, (0, 0, 0));
}

/// `{"name":"x","params":{"a":[[[[…]]]]}}`
fn nested(depth: usize) -> String {
    format!("{{\"name\":\"x\",\"params\":{{\"a\":{}{}}}}}", "[".repeat(depth), "]".repeat(depth))
}

fn broken_bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = vec![
        nested(200).into(),
        nested(100_000).into(),
        "[".repeat(100_000).into(),
        "{\"a\":".repeat(50_000).into(),
        r#"{"name":"x","params":{"a":1e400}}"#.into(),
        r#"{"name":"x","params":{"a":-1e999}}"#.into(),
        r#"{"name":"x","priority":1e400}"#.into(),
        r#"{"name":"x","priority":9223372036854775808}"#.into(),
        r#"{"name":"x","priority":123456789012345678901234567890}"#.into(),
        r#"{"name":"x","priority":NaN}"#.into(),
        r#"{"name":"x","priority":-0.0}"#.into(),
        r#"{"name":"x","timeout":1e308}"#.into(),
        r#"{"name":"x","max_attempts":4294967296}"#.into(),
        r#"{"name":"\ud800"}"#.into(),
        r#"{"name":"x","params":{"a":"\udc00\ud800"}}"#.into(),
        b"{\"name\":\"\xff\xfe\"}".to_vec(),
        b"{\"name\":\"x\",\"params\":{\"\xc3\x28\":1}}".to_vec(),
        b"\x00".to_vec(),
        b"{\"name\":\"a\x00b\"}".to_vec(),
        b"{\"name\":\"a\nb\"}".to_vec(),
        b"name=x".to_vec(),
        b"{'name':'x'}".to_vec(),
        b"{\"name\":\"x\",}".to_vec(),
        b"{\"name\":\"x\"}{}".to_vec(),
    ];
    let nul_bodies = [
        json!({ "name": "a\0b" }),
        json!({ "name": "x", "params": { "a": "\0" } }),
        json!({ "name": "x", "params": { "a\0": 1 } }),
        json!({ "name": "x", "params": { "a": [{ "b": ["\0"] }] } }),
        json!({ "name": "x", "submitted_by": "\0" }),
        json!({ "name": "x", "concurrency_key": "k\0" }),
        json!({ "name": "x", "lane": "a\0" }),
        json!({ "name": "x", "tool": "simulate\0" }),
        json!({ "name": "x", "run_at": "2099-01-01T00:00:00Z\0" }),
        json!({ "name": "x", "\0": 1 }),
    ];
    bodies.extend(nul_bodies.iter().map(|body| body.to_string().into_bytes()));
    let lanes =
        ["a.b", "*", ">", "a b", "", " ", "A", "-a", "1a", "a\n", "é", "work.>", "a_b", "$SYS"];
    let too_long = "l".repeat(33);
    bodies.extend(
        lanes
            .iter()
            .copied()
            .chain([too_long.as_str()])
            .map(|lane| json!({ "name": "x", "lane": lane }).to_string().into_bytes()),
    );
    let dates = [
        "0000-00-00T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "+262142-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2099-02-30T00:00:00Z",
        "2099-01-01T25:00:00Z",
        "infinity",
        "",
    ];
    bodies.extend(
        dates.iter().map(|at| json!({ "name": "x", "run_at": at }).to_string().into_bytes()),
    );
    bodies
}

#[tokio::test]
async fn broken_bodies_are_refused_and_not_kept() {
    let app = TestApp::start().await;

    for body in broken_bodies() {
        let input = String::from_utf8_lossy(&body).into_owned();
        let reply = app.ask("POST", "/jobs", Body::JsonBytes(body)).await;
        assert_refused(&reply, &input);
    }

    assert_nothing_kept(&app).await;
}

#[tokio::test]
async fn broken_changes_are_refused_and_change_nothing() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "before" })).await;
    let before = app.job(&id).await;

    for body in broken_bodies() {
        let input = String::from_utf8_lossy(&body).into_owned();
        let reply = app.ask("PUT", &format!("/jobs/{id}"), Body::JsonBytes(body)).await;
        assert_refused(&reply, &input);
    }

    assert_eq!(app.job(&id).await, before);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_too_large() {
    let app = TestApp::start().await;

    let body = json!({ "name": "x", "params": { "a": "p".repeat(10 * 1024 * 1024) } });
    let reply = app.ask("POST", "/jobs", body).await.expect(413);

    assert_eq!(reply.problem()["type"], "/problems/too-large");
    assert_nothing_kept(&app).await;
}

#[tokio::test]
async fn odd_names_are_kept_as_they_are_or_refused() {
    let app = TestApp::start().await;

    for name in [
        "\u{1c}",
        "\u{85}",
        "\u{a0}",
        "\u{180e}",
        "\u{200b}",
        "\u{2028}",
        "\u{3000}",
        "\u{feff}",
        "\u{7f}",
        "\u{1f680}",
        "a\u{0301}",
        "%00",
        "'; DROP TABLE jobs; --",
        "$1",
        "\\",
        "\"",
        "{}",
        "\u{10ffff}",
        "null",
    ] {
        let reply = app.ask("POST", "/jobs", json!({ "name": name })).await;
        match reply.status {
            201 => assert_eq!(reply.json()["name"], name),
            _ => assert_eq!(reply.pointers(), ["/name"], "{name:?}"),
        }
    }
}

#[tokio::test]
async fn numbers_at_the_edge_are_kept_as_they_are() {
    let app = TestApp::start().await;

    for (field, number) in [
        ("priority", json!(i32::MAX)),
        ("priority", json!(i32::MIN)),
        ("timeout", json!(0.001)),
        ("timeout", json!(604_800.0)),
        ("max_attempts", json!(100)),
    ] {
        let mut job = json!({ "name": "x" });
        job[field] = number.clone();
        let id = app.submit(job).await;
        assert_eq!(app.job(&id).await[field], number, "{field}");
    }
}

#[tokio::test]
async fn big_numbers_in_params_survive_or_are_refused() {
    let app = TestApp::start().await;

    for number in ["9007199254740993", "18446744073709551615", "1e308", "-1e-308", "0.1"] {
        let body = format!("{{\"name\":\"x\",\"params\":{{\"a\":{number}}}}}");
        let reply = app.ask("POST", "/jobs", Body::JsonBytes(body.clone().into())).await;
        let sent: Value = serde_json::from_str(&body).unwrap();
        let id = reply.expect(201).json()["id"].as_str().unwrap().to_owned();
        assert_eq!(app.job(&id).await["params"], sent["params"], "{number}");
    }
}

#[tokio::test]
async fn due_times_at_the_edge_are_kept_or_refused() {
    let app = TestApp::start().await;

    for at in ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2098-12-31T23:59:60Z"] {
        let reply = app.ask("POST", "/jobs", json!({ "name": "x", "run_at": at })).await;
        match reply.status {
            201 => drop(app.job(reply.json()["id"].as_str().unwrap()).await),
            _ => assert_refused(&reply, at),
        }
    }
}

#[tokio::test]
async fn broken_paths_and_queries_are_refused() {
    let app = TestApp::start().await;

    for path in [
        "/jobs/%ff",
        "/jobs/%zz",
        "/jobs/%00",
        "/jobs/..%2f..%2fetc",
        "/jobs/00000000-0000-4000-8000-00000000000",
        "/jobs/'%20OR%201=1",
        "/jobs/x/events",
        "/jobs/x/result",
        "/jobs?limit=1&limit=2",
        "/jobs?limit=-1",
        "/jobs?limit=1e3",
        "/jobs?cursor=",
        "/jobs?cursor=%00",
        "/jobs?state=%ff",
        "/jobs?submitted_by=%00",
        "/jobs?%00=1",
        "/jobs?state=queued&state=queued",
        "/jobs?lane=*",
        "/events?job_id=>",
        "/events?lane=work.*",
        "/events?from=start&from=start",
        "/events?from=",
        "//",
        "/JOBS",
    ] {
        assert_refused(&app.get(path).await, path);
    }
}

#[tokio::test]
async fn broken_headers_are_refused_or_ignored() {
    let app = TestApp::start().await;

    for (name, value, status) in [
        ("x-jetlane-tenant", &b"a.b"[..], 422),
        ("x-jetlane-tenant", b"", 422),
        ("x-jetlane-tenant", b"\xff", 422),
        ("x-jetlane-tenant", b"*", 422),
        ("traceparent", b"nonsense", 201),
        ("traceparent", b"\xff", 201),
        ("x-forwarded-proto", b"gopher", 201),
    ] {
        let request = app.request("POST", "/jobs").header(name, value);
        let reply = app.send(request.json(&json!({ "name": "x" }))).await;
        assert_eq!(reply.status, status, "{name}: {value:?}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_last_event_id_of_no_text_is_answered_with_a_reset() {
    let app = TestApp::start().await;

    for id in ["\u{e9}", "-1-x:1", "1-00000000-0000-4000-8000-000000000000:99999999999"] {
        let mut watcher = app.watch_from("/events", id).await;
        watcher.until_frame("a reset", |frame| frame.event == "reset").await;
    }
}

/// Random JSON with the names of real fields in it, so that it gets past the door.
fn random_body() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["default", "simulate", "x", "2099-01-01T00:00:00Z", "a.b", "\0"])
            .prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(".*", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    let field = prop::sample::select(vec![
        "name",
        "params",
        "priority",
        "submitted_by",
        "tool",
        "lane",
        "run_at",
        "timeout",
        "max_attempts",
        "concurrency_key",
        "state",
        "id",
        "",
    ]);
    prop_oneof![
        1 => value.clone(),
        9 => prop::collection::hash_map(field.prop_map(str::to_owned), value, 0..6)
            .prop_map(|fields| Value::Object(fields.into_iter().collect())),
    ]
}

#[tokio::test]
async fn random_bodies_are_accepted_whole_or_refused_whole() {
    let app = TestApp::start().await;
    let mut runner = TestRunner::default();
    let mut accepted = 0;

    for _ in 0..RANDOM_BODIES {
        let body = random_body().new_tree(&mut runner).unwrap().current();
        let reply = app.ask("POST", "/jobs", body.clone()).await;
        if reply.status == 201 {
            accepted += 1;
            assert_eq!(reply.json()["name"], body["name"], "{body}");
        } else {
            assert_refused(&reply, &body.to_string());
        }
    }

    assert_eq!(app.count("jobs").await, accepted);
}

#[tokio::test]
async fn garbage_bytes_are_refused_and_not_kept() {
    let app = TestApp::start().await;
    let mut runner = TestRunner::default();
    let garbage = prop::collection::vec(any::<u8>(), 1..200);

    for _ in 0..100 {
        let body = garbage.new_tree(&mut runner).unwrap().current();
        let input = format!("{body:x?}");
        let reply = app.ask("POST", "/jobs", Body::JsonBytes(body)).await;
        assert_refused(&reply, &input);
    }

    assert_nothing_kept(&app).await;
}
