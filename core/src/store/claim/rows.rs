//! Reading what a claim brought.

use std::mem;
use std::time::Duration;

use serde_json::Value;

use super::{Claims, Sight, Unreadable};
use crate::domain::{Claimed, Frees, JobId, LaneName, Lease};
use crate::store::StoreError;
use crate::store::row::{UnsentRow, millis, object, parsed, retry};

/// What a claim sees, and a job if it took one: the first is on every row.
pub(super) struct SightRow {
    pub(super) first_tenant: Option<String>,
    pub(super) last_tenant: Option<String>,
    pub(super) any_isolated: bool,
    pub(super) any_reserved: bool,
    pub(super) next_start_s: Option<f64>,
    pub(super) outbox_id: Option<i64>,
    pub(super) name: Option<String>,
    pub(super) tool: Option<String>,
    pub(super) params: Option<Value>,
    pub(super) gpu_id: Option<i32>,
    pub(super) failures: Option<i32>,
    pub(super) max_attempts: Option<i32>,
    pub(super) timeout_ms: Option<i64>,
    pub(super) retry: Option<Value>,
    pub(super) is_keyed: Option<bool>,
    pub(super) traceparent: Option<String>,
    pub(super) job_id: Option<uuid::Uuid>,
    pub(super) seq: Option<i32>,
    pub(super) kind: Option<String>,
    pub(super) state: Option<String>,
    pub(super) attempt: Option<i32>,
    pub(super) created_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(super) tenant: Option<String>,
    pub(super) xid: Option<i64>,
    pub(super) details: Option<Value>,
}

/// A claimed job.
struct ClaimedRow {
    outbox_id: i64,
    name: String,
    tool: String,
    params: Value,
    gpu_id: i32,
    failures: i32,
    max_attempts: i32,
    timeout_ms: Option<i64>,
    retry: Value,
    is_keyed: bool,
    traceparent: Option<String>,
    job_id: uuid::Uuid,
    seq: i32,
    kind: String,
    state: String,
    attempt: i32,
    created_at: chrono::DateTime<chrono::Utc>,
    tenant: String,
    xid: i64,
    details: Value,
}

/// What the rows of a claim tell.
///
/// # Errors
///
/// [`StoreError::Corrupt`], of an event of ours.
pub(super) fn read(rows: Vec<SightRow>, lane: &LaneName) -> Result<Claims, StoreError> {
    let mut claims = Claims::default();
    if let Some(row) = rows.first() {
        claims.sight = row.sight(lane)?;
    }
    for mut row in rows.into_iter().filter_map(SightRow::claimed) {
        claims.change.unsent.push(row.take_unsent(lane).try_into()?);
        let lease = Lease { job_id: JobId(row.job_id), attempt: row.attempt };
        let frees = if row.is_keyed { Frees::Key } else { Frees::Slot };
        match row.into_job(lease, frees, lane.clone()) {
            Ok(job) => claims.jobs.push(job),
            Err(error) => claims.unreadable.push(Unreadable { lease, frees, error }),
        }
    }
    Ok(claims)
}

impl SightRow {
    fn sight(&self, lane: &LaneName) -> Result<Sight, StoreError> {
        let tenants = match (&self.first_tenant, &self.last_tenant) {
            (Some(first), Some(last)) => {
                Some((parsed(first, lane, "tenant")?, parsed(last, lane, "tenant")?))
            }
            _ => None,
        };
        let next_start_in =
            self.next_start_s.map(|s| Duration::try_from_secs_f64(s).unwrap_or_default());
        Ok(Sight {
            tenants,
            any_isolated: self.any_isolated,
            any_reserved: self.any_reserved,
            next_start_in,
        })
    }

    /// The claimed job; `None` if the row only tells what was seen.
    fn claimed(self) -> Option<ClaimedRow> {
        Some(ClaimedRow {
            outbox_id: self.outbox_id?,
            name: self.name?,
            tool: self.tool?,
            params: self.params?,
            gpu_id: self.gpu_id?,
            failures: self.failures?,
            max_attempts: self.max_attempts?,
            timeout_ms: self.timeout_ms,
            retry: self.retry?,
            is_keyed: self.is_keyed?,
            traceparent: self.traceparent,
            job_id: self.job_id?,
            seq: self.seq?,
            kind: self.kind?,
            state: self.state?,
            attempt: self.attempt?,
            created_at: self.created_at?,
            tenant: self.tenant?,
            xid: self.xid?,
            details: self.details?,
        })
    }
}

impl ClaimedRow {
    /// The event and its row of the outbox, which the rest does not need.
    fn take_unsent(&mut self, lane: &LaneName) -> UnsentRow {
        UnsentRow {
            outbox_id: self.outbox_id,
            ring: None,
            job_id: self.job_id,
            seq: self.seq,
            kind: mem::take(&mut self.kind),
            state: mem::take(&mut self.state),
            attempt: self.attempt,
            created_at: self.created_at,
            lane: lane.to_string(),
            tenant: self.tenant.clone(),
            xid: self.xid,
            details: self.details.take(),
        }
    }

    fn into_job(self, lease: Lease, frees: Frees, lane: LaneName) -> Result<Claimed, StoreError> {
        let id = self.job_id;
        Ok(Claimed {
            lease,
            lane,
            tenant: parsed(&self.tenant, &id, "tenant")?,
            name: self.name,
            tool: parsed(&self.tool, &id, "tool")?,
            params: object(self.params, &id, "params")?,
            gpu_id: self.gpu_id,
            failures: self.failures,
            max_attempts: self.max_attempts,
            timeout: self.timeout_ms.map(|ms| millis(ms, id)).transpose()?,
            retry: retry(self.retry, id)?,
            frees,
            traceparent: self.traceparent,
        })
    }
}
