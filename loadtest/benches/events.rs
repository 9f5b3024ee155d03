//! Events between their forms: as the ledger has them, as they travel, as watchers read them.
//!
//! ```text
//! cargo bench -p jetlane-loadtest --bench events
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use std::hint::black_box;

use chrono::{DateTime, Utc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jetlane_core::domain::{
    Announcement, Event, EventKind, JobId, JobState, LaneName, ResumePoint, TenantName,
};
use serde_json::{Value, json};
use uuid::Uuid;

fn event() -> Event {
    let Value::Object(details) = json!({
        "name": "measured",
        "worker": Uuid::now_v7(),
        "gpu_id": 3,
        "execution_time": 1.25,
        "result": { "attempt": 1, "gpu_id": 3, "duration_ms": 1250 },
    }) else {
        unreachable!("it is an object")
    };
    Event {
        job_id: JobId(Uuid::now_v7()),
        seq: 3,
        kind: EventKind::Completed,
        state: JobState::Completed,
        attempt: 1,
        timestamp: now(),
        lane: LaneName::default(),
        tenant: TenantName::default(),
        xid: 1_234_567,
        details,
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 123_456_000).unwrap()
}

fn codecs(criterion: &mut Criterion) {
    let event = event();
    let announcement = event.announce(Some(now()), Some(now()));
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Bytes(announcement.json.len() as u64));
    group.bench_function("announce", |bench| {
        bench.iter(|| black_box(&event).announce(Some(now()), Some(now())));
    });
    group.bench_function("parse", |bench| {
        bench.iter_batched(
            || announcement.json.clone(),
            |json| Announcement::parse(TenantName::default(), 1, json).unwrap(),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();

    let point = ResumePoint { xid: 1_234_567, job_id: event.job_id, seq: 3 };
    let text = point.to_string();
    let mut group = criterion.benchmark_group("resume point");
    group.bench_function("write", |bench| bench.iter(|| black_box(&point).to_string()));
    group.bench_function("read", |bench| {
        bench.iter(|| black_box(&text).parse::<ResumePoint>().unwrap());
    });
    group.finish();
}

criterion_group!(benches, codecs);
criterion_main!(benches);
