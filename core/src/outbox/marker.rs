//! Striking published rows out of the outbox.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::causes;
use crate::store::Ledger;

/// How long what was published may wait for more: nobody waits for it, and the
/// relay leaves it alone for much longer. At low rates each job would cost three
/// transactions more.
const PATIENCE: Duration = Duration::from_millis(100);

/// Strikes out what was published, all that has come together meanwhile at once.
#[derive(Debug)]
pub struct Marker {
    ledger: Ledger,
    marks: mpsc::Receiver<Vec<i64>>,
}

impl Marker {
    pub(super) fn new(ledger: Ledger, marks: mpsc::Receiver<Vec<i64>>) -> Self {
        Self { ledger, marks }
    }

    /// Runs until every announcer is gone.
    pub async fn run(mut self) {
        while let Some(mut ids) = self.marks.recv().await {
            sleep(PATIENCE).await;
            while let Ok(more) = self.marks.try_recv() {
                ids.extend(more);
            }
            if let Err(error) = self.ledger.strike_out(&ids).await {
                let error = anyhow::Error::new(error);
                tracing::warn!(
                    error = causes(&error),
                    rows = ids.len(),
                    "cannot strike out published rows; the relay publishes them again"
                );
            }
        }
    }
}
