//! What the ledger says, read behind the product's back.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::app::TestApp;

/// An event as the ledger holds it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Recorded {
    pub(crate) job_id: Uuid,
    pub(crate) seq: i32,
    pub(crate) kind: String,
    /// When, by the ledger's clock.
    pub(crate) created_at: DateTime<Utc>,
    /// Grows from one transaction to the next that has seen it.
    pub(crate) xid: i64,
    pub(crate) details: Value,
}

impl TestApp {
    /// All events, in an order in which they can have happened.
    pub(crate) async fn recorded(&self) -> Vec<Recorded> {
        let events = sqlx::query_as(
            "SELECT job_id, seq, kind, created_at, xid, details FROM job_events
             ORDER BY xid, job_id, seq",
        );
        self.race(events.fetch_all(&self.ledger)).await.unwrap()
    }

    /// A job's events, in their order.
    pub(crate) async fn history(&self, job_id: &str) -> Vec<Recorded> {
        let id: Uuid = job_id.parse().unwrap();
        let mut events = self.recorded().await;
        events.retain(|event| event.job_id == id);
        events.sort_by_key(|event| event.seq);
        events
    }

    /// The kinds of a job's events, in their order.
    pub(crate) async fn kinds(&self, job_id: &str) -> Vec<String> {
        self.history(job_id).await.into_iter().map(|event| event.kind).collect()
    }

    /// When the job's latest event of this kind happened, by the ledger's clock.
    pub(crate) async fn time_of(&self, job_id: &str, kind: &str) -> DateTime<Utc> {
        let history = self.history(job_id).await;
        let found = history.iter().rev().find(|event| event.kind == kind);
        found.unwrap_or_else(|| panic!("no {kind} among {history:?}")).created_at
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        let count = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
        count.fetch_one(&self.ledger).await.unwrap()
    }

    /// Changes the ledger behind the product's back.
    pub(crate) async fn sql(&self, statement: &str) {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        statement.execute(&self.ledger).await.unwrap();
    }

    /// Moves the ledger's clock ahead of the real one.
    pub(crate) async fn move_clock(&self, seconds: u32) {
        self.sql(&format!(
            "CREATE OR REPLACE FUNCTION ledger_now() RETURNS timestamptz
             LANGUAGE sql STABLE PARALLEL SAFE RETURN now() + interval '{seconds} s'"
        ))
        .await;
    }

    /// Waits until so many statements wait for a lock, or more.
    pub(crate) async fn until_blocked(&self, statements: i64) {
        self.eventually(&format!("{statements} statements wait for locks"), async || {
            let blocked: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&self.ledger)
            .await
            .unwrap();
            (blocked >= statements).then_some(())
        })
        .await;
    }

    /// Makes a lane that no worker serves.
    pub(crate) async fn given_lane(&self, name: &str) {
        self.sql(&format!("INSERT INTO lanes (name) VALUES ('{name}') ON CONFLICT DO NOTHING"))
            .await;
    }

    /// Waits until the ledger has been up for so long that silent workers
    /// count as lost.
    pub(crate) async fn given_ledger_past_its_start(&self) {
        self.eventually("the ledger is past its start", async || {
            let is_past: bool =
                sqlx::query_scalar("SELECT pg_postmaster_start_time() < now() - interval '10 s'")
                    .fetch_one(&self.ledger)
                    .await
                    .unwrap();
            is_past.then_some(())
        })
        .await;
    }
}
