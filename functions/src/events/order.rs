//! Putting events in order: each job's 1, 2, 3, …, each once.
//!
//! Pure: what came over the feed and what the ledger said go in, what may be
//! shown comes out.
//!
//! *Low water* is a ledger transaction below which every event has been let
//! through (see `jetlane_core::store`). So an event below it is a double, and
//! of a job never heard of before, the first event at or above it is the next
//! to show.

use std::collections::{BTreeMap, HashMap};

use jetlane_core::domain::{Announcement, JobId};
use jetlane_core::store::{FeedHead, FeedKey};

/// More jobs than this are not kept in mind beyond the low-water mark. One
/// forgotten costs a look into the ledger when it is heard of again.
const MAX_TRACKS: usize = 200_000;

/// What has been let through, and what waits for an earlier event.
#[derive(Debug)]
pub(super) struct Order {
    low_water: i64,
    tracks: HashMap<JobId, Track>,
    held: usize,
}

#[derive(Debug, Default)]
struct Track {
    /// The last event let through; `None` while nobody knows which is next.
    shown: Option<i32>,
    /// Its transaction.
    xid: i64,
    /// Nothing more is expected.
    is_over: bool,
    held: BTreeMap<i32, Announcement>,
}

impl Order {
    /// Starts at the newest part of the ledger's feed: what it names counts as
    /// let through.
    pub(super) fn starting_at(head: &FeedHead) -> Self {
        let mut order = Self { low_water: head.low_water, tracks: HashMap::new(), held: 0 };
        for key in &head.keys {
            let track = order.tracks.entry(key.job_id).or_default();
            track.shown = track.shown.max(Some(key.seq));
            track.xid = track.xid.max(key.xid);
        }
        order
    }

    /// Every event of a smaller transaction has been let through.
    pub(super) fn low_water(&self) -> i64 {
        self.low_water
    }

    /// Whether an event waits for one that did not come.
    pub(super) fn is_waiting(&self) -> bool {
        self.held > 0
    }

    /// Takes an event, and adds to `through` those that may be shown now.
    pub(super) fn offer(&mut self, event: Announcement, through: &mut Vec<Announcement>) {
        let track = match self.tracks.get_mut(&event.job_id) {
            Some(track) => track,
            None if event.xid < self.low_water => return,
            None => self.tracks.entry(event.job_id).or_default(),
        };
        if track.shown.is_none() && event.xid >= self.low_water && event.seq == 1 {
            track.shown = Some(0);
        }
        if track.shown.is_some_and(|shown| event.seq <= shown) {
            return;
        }
        if track.held.insert(event.seq, event).is_none() {
            self.held += 1;
        }
        self.held -= track.release(through);
    }

    /// Those events of the ledger's feed that have not come.
    pub(super) fn missing(&self, keys: &[FeedKey]) -> Vec<FeedKey> {
        keys.iter()
            .filter(|key| match self.tracks.get(&key.job_id) {
                None => true,
                Some(track) => {
                    track.shown.is_none_or(|shown| key.seq > shown)
                        && !track.held.contains_key(&key.seq)
                }
            })
            .copied()
            .collect()
    }

    /// Takes the newest part of the ledger's feed, from the low-water mark on,
    /// with the events of it that were missing: nothing of it waits any more,
    /// and the mark rises to the head's.
    pub(super) fn repair(
        &mut self,
        head: &FeedHead,
        missing: Vec<Announcement>,
        through: &mut Vec<Announcement>,
    ) {
        // The first event at or above the mark is the next of its job.
        let mut first: HashMap<JobId, i32> = HashMap::new();
        for key in &head.keys {
            let seq = first.entry(key.job_id).or_insert(key.seq);
            *seq = key.seq.min(*seq);
        }
        for (job_id, seq) in first {
            let track = self.tracks.entry(job_id).or_default();
            if track.shown.is_none() {
                track.shown = Some(seq - 1);
                self.held -= track.release(through);
            }
        }
        for event in missing {
            self.offer(event, through);
        }
        // What still waits below the new mark waits for an event that is in no
        // ledger: it is not ours.
        for track in self.tracks.values_mut() {
            let before = track.held.len();
            track.held.retain(|_, event| event.xid >= head.low_water);
            self.held -= before - track.held.len();
        }
        self.low_water = self.low_water.max(head.low_water);
        self.forget();
    }

    /// Forgets jobs that are over, and others beyond a limit, as far as the
    /// mark tells doubles of them.
    fn forget(&mut self) {
        let low_water = self.low_water;
        let is_crowded = self.tracks.len() > MAX_TRACKS;
        self.tracks.retain(|_, track| {
            let is_settled = track.held.is_empty() && track.xid < low_water;
            !(is_settled && (track.is_over || is_crowded))
        });
    }
}

impl Track {
    /// Lets through what is next, and returns how many that were.
    fn release(&mut self, through: &mut Vec<Announcement>) -> usize {
        let Some(mut shown) = self.shown else {
            return 0;
        };
        let before = through.len();
        // What a repair has overtaken is a double.
        let doubles = self.held.len();
        self.held = self.held.split_off(&(shown + 1));
        let doubles = doubles - self.held.len();
        while let Some(event) = self.held.remove(&(shown + 1)) {
            shown = event.seq;
            self.xid = self.xid.max(event.xid);
            self.is_over = event.kind.is_last();
            through.push(event);
        }
        self.shown = Some(shown);
        through.len() - before + doubles
    }
}

#[cfg(test)]
mod tests {
    use jetlane_core::domain::{EventKind, JobState, LaneName, TenantName};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn event(job: u128, seq: i32, xid: i64) -> Announcement {
        Announcement {
            job_id: JobId(Uuid::from_u128(job)),
            seq,
            kind: EventKind::Updated,
            state: JobState::Queued,
            lane: LaneName::default(),
            tenant: TenantName::default(),
            xid,
            json: String::new(),
        }
    }

    fn key(event: &Announcement) -> FeedKey {
        FeedKey { xid: event.xid, job_id: event.job_id, seq: event.seq }
    }

    fn seqs(through: &[Announcement]) -> Vec<i32> {
        through.iter().map(|event| event.seq).collect()
    }

    fn starting_at(low_water: i64) -> Order {
        Order::starting_at(&FeedHead { low_water, keys: Vec::new() })
    }

    #[test]
    fn an_early_event_waits_for_the_one_before() {
        let mut order = starting_at(10);
        let mut through = Vec::new();
        order.offer(event(1, 1, 10), &mut through);
        order.offer(event(1, 3, 12), &mut through);
        assert_eq!(seqs(&through), [1]);
        assert!(order.is_waiting());
        order.offer(event(1, 2, 11), &mut through);
        assert_eq!(seqs(&through), [1, 2, 3]);
        assert!(!order.is_waiting());
    }

    #[test]
    fn a_double_is_shown_once_also_when_its_job_is_forgotten() {
        let mut order = starting_at(10);
        let mut through = Vec::new();
        let last = Announcement { kind: EventKind::Completed, ..event(1, 1, 10) };
        order.offer(last.clone(), &mut through);
        order.offer(last.clone(), &mut through);
        order.repair(&FeedHead { low_water: 20, keys: vec![] }, vec![], &mut through);
        assert!(order.tracks.is_empty(), "a finished job is forgotten");
        order.offer(last, &mut through);
        assert_eq!(seqs(&through), [1]);
    }

    #[test]
    fn an_older_job_goes_on_from_where_the_ledger_says() {
        let mut order = starting_at(10);
        let mut through = Vec::new();
        let (fourth, fifth) = (event(1, 4, 11), event(1, 5, 12));
        order.offer(fifth.clone(), &mut through);
        assert_eq!(seqs(&through), [0; 0], "nobody knows whether 4 has been shown");
        let head = FeedHead { low_water: 13, keys: vec![key(&fourth), key(&fifth)] };
        assert_eq!(order.missing(&head.keys), [key(&fourth)]);
        order.repair(&head, vec![fourth], &mut through);
        assert_eq!(seqs(&through), [4, 5]);
    }

    #[test]
    fn what_was_there_at_the_start_is_not_shown() {
        let old = event(1, 2, 10);
        let mut order = Order::starting_at(&FeedHead { low_water: 9, keys: vec![key(&old)] });
        let mut through = Vec::new();
        order.offer(old.clone(), &mut through);
        assert!(order.missing(&[key(&old)]).is_empty());
        order.offer(event(1, 3, 11), &mut through);
        assert_eq!(seqs(&through), [3]);
    }

    proptest! {
        /// Whatever the feed loses, doubles and shuffles, one repair shows
        /// every event, each once and each job's in order.
        #[test]
        fn nothing_is_lost_doubled_or_out_of_order(
            lengths in prop::collection::vec(1..6_i32, 1..5),
            arrivals in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..60),
        ) {
            let events: Vec<_> = lengths
                .iter()
                .zip(0_u128..)
                .flat_map(|(length, job)| (1..=*length).map(move |seq| (job, seq)))
                .zip(100_i64..)
                .map(|((job, seq), xid)| event(job, seq, xid))
                .collect();
            let mut order = starting_at(100);
            let mut through = Vec::new();
            for (index, is_lost) in arrivals {
                if !is_lost {
                    order.offer(index.get(&events).clone(), &mut through);
                }
            }
            let head = FeedHead { low_water: 1_000, keys: events.iter().map(key).collect() };
            let missing = order.missing(&head.keys);
            let missing = events.iter().filter(|e| missing.contains(&key(e))).cloned().collect();
            order.repair(&head, missing, &mut through);

            prop_assert!(!order.is_waiting());
            for (length, job) in lengths.iter().zip(0_u128..) {
                let shown: Vec<_> = through
                    .iter()
                    .filter(|event| event.job_id == JobId(Uuid::from_u128(job)))
                    .map(|event| event.seq)
                    .collect();
                prop_assert_eq!(shown, (1..=*length).collect::<Vec<_>>());
            }
        }
    }
}
