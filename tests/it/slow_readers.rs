//! Clients that read too slowly, or not at all, or go away: nobody else's trouble.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Url;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

use crate::harness::TestApp;

/// What the system may keep for a reader that does not read: some megabytes of
/// socket buffers, and the frames that a watcher may lag behind.
const FLOOD: usize = 12_000;
const PADDING: usize = 2_000;

/// Enough of it for a reader that stalls to have fallen behind.
const HEARD: f64 = 10_000.0;

/// The header that names an event's transaction in the ledger.
const XID_HEADER: &str = "Jetlane-Xid";

/// A transaction that no test's ledger reaches.
const FAR_AHEAD: i64 = 1 << 40;

/// How many events the edge has shown to its watchers.
async fn events_heard(app: &TestApp) -> f64 {
    let metrics = app.get("/metrics").await.text;
    let lines = metrics.lines().filter(|line| line.starts_with("jetlane_events_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

async fn connect(app: &TestApp) -> TcpStream {
    let url: Url = app.url("/").parse().unwrap();
    let address: SocketAddr = url.socket_addrs(|| None).unwrap()[0];
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// Opens a stream, reads its first bytes, and never reads again.
async fn given_a_stalled_reader(app: &TestApp) -> TcpStream {
    let mut stream = connect(app).await;
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: edge\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.windows(9).any(|bytes| bytes == b"connected") {
        let read = app.race(stream.read_buf(&mut head)).await.unwrap();
        assert!(read > 0, "the stream ended: {head:?}");
    }
    stream
}

/// Sends the edge more events, as over the feed, than anybody can buffer.
async fn flood(app: &TestApp) {
    let nats = app.nats_client().await;
    let mut feed = nats.subscribe("jobs.*.queued").await.unwrap();
    nats.flush().await.unwrap();
    let id = app.submit(json!({ "name": "the pattern" })).await;
    let pattern = app.race(feed.next()).await.unwrap();
    let mut headers = pattern.headers.unwrap();
    // The pattern's own transaction may be behind the edge before the flood ends.
    headers.insert(XID_HEADER, FAR_AHEAD.to_string());
    let mut event: Value = serde_json::from_slice(&pattern.payload).unwrap();
    event["name"] = json!("x".repeat(PADDING));
    for _ in 0..FLOOD {
        let other = Uuid::now_v7();
        event["job_id"] = json!(other);
        let mut headers = headers.clone();
        headers.insert("Nats-Msg-Id", format!("{other}:1"));
        let subject = format!("jobs.{other}.queued");
        nats.publish_with_headers(subject, headers, event.to_string().into()).await.unwrap();
    }
    nats.flush().await.unwrap();
    app.cancel(&id).await.expect(200);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_disconnected_and_the_others_are_not() {
    let app = TestApp::start().await;
    app.given_lane("quiet").await;
    let mut other = app.watch_at("/events?lane=quiet").await;
    let mut stalled = given_a_stalled_reader(&app).await;

    flood(&app).await;
    // Else it could read on while there is still room for it.
    app.eventually("the edge has heard the flood", async || {
        (events_heard(&app).await >= HEARD).then_some(())
    })
    .await;

    let mut bytes = vec![0; 1 << 16];
    let reads_on = async { while stalled.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    let is_counted = app.eventually("it is counted", async || {
        app.get("/metrics").await.text.contains("jetlane_slow_watchers_total 1").then_some(())
    });
    // Its stream ends, and then there is nothing more to read.
    tokio::select! {
        () = is_counted => {}
        () = async { reads_on.await; std::future::pending().await } => {}
    }
    let id = app.submit(json!({ "name": "x", "lane": "quiet" })).await;
    other.until_kind(&id, "queued").await;
}

#[tokio::test]
async fn an_edge_ends_although_a_reader_stalls() {
    let app = TestApp::start().var("DRAIN_GRACE", "1").await;
    let _stalled = given_a_stalled_reader(&app).await;
    flood(&app).await;

    app.edges[0].process.signal(Signal::TERM);

    let status = app.edges[0].process.end_within(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(app.count("outbox").await, 0, "what it accepted was announced");
}

/// Deterministic: the accepting statement waits for a lock while the client goes.
#[tokio::test]
async fn what_a_client_that_hung_up_had_asked_for_is_told_all_the_same() {
    let app = TestApp::start().await;
    let mut watcher = app.watch().await;
    let mut lock = app.ledger.begin().await.unwrap();
    sqlx::query("LOCK TABLE jobs IN SHARE MODE").execute(&mut *lock).await.unwrap();
    let mut client = connect(&app).await;
    let body = r#"{"name":"x"}"#;
    let request = format!(
        "POST /jobs HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    app.until_blocked(1).await;

    drop(client);
    lock.rollback().await.unwrap();

    let events = watcher.until("the job", |events| !events.is_empty()).await;
    assert_eq!(events[0].kind, "queued");
    assert!(!events[0].json["committed_at"].is_null(), "told by who committed, not by the relay");
}
