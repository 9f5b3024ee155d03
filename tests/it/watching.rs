//! `/events` and `/jobs/{id}/events`: every change, to everyone who watches.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::harness::{Event, TestApp, Watcher, assert_gapless, by_job, kinds};

/// How long a comment may keep a quiet stream waiting.
const KEEPALIVE: Duration = Duration::from_secs(17);

/// Waits until the watcher knows the end of `count` jobs.
async fn until_ends(watcher: &mut Watcher, count: usize) -> Vec<Event> {
    watcher
        .until("the end of every job", |events| {
            events.iter().filter(|event| event.kind == "completed").count() == count
        })
        .await
}

#[tokio::test]
async fn a_stream_says_that_it_is_one_and_must_not_be_kept() {
    let app = TestApp::start().await;

    let headers = app.watch().await.headers.clone();

    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert!(header("content-type").starts_with("text/event-stream"), "{headers:?}");
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("x-accel-buffering"), "no");
}

#[tokio::test]
async fn the_first_frame_says_that_the_stream_is_connected() {
    let app = TestApp::start().await;

    let first = app.watch().await.frames().remove(0);

    let data: Value = serde_json::from_str(&first.data).unwrap();
    assert_eq!(data, json!({ "type": "connected", "message": "SSE stream established" }));
    assert_eq!((first.id, first.event), (String::new(), String::new()));
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;

    watcher.until_frame("a comment at the start", |frame| frame.comment.is_some()).await;
    let comments = |watcher: &Watcher| {
        watcher
            .frames()
            .iter()
            .filter(|frame| frame.comment.as_deref() == Some("keepalive"))
            .count()
    };
    let before = comments(&watcher);

    app.within(KEEPALIVE, "another comment", async || (comments(&watcher) > before).then_some(()))
        .await;
}

#[tokio::test]
async fn a_watcher_sees_a_jobs_life_in_order() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;

    let id = app.submit(json!({ "name": "x" })).await;

    watcher.until_kind(&id, "completed").await;
    let events = watcher.events_of(&id);
    assert_eq!(kinds(&events), ["queued", "running", "completed"]);
    assert_gapless(&events);
}

#[tokio::test]
async fn an_event_has_what_a_reader_needs() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;

    let id = app.submit(json!({ "name": "x" })).await;

    watcher.until_kind(&id, "completed").await;
    for event in watcher.events_of(&id) {
        for field in ["job_id", "kind", "state", "timestamp", "lane", "name", "sent_at"] {
            assert!(event.json[field].is_string(), "{field}: {}", event.json);
        }
        assert!(event.json["seq"].is_i64() && event.json["attempt"].is_i64(), "{}", event.json);
        let timestamp = event.json["timestamp"].as_str().unwrap();
        assert!(chrono::DateTime::parse_from_rfc3339(timestamp).is_ok(), "{timestamp}");
    }
}

#[tokio::test]
async fn a_running_event_names_the_job_and_who_runs_it() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;

    let id = app.submit(json!({ "name": "a name" })).await;

    let running = watcher.until_kind(&id, "running").await;
    assert_eq!((&running.json["name"], running.attempt), (&json!("a name"), 1));
    assert!(running.json["worker"].is_string() && running.json["gpu_id"].is_u64(), "{running:?}");
}

#[tokio::test]
async fn a_final_event_tells_where_and_how_long_the_job_ran() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;

    let id = app.submit(json!({ "name": "a name", "params": { "duration_ms": 300 } })).await;

    let end = watcher.until_kind(&id, "completed").await.json;
    assert_eq!(end["name"], "a name");
    assert!(end["worker"].is_string() && end["gpu_id"].is_u64(), "{end}");
    let seconds = end["execution_time"].as_f64().unwrap();
    assert!((0.3..3.0).contains(&seconds), "{end}");
}

#[tokio::test]
async fn a_failure_is_told_with_its_error() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;

    let id = app.submit(json!({ "name": "x", "params": { "fail": "permanent" } })).await;

    let end = watcher.until_kind(&id, "failed").await.json;
    assert_eq!(end["error"]["type"], "permanent");
    assert!(end["error"]["message"].is_string() && end["execution_time"].is_f64(), "{end}");
}

#[tokio::test]
async fn a_live_event_tells_when_it_was_committed_published_and_sent() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;

    let id = app.submit(json!({ "name": "x" })).await;

    let event = watcher.until_kind(&id, "queued").await;
    let at = |name: &str| {
        let text = event.json[name].as_str().unwrap_or_else(|| panic!("{name}: {event:?}"));
        chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    };
    let hops = [at("committed_at"), at("published_at"), at("sent_at"), event.read_at];
    assert!(hops.is_sorted(), "{hops:?}");
}

#[tokio::test]
async fn all_watchers_see_the_same_events_of_each_job() {
    let app = TestApp::start().workers(1).await;
    let mut watchers = [app.watch().await, app.watch().await, app.watch().await];

    app.submit_each(0..5, |n| json!({ "name": format!("job {n}") })).await;

    let mut seen = Vec::new();
    for watcher in &mut watchers {
        until_ends(watcher, 5).await;
        let events = watcher.events_with_repeats();
        seen.push(events.into_iter().map(|event| event.json).collect::<Vec<_>>());
    }
    assert_eq!((&seen[1], &seen[2]), (&seen[0], &seen[0]));
}

#[tokio::test]
async fn watchers_of_another_edge_see_the_same_events() {
    let app = TestApp::start().edges(2).workers(1).await;
    let mut here = app.watch().await;
    let mut there = app.watch_from("/events", "").await;

    app.submit_each(0..5, |n| json!({ "name": format!("job {n}") })).await;

    let identities = |events: Vec<Event>| {
        let jobs = by_job(&events);
        jobs.into_values().map(|e| e.iter().map(Event::identity).collect::<Vec<_>>()).collect()
    };
    let here: Vec<_> = identities(until_ends(&mut here, 5).await);
    let there: Vec<_> = identities(until_ends(&mut there, 5).await);
    assert_eq!(here, there);
}

#[tokio::test]
async fn nats_subscribers_get_what_watchers_get() {
    let app = TestApp::start().workers(1).await;
    let nats = app.nats_client().await;
    let mut subscription = nats.subscribe("jobs.>").await.unwrap();
    nats.flush().await.unwrap();
    let mut watcher = app.watch().await;

    let id = app.submit(json!({ "name": "x" })).await;
    watcher.until_kind(&id, "completed").await;

    let mut frames = Vec::new();
    for mut event in watcher.events_of(&id) {
        event.json.as_object_mut().unwrap().remove("sent_at");
        frames.push((format!("jobs.{id}.{}", event.kind), event.json));
    }
    let mut messages = Vec::new();
    while messages.len() < frames.len() {
        let message = app.race(subscription.next()).await.unwrap();
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        messages.push((message.subject.to_string(), payload));
    }
    assert_eq!(messages, frames);
}

#[tokio::test]
async fn a_new_watcher_gets_no_past() {
    let app = TestApp::start().workers(1).await;
    let mut earlier = app.watch().await;
    let old = app.submit(json!({ "name": "old" })).await;
    earlier.until_kind(&old, "completed").await;

    let mut watcher = app.watch().await;
    let new = app.submit(json!({ "name": "new" })).await;
    watcher.until_kind(&new, "completed").await;

    assert_eq!(watcher.events_of(&old), []);
}

#[tokio::test]
async fn a_jobs_own_stream_begins_with_its_history() {
    let app = TestApp::start().workers(1).await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.submit(json!({ "name": "another" })).await;
    app.until_state(&id, "completed").await;

    let mut watcher = app.watch_at(&format!("/jobs/{id}/events")).await;

    watcher.until_kind(&id, "completed").await;
    assert_eq!(kinds(&watcher.events_with_repeats()), ["queued", "running", "completed"]);
}

#[tokio::test]
async fn a_jobs_own_stream_goes_on_live() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;
    let mut watcher = app.watch_at(&format!("/jobs/{id}/events")).await;
    watcher.until_kind(&id, "queued").await;

    app.cancel(&id).await.expect(200);

    watcher.until_kind(&id, "cancelled").await;
    assert_eq!(kinds(&watcher.events_with_repeats()), ["queued", "cancelled"]);
}

#[tokio::test]
async fn the_stream_of_an_unknown_job_is_not_found() {
    let app = TestApp::start().await;

    app.get("/jobs/00000000-0000-4000-8000-000000000000/events").await.expect(404).problem();
}

#[tokio::test]
async fn a_stream_is_filtered_by_job() {
    let app = TestApp::start().await;
    let mut earlier = app.watch().await;
    let later = json!({ "name": "x", "run_at": "2099-01-01T00:00:00Z" });
    let (a, b) = (app.submit(later.clone()).await, app.submit(later.clone()).await);
    let c = app.submit(later).await;
    earlier.until_kind(&c, "scheduled").await;
    let mut watcher = app.watch_at(&format!("/events?job_id={a}&job_id={c}")).await;

    for id in [&b, &a, &c] {
        app.cancel(id).await.expect(200);
    }

    watcher.until_kind(&c, "cancelled").await;
    let jobs: Vec<_> = watcher.events().into_iter().map(|event| event.job_id).collect();
    assert_eq!(jobs, [a, c]);
}

#[tokio::test]
async fn a_stream_is_filtered_by_lane_and_state() {
    let app = TestApp::start().await;
    app.given_lane("gpu").await;
    let mut watcher = app.watch_at("/events?lane=gpu&state=cancelled").await;

    for lane in ["default", "gpu"] {
        let id = app.submit(json!({ "name": "x", "lane": lane })).await;
        app.cancel(&id).await.expect(200);
    }

    let events = watcher.until("an event", |events| !events.is_empty()).await;
    let seen: Vec<_> = events.iter().map(|e| (&e.json["lane"], e.kind.as_str())).collect();
    assert_eq!(seen, [(&json!("gpu"), "cancelled")]);
}

#[tokio::test]
async fn a_wrong_filter_is_named() {
    let app = TestApp::start().await;

    for (query, name) in [
        ("job_id=x", "job_id"),
        ("lane=a.b", "lane"),
        ("state=done", "state"),
        ("from=end", "from"),
        ("colour=red", "colour"),
    ] {
        let problem = app.get(&format!("/events?{query}")).await.expect(422).problem();
        assert_eq!(problem["errors"][0]["parameter"], name, "{query}");
    }
}

#[tokio::test]
async fn a_tenant_watches_its_own_jobs_only() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;

    let theirs = app.request("POST", "/jobs").header("x-jetlane-tenant", "other");
    app.send(theirs.json(&json!({ "name": "theirs" }))).await.expect(201);
    let ours = app.submit(json!({ "name": "ours" })).await;

    watcher.until_kind(&ours, "queued").await;
    assert_eq!(watcher.events().len(), 1);
}

#[tokio::test]
async fn a_trace_context_is_carried_from_the_request_to_the_messages() {
    let app = TestApp::start().workers(1).await;
    let nats = app.nats_client().await;
    let mut subscription = nats.subscribe("jobs.*.completed").await.unwrap();
    nats.flush().await.unwrap();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    let request = app.request("POST", "/jobs").header("traceparent", traceparent);
    app.send(request.json(&json!({ "name": "x" }))).await.expect(201);

    let message = app.race(subscription.next()).await.unwrap();
    assert_eq!(message.headers.unwrap().get("traceparent").unwrap().as_str(), traceparent);
}
