//! `POST /jobs`: what is accepted, what is answered, what is refused.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Body, TestApp};

/// The fields of `job` that these tests fix.
fn picked<const N: usize>(job: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| job[name].clone())
}

#[tokio::test]
async fn a_name_is_all_that_a_job_needs() {
    let app = TestApp::start().await;

    let job = app.ask("POST", "/jobs", json!({ "name": "Test Job" })).await.expect(201).json();

    assert_eq!(
        picked(&job, ["name", "params", "priority", "state", "submitted_by", "lane", "attempt"]),
        [
            json!("Test Job"),
            json!({}),
            json!(0),
            json!("queued"),
            json!(null),
            json!("default"),
            json!(0)
        ]
    );
}

#[tokio::test]
async fn an_id_is_a_uuid_and_times_are_rfc_3339_with_microseconds() {
    let app = TestApp::start().await;

    let job = app.ask("POST", "/jobs", json!({ "name": "Test Job" })).await.expect(201).json();

    let id: uuid::Uuid = job["id"].as_str().unwrap().parse().unwrap();
    let created_at = job["created_at"].as_str().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert!(chrono::DateTime::parse_from_rfc3339(created_at).is_ok(), "{created_at}");
    assert_eq!(created_at.len(), "2026-01-31T12:00:00.000000Z".len(), "{created_at}");
}

#[tokio::test]
async fn a_full_description_is_echoed() {
    let app = TestApp::start().await;
    app.given_lane("gpu").await;
    let description = json!({
        "name": "Full",
        "params": { "gpu_count": 4, "memory": "32GB", "deep": { "list": [1, null, "x"] } },
        "priority": 10,
        "submitted_by": "test_user",
        "tool": "simulate",
        "lane": "gpu",
        "run_at": "2099-01-31T12:00:00.123456Z",
        "timeout": 2.5,
        "max_attempts": 7,
        "concurrency_key": "one at a time",
    });

    let job = app.ask("POST", "/jobs", description.clone()).await.expect(201).json();

    for (name, value) in description.as_object().unwrap() {
        assert_eq!(job[name], *value, "{name}");
    }
}

#[tokio::test]
async fn an_answer_says_where_to_go_on() {
    let app = TestApp::start().await;

    let reply = app.ask("POST", "/jobs", json!({ "name": "x" })).await.expect(201);

    let job = reply.json();
    let status = app.url(&format!("/jobs/{}", job["id"].as_str().unwrap()));
    assert_eq!(reply.header("location"), status);
    assert_eq!(
        job["urls"],
        json!({
            "status": status,
            "events": format!("{status}/events"),
            "cancel": format!("{status}/cancel"),
            "result": format!("{status}/result"),
        })
    );
}

#[tokio::test]
async fn urls_begin_as_the_public_url_says() {
    let app = TestApp::start().var("PUBLIC_URL", "https://jobs.example/api/").await;

    let reply = app.ask("POST", "/jobs", json!({ "name": "x" })).await.expect(201);

    assert!(reply.header("location").starts_with("https://jobs.example/api/jobs/"));
}

#[tokio::test]
async fn a_job_is_what_the_answer_said() {
    let app = TestApp::start().await;

    let answered = app.ask("POST", "/jobs", json!({ "name": "x" })).await.expect(201).json();

    assert_eq!(app.job(answered["id"].as_str().unwrap()).await, answered);
}

#[tokio::test]
async fn a_job_for_later_is_scheduled() {
    let app = TestApp::start().await;

    let id = app.submit(json!({ "name": "x", "run_at": "2099-01-01T00:00:00Z" })).await;

    assert_eq!(app.state(&id).await, "scheduled");
}

#[tokio::test]
async fn a_due_time_may_have_any_zone() {
    let app = TestApp::start().await;

    let id = app.submit(json!({ "name": "x", "run_at": "2099-01-01T00:00:00+02:00" })).await;

    assert_eq!(app.job(&id).await["run_at"], "2098-12-31T22:00:00.000000Z");
}

#[tokio::test]
async fn acceptance_is_an_event() {
    let app = TestApp::start().await;

    let id = app.submit(json!({ "name": "x" })).await;

    assert_eq!(app.kinds(&id).await, ["queued"]);
}

/// Each body, and the fields that the refusal must point at.
fn refused() -> Vec<(Value, Vec<&'static str>)> {
    vec![
        (json!({}), vec!["/name"]),
        (json!({ "name": "" }), vec!["/name"]),
        (json!({ "name": " \t\n" }), vec!["/name"]),
        (json!({ "name": null }), vec!["/name"]),
        (json!({ "name": 7 }), vec!["/name"]),
        (json!({ "name": "n".repeat(513) }), vec!["/name"]),
        (json!({ "name": "x", "params": [1] }), vec!["/params"]),
        (json!({ "name": "x", "params": null }), vec!["/params"]),
        (json!({ "name": "x", "params": "{}" }), vec!["/params"]),
        (json!({ "name": "x", "params": { "a": "p".repeat(256 * 1024) } }), vec!["/params"]),
        (json!({ "name": "x", "priority": "high" }), vec!["/priority"]),
        (json!({ "name": "x", "priority": 2.5 }), vec!["/priority"]),
        (json!({ "name": "x", "priority": null }), vec!["/priority"]),
        (json!({ "name": "x", "priority": 99_999_999_999_i64 }), vec!["/priority"]),
        (json!({ "name": "x", "priority": -2_147_483_649_i64 }), vec!["/priority"]),
        (json!({ "name": "x", "submitted_by": 1 }), vec!["/submitted_by"]),
        (json!({ "name": "x", "lane": "nowhere" }), vec!["/lane"]),
        (json!({ "name": "x", "tool": "magic" }), vec!["/tool"]),
        (json!({ "name": "x", "run_at": "tomorrow" }), vec!["/run_at"]),
        (json!({ "name": "x", "run_at": "2099-01-01T00:00:00" }), vec!["/run_at"]),
        (json!({ "name": "x", "timeout": 0 }), vec!["/timeout"]),
        (json!({ "name": "x", "timeout": -1 }), vec!["/timeout"]),
        (json!({ "name": "x", "max_attempts": 0 }), vec!["/max_attempts"]),
        (json!({ "name": "x", "concurrency_key": "" }), vec!["/concurrency_key"]),
        (json!({ "name": "x", "state": "completed" }), vec!["/state"]),
        (json!({ "name": "x", "id": "00000000-0000-0000-0000-000000000000" }), vec!["/id"]),
        (json!({ "name": "", "priority": "high", "a/b": 1 }), vec!["/name", "/priority", "/a~1b"]),
        (json!([]), vec![""]),
        (json!("x"), vec![""]),
        (json!(null), vec![""]),
    ]
}

#[tokio::test]
async fn a_refusal_points_at_every_wrong_field() {
    let app = TestApp::start().await;

    for (body, pointers) in refused() {
        let reply = app.ask("POST", "/jobs", body.clone()).await;
        assert_eq!(reply.pointers(), pointers, "{:.200}", body.to_string());
    }
}

#[tokio::test]
async fn what_is_refused_does_not_reach_the_ledger() {
    let app = TestApp::start().await;

    for (body, _) in refused() {
        app.ask("POST", "/jobs", body).await;
    }

    assert_eq!((app.count("jobs").await, app.count("job_events").await), (0, 0));
}

/// Many of them go by one statement.
#[tokio::test]
async fn jobs_submitted_at_once_fare_each_for_itself() {
    let app = TestApp::start().await;
    let lane = |n: usize| if n.is_multiple_of(20) { "nowhere" } else { "default" };
    let submits = (0..60)
        .map(|n| app.ask("POST", "/jobs", json!({ "name": format!("job {n}"), "lane": lane(n) })));

    let replies = join_all(submits).await;

    for (n, reply) in replies.into_iter().enumerate() {
        if lane(n) == "nowhere" {
            assert_eq!(reply.expect(422).pointers(), ["/lane"]);
        } else {
            let job = reply.expect(201).json();
            assert_eq!(job["name"], format!("job {n}"));
            assert_eq!(app.job(job["id"].as_str().unwrap()).await["name"], format!("job {n}"));
        }
    }
}

#[tokio::test]
async fn what_is_no_json_is_a_bad_request() {
    let app = TestApp::start().await;

    for body in ["{bad", "{\"name\":\"x\"", "", "  ", "\u{feff}{\"name\":\"x\"}"] {
        let reply = app.ask("POST", "/jobs", Body::JsonBytes(body.into())).await;
        assert_eq!(reply.status, 400, "{body:?}");
        reply.problem();
    }
}

#[tokio::test]
async fn no_body_is_a_bad_request() {
    let app = TestApp::start().await;

    let reply = app.ask("POST", "/jobs", Body::None).await.expect(400);

    assert_eq!(reply.problem()["type"], "/problems/not-json");
}

#[tokio::test]
async fn a_body_that_is_not_said_to_be_json_is_an_unsupported_media_type() {
    let app = TestApp::start().await;

    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        let request = app.request("POST", "/jobs").header("content-type", media_type);
        let reply = app.send(request.body("{\"name\":\"x\"}")).await.expect(415);
        assert_eq!(reply.problem()["type"], "/problems/unsupported-media-type");
    }
}

#[tokio::test]
async fn a_charset_or_a_json_suffix_is_json_too() {
    let app = TestApp::start().await;

    for media_type in ["application/json; charset=utf-8", "application/vnd.api+json"] {
        let request = app.request("POST", "/jobs").header("content-type", media_type);
        app.send(request.body("{\"name\":\"x\"}")).await.expect(201);
    }
}

#[tokio::test]
async fn tenants_do_not_see_each_others_jobs() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "mine" })).await;

    let request = app.request("GET", &format!("/jobs/{id}")).header("x-jetlane-tenant", "other");

    app.send(request).await.expect(404);
}
