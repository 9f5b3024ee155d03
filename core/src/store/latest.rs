//! The latest attempts of jobs, sorted as statements want them that find each row's place.

use std::cmp::Reverse;

use crate::domain::Lease;

/// Sorted by job, each job once: an attempt of which there is a later one is superseded.
pub(super) fn latest<T>(items: &[T], lease: impl Fn(&T) -> Lease) -> Vec<&T> {
    let mut sorted: Vec<_> = items.iter().collect();
    sorted.sort_by_key(|item| {
        let Lease { job_id, attempt } = lease(item);
        (job_id.0, Reverse(attempt))
    });
    sorted.dedup_by_key(|item| lease(item).job_id);
    sorted
}
