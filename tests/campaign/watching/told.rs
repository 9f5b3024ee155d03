//! An event as somebody was told it, kept small: there are millions.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

/// The kinds of events, as the API documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Scheduled,
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
    Updated,
    CancelRequested,
    Released,
    Redriven,
    Deleted,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
        Self::Updated,
        Self::CancelRequested,
        Self::Released,
        Self::Redriven,
        Self::Deleted,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Updated => "updated",
            Self::CancelRequested => "cancel_requested",
            Self::Released => "released",
            Self::Redriven => "redriven",
            Self::Deleted => "deleted",
        }
    }

    /// The kind that is spelled so.
    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether it is the last event of a job.
    pub(crate) const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event as somebody was told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Told {
    pub(crate) job: Uuid,
    pub(crate) seq: i32,
    pub(crate) kind: Kind,
    pub(crate) attempt: i32,
}

impl Told {
    /// The event that `json` is, if it is one.
    pub(crate) fn read(json: &Value) -> Option<Self> {
        Some(Self {
            job: json["job_id"].as_str()?.parse().ok()?,
            seq: json["seq"].as_i64()?.try_into().ok()?,
            kind: Kind::read(json["kind"].as_str()?)?,
            attempt: json["attempt"].as_i64()?.try_into().ok()?,
        })
    }
}
