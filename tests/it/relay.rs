//! What could not be told at once is told later: nothing committed stays unheard.

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::harness::{Event, TestApp, assert_gapless, kinds, now};

async fn outbox_is_empty(app: &TestApp) {
    app.eventually("nothing is owed to NATS", async || {
        (app.count("outbox").await == 0).then_some(())
    })
    .await;
}

/// The events that JetStream holds, in its order.
async fn stored(app: &TestApp) -> Vec<Event> {
    let jetstream = async_nats::jetstream::new(app.nats_client().await);
    let stream = jetstream.get_stream("JOBS").await.unwrap();
    let count = stream.cached_info().state.messages;
    let consumer = stream
        .create_consumer(async_nats::jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut events = Vec::new();
    for _ in 0..count {
        let message = app.race(messages.next()).await.unwrap().unwrap();
        let json: Value = serde_json::from_slice(&message.payload).unwrap();
        events.push(Event::read("", json, now()).unwrap());
    }
    events
}

#[tokio::test]
async fn what_was_told_is_owed_no_more() {
    let app = TestApp::start().workers(1).await;

    let ids = app.submit_each(0..10, |n| json!({ "name": format!("{n}") })).await;
    for id in &ids {
        app.until_ended(id).await;
    }

    outbox_is_empty(&app).await;
}

#[tokio::test]
async fn every_event_is_stored_once_and_in_order() {
    let app = TestApp::start().workers(1).await;
    let ids = app.submit_each(0..10, |n| json!({ "name": format!("{n}") })).await;
    for id in &ids {
        app.until_ended(id).await;
    }
    outbox_is_empty(&app).await;

    let mut events = stored(&app).await;

    assert_eq!(events.len(), 30);
    events.sort_by_key(|event| event.seq);
    assert_gapless(&events);
}

#[tokio::test]
async fn jobs_accepted_without_nats_are_announced_when_it_is_there() {
    let mut app = TestApp::start().await;
    app.stop_nats().await;
    let ids = app.submit_each(0..5, |n| json!({ "name": format!("{n}") })).await;

    app.start_nats().await;

    outbox_is_empty(&app).await;
    let events = stored(&app).await;
    assert_eq!(kinds(&events), ["queued"; 5]);
    assert!(ids.iter().all(|id| events.iter().any(|event| event.job_id == *id)));
}

#[tokio::test]
async fn a_whole_life_without_nats_reaches_watchers_without_a_gap() {
    let mut app = TestApp::start().workers(1).var("POLL_INTERVAL", "1").await;
    let mut watcher = app.watch().await;
    app.stop_nats().await;
    let ids = app.submit_each(0..5, |n| json!({ "name": format!("{n}") })).await;
    for id in &ids {
        app.until_ended(id).await;
    }

    app.start_nats().await;

    let events = watcher.until_all_ended(&ids).await;
    assert_gapless(&events);
    assert_eq!(events.len(), 15);
}

#[tokio::test]
async fn the_rows_of_a_dead_edge_are_sent_by_another_process() {
    let mut app = TestApp::start().await;
    app.stop_nats().await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.edges[0].process.kill().await;

    app.start_edge(&[]).await;
    app.start_nats().await;

    outbox_is_empty(&app).await;
    assert_eq!(stored(&app).await[0].job_id, id);
}

#[tokio::test]
async fn a_worker_relays_what_a_dead_edge_owes() {
    let mut app = TestApp::start().await;
    app.stop_nats().await;
    let id = app.submit(json!({ "name": "x" })).await;
    app.edges[0].process.kill().await;

    app.start_nats().await;
    app.start_worker(&[("POLL_INTERVAL", "1"), ("GPU_COUNT", "0")]).await;

    outbox_is_empty(&app).await;
    assert_eq!(stored(&app).await[0].job_id, id);
}

#[tokio::test]
async fn a_wiped_store_heals_without_a_restart() {
    let mut app = TestApp::start().workers(1).await;
    let mut watcher = app.watch().await;
    let before = app.submit(json!({ "name": "before" })).await;
    watcher.until_kind(&before, "completed").await;

    app.stop_nats().await;
    app.nats.wipe().await.unwrap();
    app.start_nats().await;

    let after = app.submit(json!({ "name": "after" })).await;
    watcher.until_kind(&after, "completed").await;
    assert_gapless(&watcher.events());
}

#[tokio::test]
async fn a_removed_stream_is_made_again() {
    let app = TestApp::start().workers(1).await;
    let jetstream = async_nats::jetstream::new(app.nats_client().await);
    for stream in ["WORK", "JOBS", "OUTPUT", "DEAD_LETTERS"] {
        jetstream.delete_stream(stream).await.unwrap();
    }

    app.eventually("the streams are there again", async || {
        (app.streams().await.len() == 4).then_some(())
    })
    .await;

    let id = app.submit(json!({ "name": "x" })).await;
    app.until_state(&id, "completed").await;
    outbox_is_empty(&app).await;
}

#[tokio::test]
async fn a_removed_consumer_is_made_again() {
    let app = TestApp::start().workers(1).without_sweep().await;
    let jetstream = async_nats::jetstream::new(app.nats_client().await);
    let work = jetstream.get_stream("WORK").await.unwrap();
    app.eventually("the worker has its consumer", async || {
        work.delete_consumer("worker-default").await.ok()
    })
    .await;

    let id = app.submit(json!({ "name": "x" })).await;

    app.until_state(&id, "completed").await;
}
