//! A worker that cannot reach PostgreSQL any more: its attempts have stopped by
//! the time others may take over, whatever the way in which it is cut off.

use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use jetlane_tests::{Proxy, Weather};
use serde_json::json;

use crate::harness::TestApp;

/// The lease of an attempt. It is given up a sixth of that before its end.
const LEASE: &str = "6";

/// Work that tells of itself every 0.9 s, until after its lease has ended.
const LASTS_MS: u32 = 9_000;

/// A worker behind a proxy of its own, with a job that runs.
struct Severed {
    app: TestApp,
    job: String,
    to_ledger: Proxy,
    /// What the attempt tells while it works, past the ledger.
    output: Subscriber,
}

impl Severed {
    async fn given() -> Self {
        let mut app = TestApp::start().var("LEASE", LEASE).await;
        let to_ledger = Proxy::before(app.database_url()).await.unwrap();
        app.start_worker(&[("DATABASE_URL", to_ledger.url())]).await;
        let params = json!({ "duration_ms": LASTS_MS });
        let job = app.submit(json!({ "name": "x", "params": params })).await;
        let output = app.nats_client().await.subscribe(format!("output.{job}")).await.unwrap();
        app.until_state(&job, "running").await;
        Self { app, job, to_ledger, output }
    }

    /// Whether the lease has ended for those who would take over.
    async fn has_lapsed(&self) -> bool {
        let lapsed = sqlx::query_scalar(
            "SELECT lease_expires_at < ledger_now() FROM jobs WHERE id = $1::uuid",
        );
        lapsed.bind(&self.job).fetch_one(&self.app.ledger).await.unwrap()
    }

    /// Severs the worker, and listens to its attempt until there would be no
    /// more to hear. Returns how often it was heard, and whether once too late.
    async fn sever(mut self, weather: Weather) -> (usize, bool) {
        self.to_ledger.set(weather);
        let (mut count, mut was_late) = (0, false);
        let silence = Duration::from_millis(LASTS_MS.into());
        while let Ok(Some(_)) = tokio::time::timeout(silence, self.output.next()).await {
            count += 1;
            was_late |= self.has_lapsed().await;
        }
        assert!(self.has_lapsed().await);
        (count, was_late)
    }
}

/// Severs a worker, and sees that it works on for a while but not for too long.
async fn assert_stops_in_time(weather: Weather) {
    let (heard, was_late) = Severed::given().await.sever(weather).await;
    assert!(heard >= 2, "it is heard only {heard} times, as if any hitch stopped it");
    assert!(!was_late, "it works on although others may have taken over");
}

#[tokio::test]
async fn by_refused_connections() {
    assert_stops_in_time(Weather::Cut).await;
}

#[tokio::test]
async fn by_silence() {
    assert_stops_in_time(Weather::Silent).await;
}

#[tokio::test]
async fn by_answers_that_get_lost() {
    // Here it is the lease that the ledger has moved on, unheard, that must
    // not be relied on.
    assert_stops_in_time(Weather::NoAnswers).await;
}
