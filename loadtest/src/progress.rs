//! How far a run is, for whoever sits at a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing where that is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    /// A bar for a run that takes so long.
    pub(crate) fn begin(span: Duration) -> Self {
        let bar = ProgressBar::new(span.as_secs());
        // The template is a constant that the library takes.
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg}") {
            bar.set_style(style);
        }
        Self { bar, began: Instant::now() }
    }

    /// Shows how many were served, and how many of them failed.
    pub(crate) fn show(&self, served: u64, failed: u64) {
        self.bar.set_position(self.began.elapsed().as_secs());
        self.bar.set_message(format!("{served} served, {failed} failed"));
    }

    /// Takes the bar away.
    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}
