//! What watchers cost NATS and the edge.

use std::time::Duration;

use serde_json::json;

use crate::harness::{TestApp, Watcher};

/// How long NATS may keep what a dead edge has left.
const FORGOTTEN: Duration = Duration::from_mins(1);

async fn given_watchers(app: &TestApp, count: usize) -> Vec<Watcher> {
    let mut watchers = Vec::new();
    for _ in 0..count {
        watchers.push(app.watch().await);
    }
    watchers
}

#[tokio::test]
async fn fifty_watchers_add_at_most_one_consumer() {
    let app = TestApp::start().await;
    let before = app.consumers().await;

    let mut watchers = given_watchers(&app, 50).await;
    let id = app.submit(json!({ "name": "x" })).await;
    for watcher in &mut watchers {
        watcher.until_kind(&id, "queued").await;
    }

    assert!(app.consumers().await <= before + 1);
}

#[tokio::test]
async fn an_edge_that_was_killed_leaves_none() {
    let mut app = TestApp::start().edges(2).await;
    let before = app.consumers().await;
    let _watchers = given_watchers(&app, 50).await;

    let killed = app.edges.remove(0);
    killed.process.kill().await;

    app.within(FORGOTTEN, "nothing is left of the edge", async || {
        (app.consumers().await <= before).then_some(())
    })
    .await;
}

/// What an edge has of the machine's memory.
#[cfg(target_os = "linux")]
fn resident_kb(app: &TestApp) -> i64 {
    let pid = app.edges[0].process.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    resident.trim().trim_end_matches(" kB").parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_watcher_takes_less_than_fifty_kilobytes_of_an_edge() {
    let app = TestApp::start().await;
    let _some = given_watchers(&app, 20).await;
    let before = resident_kb(&app);

    let _many = given_watchers(&app, 200).await;

    let each = (resident_kb(&app) - before) / 200;
    assert!(each < 50, "{each} kB");
}
