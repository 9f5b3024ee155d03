//! What processes show of themselves while they live: a killed one cannot be
//! asked afterwards.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use tokio::time::{MissedTickBehavior, interval};

use super::{Incarnation, Role, World};

/// How often processes are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a process may take to show its metrics.
const LIMIT: Duration = Duration::from_millis(800);

/// What a process has shown so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge {
    /// Resident memory in KiB, one sample a second.
    pub(crate) memory: Vec<u64>,
    /// Messages that its relay has sent.
    pub(crate) relayed: u64,
}

/// How much of the time somebody waited for a processor, in percent, one sample
/// a second. It tells how far to believe what took too long.
pub(crate) type Pressure = Mutex<Vec<f64>>;

/// Looks at every process, and at the machine, once a second. Never ends.
pub(crate) async fn keep_gauges(world: Arc<World>, http: Client, pressure: Arc<Pressure>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        pressure.lock().unwrap().extend(cpu_pressure());
        let lives: Vec<_> = world.members().map(super::Member::latest).collect();
        let looks = lives.iter().filter(|life| life.lives()).map(|life| look(life, &http));
        futures_util::future::join_all(looks).await;
    }
}

async fn look(life: &Incarnation, http: &Client) {
    let memory = resident_kib(life.process.pid().as_raw_nonzero().get());
    let relayed = match life.role {
        Role::Edge | Role::Worker => relayed(life, http).await,
        // It has no relay, and to ask it would wake it.
        Role::Function => None,
    };

    let mut gauge = life.gauge.lock().unwrap();
    gauge.memory.extend(memory);
    gauge.relayed = relayed.unwrap_or(gauge.relayed);
}

async fn relayed(life: &Incarnation, http: &Client) -> Option<u64> {
    let metrics = http.get(format!("{}/metrics", life.url)).timeout(LIMIT).send();
    let text = metrics.await.ok()?.text().await.ok()?;
    sum(&text, "jetlane_messages_relayed_total")
}

fn cpu_pressure() -> Option<f64> {
    let text = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let (_, rest) = text.split_once("some avg10=")?;
    rest.split(' ').next()?.parse().ok()
}

fn resident_kib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A metric's value, over all its labels.
fn sum(text: &str, metric: &str) -> Option<u64> {
    let values = text
        .lines()
        .filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' '])))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    let mut values = values.peekable();
    values.peek()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter")]
    Some(values.sum::<f64>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE a counter\na{x=\"1\"} 2\na{x=\"2\"} 3\nab 9\n";
        assert_eq!(sum(text, "a"), Some(5));
        assert_eq!(sum(text, "b"), None);
    }
}
