//! The demo's course: it alone decides what is done next.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use jetlane_core::causes;
use jetlane_core::domain::{JobId, JobState};
use jetlane_core::shutdown::Shutdown;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use super::history::Standing;
use super::input::{DemoJob, Script};
use super::report::Report;
use super::tasks::{Message, Tasks};
use super::view::View;
use super::world::{Phase, World};
use crate::client::{Api, JobFilter, Sighting};
use crate::output::one_line;
use crate::stack::Stack;

/// After so long without news, whatever has not come will not.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long events may come in after the ledger has them.
const SETTLE: Duration = Duration::from_secs(3);

/// How often the ledger is asked meanwhile.
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// How often the view is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// One run of a script against a stack.
#[derive(Debug)]
pub(super) struct Session<'a> {
    stack: &'a mut Stack,
    api: Api,
    world: World,
    view: View,
    frames: Interval,
    tasks: Tasks,
    messages: mpsc::Receiver<Message>,
    shutdown: Shutdown,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// What was waited for is true.
    Done,
    /// There was no news for too long.
    InVain,
}

impl<'a> Session<'a> {
    /// A session that is interrupted when `shutdown` drains.
    pub(super) fn new(stack: &'a mut Stack, view: View, shutdown: Shutdown) -> Self {
        let api = stack.api().clone();
        let (tasks, messages) = Tasks::new(api.clone());
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let world = World::new();
        Self { stack, api, world, view, frames, tasks, messages, shutdown }
    }

    /// Runs the script to its end, or until there is no news, and judges what
    /// was seen. `slots` is how many jobs one worker can run at a time.
    ///
    /// # Errors
    ///
    /// If it is interrupted, if a process ends, or if the API refuses to tell.
    pub(super) async fn run(mut self, script: Script, slots: usize) -> anyhow::Result<Report> {
        self.view.expect(script.len());
        let played = self.play(script, slots).await?;
        let ledger = self.settled_ledger().await?;
        self.view.close(&self.world)?;

        let mut report = Report::of(&self.world, &ledger);
        if played == Waited::InVain {
            report.complaints.push(format!("no news for {} s", PATIENCE.as_secs()));
        }
        Ok(report)
    }

    async fn play(&mut self, script: Script, slots: usize) -> anyhow::Result<Waited> {
        self.tasks.follow();
        self.until(|world| world.is_connected).await?;

        self.enter(Phase::WarmUp)?;
        self.submit(script.warm_up);
        if self.until(World::is_idle).await? == Waited::InVain {
            return Ok(Waited::InVain);
        }

        self.enter(Phase::OneAtATime)?;
        for job in script.one_at_a_time {
            if self.until(|world| world.has_room(slots)).await? == Waited::InVain {
                return Ok(Waited::InVain);
            }
            self.submit(vec![job]);
        }
        if self.until(World::is_idle).await? == Waited::InVain {
            return Ok(Waited::InVain);
        }

        self.enter(Phase::Backlog)?;
        self.submit(script.backlog);
        self.until(World::is_idle).await
    }

    fn enter(&mut self, phase: Phase) -> anyhow::Result<()> {
        self.world.phase = phase;
        self.view.enter(phase)
    }

    fn submit(&mut self, jobs: Vec<DemoJob>) {
        self.world.awaited += jobs.len();
        self.tasks.submit(jobs, self.world.phase);
    }

    async fn until(&mut self, is_done: impl Fn(&World) -> bool) -> anyhow::Result<Waited> {
        self.wait(is_done, PATIENCE).await
    }

    /// Takes messages until `is_done`, or until there was none for `patience`.
    async fn wait(
        &mut self,
        is_done: impl Fn(&World) -> bool,
        patience: Duration,
    ) -> anyhow::Result<Waited> {
        let mut deadline = Instant::now() + patience;
        while !is_done(&self.world) {
            tokio::select! {
                () = self.shutdown.drain.cancelled() => bail!("interrupted"),
                Some(message) = self.messages.recv() => {
                    self.take(message)?;
                    deadline = Instant::now() + patience;
                }
                _ = self.frames.tick() => self.view.draw(&self.world)?,
                ended = self.stack.ended() => bail!("{}", ended?),
                () = sleep_until(deadline) => return Ok(Waited::InVain),
            }
        }
        Ok(Waited::Done)
    }

    fn take(&mut self, message: Message) -> anyhow::Result<()> {
        match message {
            Message::Seen(Sighting::Event { event, at, wall, .. }) => {
                if self.world.see(&event, at, wall) {
                    self.view.event(&event, &self.world)?;
                }
            }
            Message::Seen(Sighting::Connected) => self.world.is_connected = true,
            Message::Seen(Sighting::Lost(_)) => self.world.reconnects += 1,
            Message::Seen(Sighting::Reset) => self.world.resets += 1,
            Message::FeedEnded(error) => return Err(error).context("cannot follow events"),
            Message::Answered(job, Ok(id)) => self.world.accept(id, job),
            Message::Answered(job, Err(error)) => {
                let reason = causes(&error.into());
                self.world.refuse(&job, &one_line(&reason));
            }
            // It may have ended by itself meanwhile, which is no failure.
            Message::CancelFailed(id, _) if self.has_ended(id) => {}
            Message::CancelFailed(id, error) => {
                return Err(error).with_context(|| format!("cannot cancel job {id}"));
            }
        }
        for id in self.world.take_cancels() {
            self.tasks.cancel(id);
        }
        Ok(())
    }

    fn has_ended(&self, id: JobId) -> bool {
        self.world.history.state(id).is_some_and(JobState::is_final)
    }

    /// What the ledger says, once the events of it have come, or should have.
    async fn settled_ledger(&mut self) -> anyhow::Result<HashMap<JobId, Standing>> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let ledger = self.ledger().await.context("cannot compare with the ledger")?;
            if self.world.history.is_complete(&ledger) || Instant::now() >= deadline {
                return Ok(ledger);
            }
            self.wait(|_| false, SETTLE_POLL).await?;
        }
    }

    async fn ledger(&self) -> anyhow::Result<HashMap<JobId, Standing>> {
        let jobs = self.api.jobs(&JobFilter::default(), usize::MAX).await?;
        let standings = jobs.iter().map(|job| {
            let view = self.api.view(job)?;
            Ok((view.id, Standing { state: view.state, event_seq: view.event_seq }))
        });
        standings.collect()
    }
}
