//! Where to look for work: the dispatcher's decisions, without its I/O.
//!
//! A lane *may hold work* from the start, and from every sign of it on, until
//! a claim comes back short. While it may, the next free slot is reason enough
//! to claim. Once it does not, nothing is asked until something says so: what
//! becomes claimable later rings.

/// What to do about bells that were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The lane was looked at since, and has no more than we took.
    Answer,
    /// The lane was looked at since, and may have more than we have room for:
    /// another worker is to look too.
    AnswerAndRing,
    /// The lane was not looked at.
    GiveBack,
}

/// What is known of each lane. Lanes go by their place in the configuration.
#[derive(Debug)]
pub(crate) struct Board {
    may_hold: Vec<bool>,
    /// Looked at first the next time, so that no lane starves another.
    first: usize,
}

impl Board {
    /// Nothing is known of so many lanes.
    pub(crate) fn new(lanes: usize) -> Self {
        Self { may_hold: vec![true; lanes], first: 0 }
    }

    /// There is a sign that the lane holds work.
    pub(crate) fn look(&mut self, lane: usize) {
        self.may_hold[lane] = true;
    }

    /// Signs may have been missed.
    pub(crate) fn look_everywhere(&mut self) {
        self.may_hold.fill(true);
    }

    /// The lane to claim from next, there being room; `None` if none may hold work.
    pub(crate) fn next(&self) -> Option<usize> {
        let lanes = self.may_hold.len();
        (0..lanes).map(|step| (self.first + step) % lanes).find(|lane| self.may_hold[*lane])
    }

    /// Takes note of a claim's answer; says what it means for the bells that
    /// had been heard before it was sent.
    pub(crate) fn note_claim(&mut self, lane: usize, asked: usize, got: usize) -> Verdict {
        self.first = (lane + 1) % self.may_hold.len();
        let is_short = got < asked;
        self.may_hold[lane] = !is_short;
        if is_short { Verdict::Answer } else { Verdict::AnswerAndRing }
    }

    /// Whether a bell of this lane is wanted, given room: only a bell can tell
    /// us then.
    pub(crate) fn waits_for_bell(&self, lane: usize) -> bool {
        !self.may_hold[lane]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_looked_at_when_it_starts() {
        let mut board = Board::new(2);
        assert_eq!(board.next(), Some(0));
        board.note_claim(0, 4, 0);
        assert_eq!(board.next(), Some(1));
        board.note_claim(1, 4, 0);
        assert_eq!(board.next(), None);
    }

    #[test]
    fn a_short_claim_answers_and_waits_for_bells() {
        let mut board = Board::new(1);
        assert_eq!(board.note_claim(0, 4, 3), Verdict::Answer);
        assert!(board.waits_for_bell(0));
    }

    #[test]
    fn a_full_claim_wakes_another_worker_and_looks_again_at_the_next_free_slot() {
        let mut board = Board::new(1);
        assert_eq!(board.note_claim(0, 4, 4), Verdict::AnswerAndRing);
        assert!(!board.waits_for_bell(0));
        assert_eq!(board.next(), Some(0));
    }

    #[test]
    fn a_freed_slot_alone_is_no_reason_to_ask_an_empty_lane() {
        let mut board = Board::new(1);
        board.note_claim(0, 4, 1);
        assert_eq!(board.next(), None);
    }

    #[test]
    fn a_bell_that_met_no_free_slot_is_followed_up_by_the_next_one() {
        let mut board = Board::new(1);
        board.note_claim(0, 4, 1);
        board.look(0);
        assert_eq!(board.next(), Some(0));
    }

    #[test]
    fn two_full_lanes_take_turns() {
        let mut board = Board::new(2);
        let turns: Vec<_> = (0..4)
            .map(|_| {
                let lane = board.next().unwrap();
                board.note_claim(lane, 1, 1);
                lane
            })
            .collect();
        assert_eq!(turns, [0, 1, 0, 1]);
    }

    #[test]
    fn missed_signs_make_every_lane_worth_a_look() {
        let mut board = Board::new(2);
        board.note_claim(0, 1, 0);
        board.note_claim(1, 1, 0);
        board.look_everywhere();
        assert!(!board.waits_for_bell(0) && !board.waits_for_bell(1));
    }
}
