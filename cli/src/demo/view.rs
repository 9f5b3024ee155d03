//! What a demo shows while it runs.

use std::time::Instant;

use jetlane_core::domain::EventKind;

use super::board::{Frame, event_line, lines, phase_name};
use super::screen::Screen;
use super::world::{Phase, World};
use crate::client::JobEvent;
use crate::output::{self, Format};

/// What a demo shows while it runs.
#[derive(Debug)]
pub(super) struct View {
    shown: Shown,
    expected: usize,
    begun: Instant,
}

#[derive(Debug)]
enum Shown {
    /// A table that is redrawn in place.
    Table(Screen),
    /// A line for what matters.
    Lines,
    /// Nothing: standard output is for the report alone.
    Nothing,
}

impl View {
    /// A table on a terminal, lines elsewhere, nothing beside JSON.
    ///
    /// # Errors
    ///
    /// If standard output is closed.
    pub(super) fn open(format: Format) -> anyhow::Result<Self> {
        let (expected, begun) = (0, Instant::now());
        let height =
            lines(Frame { world: &World::new(), expected, elapsed: begun.elapsed() }).len();
        let shown = match format {
            Format::Json => Shown::Nothing,
            Format::Text => Screen::open(height)?.map_or(Shown::Lines, Shown::Table),
        };
        Ok(Self { shown, expected, begun })
    }

    /// Sets how many jobs there will be, and starts the clock.
    pub(super) fn expect(&mut self, jobs: usize) {
        self.expected = jobs;
        self.begun = Instant::now();
    }

    /// Shows that a phase begins.
    pub(super) fn enter(&mut self, phase: Phase) -> anyhow::Result<()> {
        if let Shown::Lines = self.shown {
            let seconds = self.begun.elapsed().as_secs_f64();
            output::print(format_args!("{seconds:.1} s: {}", phase_name(phase)))?;
        }
        Ok(())
    }

    /// Shows an event, if it matters.
    pub(super) fn event(&mut self, event: &JobEvent, world: &World) -> anyhow::Result<()> {
        let matters = event.kind.is_last()
            || event.kind == EventKind::CancelRequested
            || (event.kind == EventKind::Scheduled && event.attempt > 0);
        if matters && let Shown::Lines = self.shown {
            output::print(event_line(event, world))?;
        }
        Ok(())
    }

    /// Draws the table anew.
    pub(super) fn draw(&mut self, world: &World) -> anyhow::Result<()> {
        if let Shown::Table(screen) = &mut self.shown {
            let (expected, elapsed) = (self.expected, self.begun.elapsed());
            screen.draw(&lines(Frame { world, expected, elapsed }))?;
        }
        Ok(())
    }

    /// Shows how it ended, and gives the terminal back.
    pub(super) fn close(&mut self, world: &World) -> anyhow::Result<()> {
        self.draw(world)?;
        self.shown = Shown::Nothing;
        Ok(())
    }
}
