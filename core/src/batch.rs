//! Doing together what was asked for while the work before was under way.
//!
//! Nothing waits for company: who asks while nothing is under way is served at once and alone. The
//! busier it gets, the more are served by one statement, one flush and one answer.

use std::mem;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// What takes longer may be stuck: the next batch waits for it no more.
const PATIENCE: Duration = Duration::from_millis(100);

/// How much is done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many may wait; more are turned away.
    pub waiting: usize,
    /// So many go into one batch, at most.
    pub batch: usize,
    /// So many batches are under way at a time, at most; more than one only if those before it
    /// take unusually long.
    pub under_way: usize,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Too many wait already. Nothing was done.
    #[error("too much waits already")]
    Full,
    /// The work was given up half-way: it is unknown whether it was done.
    #[error("the work was given up")]
    GivenUp,
}

/// Where to ask. Clones share the work.
#[derive(Debug)]
pub struct Batches<T, R>(mpsc::Sender<Asked<T, R>>);

impl<T, R> Clone for Batches<T, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What does the work.
#[derive(Debug)]
pub struct Batcher<T, R> {
    asked: mpsc::Receiver<Asked<T, R>>,
    limits: Limits,
}

#[derive(Debug)]
struct Asked<T, R> {
    item: T,
    answer: oneshot::Sender<R>,
}

/// Where to ask, and what does the work and must run beside it.
#[must_use]
pub fn batches<T, R>(limits: Limits) -> (Batches<T, R>, Batcher<T, R>) {
    let (ask, asked) = mpsc::channel(limits.waiting);
    (Batches(ask), Batcher { asked, limits })
}

impl<T, R> Batches<T, R> {
    /// Has `item` done, and returns what came of it. Once asked for, it is done
    /// even if nobody waits for the answer any more.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`].
    pub async fn ask(&self, item: T) -> Result<R, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Asked { item, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoAnswer::Full,
            mpsc::error::TrySendError::Closed(_) => NoAnswer::GivenUp,
        })?;
        answered.await.map_err(|_| NoAnswer::GivenUp)
    }
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Does what is asked for, until every [`Batches`] is gone and all is done.
    ///
    /// `work` gets what waits, in the order in which it was asked for, and
    /// returns one answer for each, in the same order.
    pub async fn run<F>(mut self, work: impl Fn(Vec<T>) -> F)
    where
        F: Future<Output = Vec<R>> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        let mut latest: Option<(AbortHandle, Instant)> = None;
        let mut asked = Vec::new();
        loop {
            while let Some((batch, began)) = &latest {
                while under_way.try_join_next().is_some() {}
                let is_room = under_way.len() < self.limits.under_way;
                if is_room && batch.is_finished() {
                    break;
                }
                tokio::select! {
                    biased;
                    _ = under_way.join_next() => {}
                    () = sleep_until(*began + PATIENCE), if is_room => break,
                }
            }
            if self.asked.recv_many(&mut asked, self.limits.batch).await == 0 {
                break;
            }
            let (items, answers): (Vec<_>, Vec<_>) =
                mem::take(&mut asked).into_iter().map(|asked| (asked.item, asked.answer)).unzip();
            let done = work(items);
            let batch = under_way.spawn(async move {
                for (answer, result) in answers.into_iter().zip(done.await) {
                    // Whoever asked may have gone.
                    let _ = answer.send(result);
                }
            });
            latest = Some((batch, Instant::now()));
        }
        while under_way.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;
    use tokio::time::sleep;

    use super::*;

    const LIMITS: Limits = Limits { waiting: 100, batch: 10, under_way: 1 };

    /// Work on this never ends.
    const STUCK: u32 = 1_000;

    /// Work that waits until it is let go on, and notes what came together.
    #[derive(Clone, Debug)]
    struct Work {
        go_on: Arc<Semaphore>,
        batches: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Work {
        fn begin(limits: Limits) -> (Self, Batches<u32, u32>, JoinSet<()>) {
            let work = Self { go_on: Arc::new(Semaphore::new(0)), batches: Arc::default() };
            let (ask, batcher) = batches(limits);
            let mut tasks = JoinSet::new();
            let worker = work.clone();
            tasks.spawn(batcher.run(move |items| worker.clone().double(items)));
            (work, ask, tasks)
        }

        async fn double(self, items: Vec<u32>) -> Vec<u32> {
            self.batches.lock().unwrap().push(items.clone());
            if items.contains(&STUCK) {
                std::future::pending::<()>().await;
            }
            self.go_on.acquire().await.unwrap().forget();
            items.into_iter().map(|item| item * 2).collect()
        }

        fn seen(&self) -> Vec<Vec<u32>> {
            self.batches.lock().unwrap().clone()
        }

        async fn until_seen(&self, count: usize) {
            while self.seen().len() < count {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn the_first_goes_alone_and_the_others_together_after_it() {
        let (work, batches, _tasks) = Work::begin(LIMITS);
        let mut asking = JoinSet::new();
        let first = batches.clone();
        asking.spawn(async move { first.ask(1).await });
        work.until_seen(1).await;

        let others = join_all([2, 3, 4].map(|item| batches.ask(item)));
        work.go_on.add_permits(2);

        assert_eq!(others.await, [Ok(4), Ok(6), Ok(8)]);
        assert_eq!(asking.join_next().await.unwrap().unwrap(), Ok(2));
        assert_eq!(work.seen(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn a_batch_holds_no_more_than_its_limit() {
        let (work, batches, _tasks) = Work::begin(LIMITS);
        work.go_on.add_permits(4);
        let answers = join_all((0..25).map(|item| batches.ask(item))).await;
        assert_eq!(answers, (0..25).map(|item| Ok(item * 2)).collect::<Vec<_>>());
        assert!(work.seen().iter().all(|batch| batch.len() <= LIMITS.batch), "{:?}", work.seen());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_waited_for_no_more_while_another_may_be_under_way() {
        let (work, batches, _tasks) = Work::begin(Limits { batch: 1, under_way: 3, ..LIMITS });
        let asking = join_all([1, 2, 3, 4].map(|item| batches.ask(item)));
        let watching = async {
            sleep(PATIENCE / 2).await;
            for count in 1..=3 {
                assert_eq!(work.seen().len(), count);
                sleep(PATIENCE).await;
            }
            sleep(PATIENCE * 10).await;
            assert_eq!(work.seen().len(), 3, "the fourth waits");
            work.go_on.add_permits(4);
        };
        let (answers, ()) = tokio::join!(asking, watching);
        assert_eq!(answers, [Ok(2), Ok(4), Ok(6), Ok(8)]);
    }

    #[tokio::test(start_paused = true)]
    async fn beside_one_that_is_stuck_others_follow_each_other_at_once() {
        let (work, batches, _tasks) = Work::begin(Limits { under_way: 2, ..LIMITS });
        let mut stuck = Box::pin(batches.ask(STUCK));
        assert!(futures_util::poll!(&mut stuck).is_pending());
        work.until_seen(1).await;
        work.go_on.add_permits(10);
        batches.ask(1).await.unwrap();

        let began = Instant::now();
        for item in 2..10 {
            batches.ask(item).await.unwrap();
        }

        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_turned_away_at_once() {
        let (work, batches, _tasks) = Work::begin(Limits { waiting: 2, ..LIMITS });
        let mut asking = JoinSet::new();
        let first = batches.clone();
        asking.spawn(async move { first.ask(0).await });
        work.until_seen(1).await;

        let answers = join_all((1..=3).map(|item| batches.ask(item)));
        let turned_away = async {
            tokio::task::yield_now().await;
            work.go_on.add_permits(2);
        };
        let (answers, ()) = tokio::join!(answers, turned_away);
        assert_eq!(answers, [Ok(2), Ok(4), Err(NoAnswer::Full)]);
    }

    #[tokio::test]
    async fn what_was_asked_for_is_done_though_nobody_waits_for_it() {
        let (work, batches, mut tasks) = Work::begin(LIMITS);
        {
            let mut asking = Box::pin(batches.ask(1));
            assert!(futures_util::poll!(&mut asking).is_pending());
        }
        drop(batches);
        work.go_on.add_permits(1);
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(work.seen(), [vec![1]]);
    }

    #[tokio::test]
    async fn a_batch_that_panics_answers_nobody_and_the_next_one_works() {
        let (asking, batcher) = batches::<u32, u32>(LIMITS);
        let mut tasks = JoinSet::new();
        tasks.spawn(batcher.run(|items: Vec<u32>| async move {
            assert!(items[0] != 13, "as asked");
            items
        }));
        assert_eq!(asking.ask(13).await, Err(NoAnswer::GivenUp));
        assert_eq!(asking.ask(1).await, Ok(1));
    }
}
