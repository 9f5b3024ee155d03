//! One job at a time through everything: from the request until a watcher is told.
//!
//! ```text
//! cargo bench -p jetlane-loadtest --bench pickup
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use jetlane_loadtest::{Connection, Feed, Fleet, Stack};
use tokio::runtime::Runtime;

const BODY: &str = r#"{"name":"measured","params":{"duration_ms":0}}"#;

/// A stack, a client and a watcher.
struct Given {
    stack: Stack,
    client: Connection,
    feed: Feed,
}

impl Given {
    async fn new() -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_loadtest"));
        let stack = Stack::start(program, Fleet { slots: 1, ..Fleet::default() }).await.unwrap();
        let api = stack.apis()[0];
        let client = Connection::open(api, "/jobs").await.unwrap();
        let feed = Feed::open(api, "/events").await.unwrap();
        Self { stack, client, feed }
    }

    /// How long until the watcher was told that the next job runs, and that it has ended.
    async fn one_job(&mut self) -> (Duration, Duration) {
        let began = Instant::now();
        assert_eq!(self.client.post(BODY).await.unwrap(), 201);
        let mut running = None;
        loop {
            let heard = self.feed.next().await.unwrap();
            for told in &heard.told {
                match told.kind.as_str() {
                    "running" => running = Some(heard.at - began),
                    "completed" => return (running.unwrap(), heard.at - began),
                    _ => {}
                }
            }
        }
    }
}

fn pickup(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut given = runtime.block_on(Given::new());
    let mut group = criterion.benchmark_group("one job at a time");
    for told in ["running", "completed"] {
        group.bench_function(told, |bench| {
            bench.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let (running, completed) = runtime.block_on(given.one_job());
                    took += if told == "running" { running } else { completed };
                }
                took
            });
        });
    }
    group.finish();
    runtime.block_on(given.stack.stop()).unwrap();
}

criterion_group!(benches, pickup);
criterion_main!(benches);
