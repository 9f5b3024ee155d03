//! Saying what system a test wants.

use std::pin::Pin;

use super::app::TestApp;

/// The system to start; `.await` starts it.
///
/// Unless told otherwise: one edge, no worker, sweeps every 5 s as in
/// production, simulated work that takes a moment and does not fail by chance.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) edges: usize,
    pub(crate) workers: usize,
    pub(crate) is_nats_up: bool,
    pub(crate) vars: Vec<(&'static str, String)>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let mut this = Self { edges: 1, workers: 0, is_nats_up: true, vars: Vec::new() };
        for (name, value) in [
            ("HOST", "127.0.0.1"),
            ("PORT", "0"),
            ("WORKER_HOST", "127.0.0.1"),
            ("WORKER_PORT", "0"),
            ("DATABASE_MAX_CONNECTIONS", "5"),
            ("SIMULATE_MIN_MS", "1"),
            ("SIMULATE_MAX_MS", "1"),
            ("SIMULATE_FAILURE_RATE", "0"),
            ("RETRY_BACKOFF", "0.05"),
        ] {
            this = this.var(name, value);
        }
        this
    }

    /// How many edges.
    pub(crate) fn edges(self, edges: usize) -> Self {
        Self { edges, ..self }
    }

    /// How many workers.
    pub(crate) fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// How many slots each worker has.
    pub(crate) fn slots(self, slots: u16) -> Self {
        self.var("GPU_COUNT", &slots.to_string())
    }

    /// Nothing is found by looking again: wake-ups are all there is.
    pub(crate) fn without_sweep(self) -> Self {
        self.var("POLL_INTERVAL", "0")
    }

    /// NATS is not there when the processes start.
    pub(crate) fn without_nats(self) -> Self {
        Self { is_nats_up: false, ..self }
    }

    /// A variable of every process.
    pub(crate) fn var(mut self, name: &'static str, value: &str) -> Self {
        self.vars.push((name, value.to_owned()));
        self
    }
}

impl IntoFuture for Setup {
    type Output = TestApp;
    type IntoFuture = Pin<Box<dyn Future<Output = TestApp>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(TestApp::start_as(self))
    }
}
