//! Watching on where another connection ended.

use serde_json::{Value, json};

use crate::harness::{Body, Event, TestApp, assert_gapless, kinds, without_repeats};

/// Runs some jobs to their end.
async fn given_finished_jobs(app: &TestApp, count: usize) -> Vec<String> {
    let ids = app.submit_each(0..count, |n| json!({ "name": format!("job {n}") })).await;
    for id in &ids {
        app.until_ended(id).await;
    }
    ids
}

fn identities(events: &[Event]) -> Vec<(String, i64)> {
    let mut identities: Vec<_> = events.iter().map(Event::identity).collect();
    identities.sort();
    identities
}

#[tokio::test]
async fn exactly_the_missed_events_come_after_dropping_repeats() {
    let app = TestApp::start().workers(1).await;
    let mut first = app.watch().await;
    let seen_jobs = given_finished_jobs(&app, 5).await;
    let seen = first.until_all_ended(&seen_jobs).await;
    drop(first);

    let missed_jobs = given_finished_jobs(&app, 5).await;
    let mut second = app.watch_from("/events", &seen.last().unwrap().id).await;

    second.until_all_ended(&missed_jobs).await;
    let all = [seen.clone(), second.events()].concat();
    let mut new = without_repeats(all).split_off(seen.len());
    new.sort_by_key(Event::identity);
    let kinds_each = ["queued", "running", "completed"];
    assert_eq!(kinds(&new), kinds_each.repeat(5));
    assert!(new.iter().all(|event| missed_jobs.contains(&event.job_id)), "{new:?}");
}

#[tokio::test]
async fn every_id_of_a_stream_is_a_place_to_go_on_from() {
    let app = TestApp::start().workers(1).await;
    let mut first = app.watch().await;
    let jobs = given_finished_jobs(&app, 4).await;
    let all = first.until_all_ended(&jobs).await;

    for (place, event) in all.iter().enumerate() {
        let mut resumed = app.watch_from("/events", &event.id).await;
        let missing = &all[place + 1..];
        let read = resumed
            .until("what was missed", |read| {
                let read = identities(read);
                missing.iter().all(|event| read.contains(&event.identity()))
            })
            .await;
        assert!(!identities(&read).contains(&event.identity()), "the event itself is not repeated");
    }
}

#[tokio::test]
async fn a_resumed_stream_goes_on_live() {
    let app = TestApp::start().workers(1).await;
    let mut first = app.watch().await;
    let jobs = given_finished_jobs(&app, 1).await;
    let seen = first.until_all_ended(&jobs).await;

    let mut second = app.watch_from("/events", &seen.last().unwrap().id).await;
    let jobs = given_finished_jobs(&app, 3).await;

    let events = second.until_all_ended(&jobs).await;
    assert_gapless(
        &events.into_iter().filter(|event| jobs.contains(&event.job_id)).collect::<Vec<_>>(),
    );
}

#[tokio::test]
async fn resuming_while_jobs_run_misses_nothing() {
    let app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;
    let mut seen = Vec::new();
    let mut jobs = Vec::new();

    for round in 0..10 {
        jobs.extend(app.submit_each(0..3, |n| json!({ "name": format!("{round}.{n}") })).await);
        let last = jobs.last().unwrap();
        watcher.until_kind(last, "queued").await;
        let events = watcher.events();
        let id = events.last().unwrap().id.clone();
        seen.extend(events);
        watcher = app.watch_from("/events", &id).await;
    }
    watcher
        .until("the end of the last jobs", |events| {
            let all = without_repeats([seen.clone(), events.to_vec()].concat());
            all.iter().filter(|event| event.kind == "completed").count() == jobs.len()
        })
        .await;

    let all = without_repeats([seen, watcher.events()].concat());
    let mut all_sorted = all;
    all_sorted.sort_by_key(|event| event.seq);
    assert_gapless(&all_sorted);
    assert_eq!(all_sorted.len(), jobs.len() * 3);
}

#[tokio::test]
async fn an_id_is_good_at_another_edge() {
    let app = TestApp::start().edges(2).workers(1).await;
    let mut here = app.watch().await;
    let seen_jobs = given_finished_jobs(&app, 2).await;
    let seen = here.until_all_ended(&seen_jobs).await;
    drop(here);

    let missed_jobs = given_finished_jobs(&app, 2).await;
    let mut there = app.watch_from("/events", &seen.last().unwrap().id).await;

    there.until_all_ended(&missed_jobs).await;
}

#[tokio::test]
async fn an_id_is_good_after_nats_has_lost_everything() {
    let mut app = TestApp::start().workers(1).await;
    let mut first = app.watch().await;
    let seen_jobs = given_finished_jobs(&app, 2).await;
    let seen = first.until_all_ended(&seen_jobs).await;
    let missed_jobs = given_finished_jobs(&app, 2).await;

    app.stop_nats().await;
    app.nats.wipe().await.unwrap();
    app.start_nats().await;

    let mut second = app.watch_from("/events", &seen.last().unwrap().id).await;
    second.until_all_ended(&missed_jobs).await;
}

#[tokio::test]
async fn an_id_is_good_after_a_restart_of_the_edge() {
    let mut app = TestApp::start().workers(1).await;
    let mut first = app.watch().await;
    let seen_jobs = given_finished_jobs(&app, 2).await;
    let seen = first.until_all_ended(&seen_jobs).await;
    let missed_jobs = given_finished_jobs(&app, 2).await;

    app.edges[0].process.kill().await;
    app.start_edge(&[]).await;

    let mut second = app.watch_from("/events", &seen.last().unwrap().id).await;
    second.until_all_ended(&missed_jobs).await;
}

#[tokio::test]
async fn a_jobs_own_stream_goes_on_after_an_id() {
    let app = TestApp::start().workers(1).await;
    let id = given_finished_jobs(&app, 1).await.remove(0);
    let path = format!("/jobs/{id}/events");
    let mut whole = app.watch_at(&path).await;
    let queued = whole.until_kind(&id, "queued").await;

    let mut rest = app.watch_from(&path, &queued.id).await;

    rest.until_kind(&id, "completed").await;
    assert_eq!(kinds(&rest.events_with_repeats()), ["running", "completed"]);
}

#[tokio::test]
async fn an_id_can_be_given_in_the_query() {
    let app = TestApp::start().workers(1).await;
    let id = given_finished_jobs(&app, 1).await.remove(0);
    let mut whole = app.watch_at(&format!("/jobs/{id}/events")).await;
    let running = whole.until_kind(&id, "running").await;

    let mut rest = app.watch_at(&format!("/events?after={}", running.id)).await;

    rest.until_kind(&id, "completed").await;
    assert_eq!(kinds(&rest.events_of(&id)), ["completed"]);
}

#[tokio::test]
async fn the_whole_past_comes_if_asked_for() {
    let app = TestApp::start().workers(1).await;
    let jobs = given_finished_jobs(&app, 3).await;

    let mut watcher = app.watch_at("/events?from=start").await;

    let events = watcher.until_all_ended(&jobs).await;
    assert_gapless(&events);
    assert_eq!(events.len(), 9);
}

#[tokio::test]
async fn a_long_past_comes_whole() {
    let app = TestApp::start().await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.sql(
        "INSERT INTO job_events
         SELECT job_id, n, 'updated', state, attempt, created_at, lane, tenant, xid, details
         FROM job_events, generate_series(2, 1700) AS n",
    )
    .await;

    let mut watcher = app.watch_at(&format!("/jobs/{id}/events")).await;

    let events = watcher.until("1,700 events", |events| events.len() >= 1700).await;
    assert_gapless(&events);
}

#[tokio::test]
async fn an_id_that_is_none_of_ours_is_answered_with_how_things_stand() {
    let app = TestApp::start().await;
    let job = app.submit(json!({ "name": "x" })).await;

    for id in ["17", "nonsense", "9999999999-00000000-0000-4000-8000-000000000000:1"] {
        let mut watcher = app.watch_from("/events", id).await;
        let reset = watcher.until_frame("a reset", |frame| frame.event == "reset").await;
        let data: Value = serde_json::from_str(&reset.data).unwrap();
        assert_eq!(data["jobs"][0]["id"], json!(job), "{id}");
    }
}

#[tokio::test]
async fn after_a_reset_the_stream_goes_on_live() {
    let app = TestApp::start().await;
    let mut watcher = app.watch_from("/events", "nonsense").await;
    watcher.until_frame("a reset", |frame| frame.event == "reset").await;

    let id = app.submit(json!({ "name": "x" })).await;

    watcher.until_kind(&id, "queued").await;
}

#[tokio::test]
async fn the_history_of_a_removed_job_is_resumed_too() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;
    let id = app.submit(json!({ "name": "x" })).await;
    let queued = watcher.until_kind(&id, "queued").await;
    drop(watcher);

    app.ask("DELETE", &format!("/jobs/{id}"), Body::None).await.expect(204);

    let mut resumed = app.watch_from("/events", &queued.id).await;
    resumed.until_kind(&id, "deleted").await;
}

#[tokio::test]
async fn who_has_seen_no_event_yet_resumes_too() {
    let app = TestApp::start().await;
    let mut quiet = app.watch().await;
    let first = quiet.until_frame("an id", |frame| !frame.id.is_empty()).await;
    assert!(first.data.is_empty(), "nothing has happened: {first:?}");
    drop(quiet);
    let id = app.submit(json!({ "name": "meanwhile" })).await;

    let mut resumed = app.watch_from("/events", &first.id).await;

    resumed.until_kind(&id, "queued").await;
}
