//! Where an instance stands, and so whether its process may run.

use tokio::time::Instant;
use uuid::Uuid;

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody fills its place, or somebody who was given up.
    Vacant,
    /// Its process has not asked for an invocation yet.
    Starting,
    /// Frozen until there is an invocation.
    Resting {
        /// Since when.
        since: Instant,
    },
    /// It has this invocation.
    Busy(Uuid),
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A process was started in its place.
    Filled,
    /// The process asks for an invocation.
    Asked,
    /// There is one for it.
    Handed(Uuid),
    /// The process tells what came of one.
    Answered(Uuid),
    /// Nobody waits any more for what comes of one.
    GivenUp(Uuid),
}

impl Stage {
    /// The stage after `news`; `None` if they are out of place.
    pub(super) fn after(self, news: News, now: Instant) -> Option<Self> {
        use News::{Answered, Asked, Filled, GivenUp, Handed};
        use Stage::{Busy, Resting, Starting, Vacant};

        match (self, news) {
            (_, Filled) => Some(Starting),
            (Starting, Asked) => Some(Resting { since: now }),
            // It asks for what it was handed while it was frozen.
            (Busy(_), Asked) => Some(self),
            (Resting { .. }, Handed(id)) => Some(Busy(id)),
            (Busy(id), Answered(of)) if id == of => Some(Resting { since: now }),
            (Busy(id), GivenUp(of)) if id == of => Some(Vacant),
            (Vacant | Resting { .. }, Asked)
            | (Vacant | Starting | Busy(_), Handed(_))
            | (Vacant | Starting | Resting { .. } | Busy(_), Answered(_) | GivenUp(_)) => None,
        }
    }

    /// Whether the process is stopped in it.
    pub(super) const fn is_frozen(self) -> bool {
        matches!(self, Self::Resting { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONE: Uuid = Uuid::from_u128(1);
    const TWO: Uuid = Uuid::from_u128(2);

    /// The stage after all of these, one second apart.
    fn after(news: &[News]) -> Option<Stage> {
        let mut now = Instant::now();
        news.iter().try_fold(Stage::Vacant, |stage, news| {
            now += Duration::from_secs(1);
            stage.after(*news, now)
        })
    }

    #[test]
    fn it_is_frozen_from_its_first_question_until_there_is_an_invocation() {
        let frozen = |news: &[News]| after(news).map(Stage::is_frozen);
        assert_eq!(frozen(&[News::Filled]), Some(false));
        assert_eq!(frozen(&[News::Filled, News::Asked]), Some(true));
        assert_eq!(frozen(&[News::Filled, News::Asked, News::Handed(ONE)]), Some(false));
    }

    #[test]
    fn it_is_frozen_by_its_answer_not_by_its_next_question() {
        let mut news = vec![News::Filled, News::Asked, News::Handed(ONE), News::Answered(ONE)];
        assert!(after(&news).unwrap().is_frozen());

        news.extend([News::Handed(TWO), News::Asked]);
        assert_eq!(after(&news), Some(Stage::Busy(TWO)));
    }

    #[test]
    fn an_answer_to_an_earlier_invocation_is_out_of_place() {
        let busy = [News::Filled, News::Asked, News::Handed(TWO)];
        assert_eq!(after(&busy).unwrap().after(News::Answered(ONE), Instant::now()), None);
        assert_eq!(Stage::Starting.after(News::Answered(ONE), Instant::now()), None);
    }

    #[test]
    fn it_has_one_invocation_at_a_time() {
        assert_eq!(Stage::Busy(ONE).after(News::Handed(TWO), Instant::now()), None);
        assert_eq!(Stage::Starting.after(News::Handed(TWO), Instant::now()), None);
    }

    #[test]
    fn only_who_has_the_invocation_is_given_up() {
        let now = Instant::now();
        assert_eq!(Stage::Busy(ONE).after(News::GivenUp(ONE), now), Some(Stage::Vacant));
        assert_eq!(Stage::Busy(TWO).after(News::GivenUp(ONE), now), None);
        assert_eq!(Stage::Starting.after(News::GivenUp(ONE), now), None, "its successor");
    }

    #[test]
    fn a_place_can_be_filled_again_whatever_became_of_it() {
        for stage in [Stage::Vacant, Stage::Starting, Stage::Busy(ONE)] {
            assert_eq!(stage.after(News::Filled, Instant::now()), Some(Stage::Starting));
        }
    }
}
