//! Which dead letters a request is about.

use jetlane_core::domain::{ErrorKind, JobId};
use jetlane_core::store::DeadFilter;

use crate::fields::Fields;
use crate::problem::ApiError;
use crate::reader::{LANE_RULE, Query};

const JOB_IDS_RULE: &str = "must be a list of one or more UUIDs";
const TOOL_RULE: &str = "must be a tool's name";
const ERROR_RULE: &str = "must be transient, permanent, timeout, panic, expired or quarantined";

/// Reads the filter from query parameters.
pub(super) fn from_query(query: &Query) -> Result<DeadFilter, ApiError> {
    Ok(DeadFilter {
        job_ids: Vec::new(),
        lane: query.parsed("lane", LANE_RULE)?,
        tool: query.parsed("tool", TOOL_RULE)?,
        error: query.parsed::<ErrorKind>("error", ERROR_RULE)?,
        submitted_by: query.one("submitted_by")?.map(str::to_owned),
    })
}

/// Which jobs; all, if it is not said. An empty list is refused: nobody who has
/// nothing to name means everything.
fn job_ids(fields: &mut Fields) -> Option<Vec<JobId>> {
    let ids = fields.spelled_list("job_ids", JOB_IDS_RULE)?;
    if ids.is_empty() { fields.violate("job_ids", JOB_IDS_RULE) } else { Some(ids) }
}

/// Reads the filter from the fields of a body.
pub(super) fn from_fields(fields: &mut Fields) -> DeadFilter {
    DeadFilter {
        job_ids: job_ids(fields).unwrap_or_default(),
        lane: fields.spelled("lane", LANE_RULE),
        tool: fields.spelled("tool", TOOL_RULE),
        error: fields.spelled("error", ERROR_RULE),
        submitted_by: fields.text("submitted_by", crate::jobs::SUBMITTER_LIMIT),
    }
}
