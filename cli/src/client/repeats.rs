//! Dropping what a watcher has seen before.

use std::collections::{HashMap, VecDeque};

use jetlane_core::domain::JobId;

/// How many jobs are remembered. A resume repeats the last moments, so the
/// oldest may be forgotten.
const REMEMBERED: usize = 100_000;

/// The last event seen of each job.
///
/// A server keeps the order of a job's events, so whatever is not newer than
/// the last one has been seen.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    last: HashMap<JobId, i32>,
    /// The jobs, oldest first.
    order: VecDeque<JobId>,
}

impl Repeats {
    /// Whether the event is new; it counts as seen from now on.
    pub(crate) fn is_new(&mut self, job: JobId, seq: i32) -> bool {
        if let Some(last) = self.last.get_mut(&job) {
            let is_new = seq > *last;
            *last = seq.max(*last);
            return is_new;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.last.remove(&oldest);
        }
        self.last.insert(job, seq);
        self.order.push_back(job);
        true
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_event_is_new_once() {
        let (job, other) = (JobId(Uuid::from_u128(1)), JobId(Uuid::from_u128(2)));
        let mut repeats = Repeats::default();

        let seen = [(job, 1), (job, 2), (job, 1), (other, 1), (job, 2), (job, 3)];
        let new = seen.map(|(job, seq)| repeats.is_new(job, seq));
        assert_eq!(new, [true, true, false, true, false, true]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        for id in 0..=REMEMBERED as u128 {
            repeats.is_new(JobId(Uuid::from_u128(id)), 1);
        }
        assert_eq!((repeats.last.len(), repeats.order.len()), (REMEMBERED, REMEMBERED));
    }
}
