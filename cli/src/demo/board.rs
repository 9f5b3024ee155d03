//! The live table as text: what is known, in lines of at most 80 columns.

use std::collections::BTreeMap;
use std::time::Duration;

use jetlane_core::domain::{EventKind, JobId, JobState};

use super::latency::Summary;
use super::world::{Phase, Running, World};
use crate::client::JobEvent;
use crate::output::{one_line, shortened};

/// The width of every line.
pub(super) const WIDTH: usize = 80;

/// The width of an event's line, which the table indents by two.
const EVENT_WIDTH: usize = WIDTH - 2;

/// The part of it before the facts, if these are as short as the demo's own.
const WHO_WIDTH: usize = EVENT_WIDTH - 27;

/// How many running jobs are shown.
const ROWS: usize = 6;

/// How many latest events are shown.
const EVENTS: usize = 4;

/// How a piece of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Title,
    Faint,
    Good,
    Bad,
    Busy,
}

/// One line, in pieces.
pub(super) type Line = Vec<(Tone, String)>;

/// What a demo is about, besides what is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) world: &'a World,
    /// How many jobs there will be.
    pub(super) expected: usize,
    pub(super) elapsed: Duration,
}

/// The whole table; always as many lines.
pub(super) fn lines(frame: Frame<'_>) -> Vec<Line> {
    let world = frame.world;
    let mut lines = vec![title(frame), progress(frame), Line::new()];
    lines.extend(lanes(world));
    lines.extend([Line::new(), vec![(Tone::Title, "running".to_owned())]]);
    lines.extend(running(world));
    lines.extend([Line::new(), vec![(Tone::Title, "latest".to_owned())]]);
    lines.extend(latest(world));
    lines.extend([Line::new(), latencies(world)]);
    lines
}

/// What a phase is called.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::WarmUp => "warming up",
        Phase::OneAtATime => "one at a time, a slot being free",
        Phase::Backlog => "backlog: the rest at once",
    }
}

/// An event on one line, short enough to be indented: who it is about, then its facts in columns.
/// Facts are told whole; where they need more room, the name gives way.
pub(super) fn event_line(event: &JobEvent, world: &World) -> String {
    let attempt = (event.attempt > 1).then(|| format!("try {}", event.attempt));
    let gpu = event.gpu_id.map(|gpu| format!("gpu {gpu}"));
    let time = event.execution_time.map(|seconds| format!("{seconds:.2} s"));
    let [attempt, gpu, time] = [attempt, gpu, time].map(Option::unwrap_or_default);
    let lane = shortened(&event.lane, 7);
    let facts = format!("{lane:<7} {attempt:<5} {gpu:<5} {time:>6}");
    let facts = facts.trim_end();

    let head = format!("{} {:<10} ", event.timestamp.format("%H:%M:%S%.3f"), event.kind);
    let room = EVENT_WIDTH.saturating_sub(1 + facts.chars().count());
    let room_for_name = room.saturating_sub(head.chars().count());
    let who = format!("{head}{}", shortened(&name(event.job_id, world), room_for_name));
    let width = WHO_WIDTH.min(room);
    format!("{who:<width$} {facts}")
}

fn title(frame: Frame<'_>) -> Line {
    let time = format!("{:.1} s", frame.elapsed.as_secs_f64());
    let phase = phase_name(frame.world.phase);
    let gap = WIDTH - "jetlane demo  ".len() - time.len();
    vec![
        (Tone::Title, "jetlane demo  ".to_owned()),
        (Tone::Plain, format!("{phase:<gap$}")),
        (Tone::Faint, time),
    ]
}

fn progress(frame: Frame<'_>) -> Line {
    let (ended, expected) = (frame.world.ended(), frame.expected.max(1));
    let text = format!(" {ended} of {expected} ended");
    let width = WIDTH - text.len();
    let full = (width * ended / expected).min(width);
    vec![
        (Tone::Good, "━".repeat(full)),
        (Tone::Faint, "─".repeat(width - full)),
        (Tone::Plain, text),
    ]
}

fn lanes(world: &World) -> Vec<Line> {
    let mut counts: BTreeMap<&str, [usize; JobState::ALL.len()]> =
        [("batch", [0; 6]), ("default", [0; 6])].into();
    for (id, job) in &world.accepted {
        let at = world.history.state(*id).unwrap_or(JobState::Queued);
        let column = JobState::ALL.iter().position(|state| *state == at).unwrap_or_default();
        counts.entry(&job.lane).or_default()[column] += 1;
    }

    let mut head = vec![(Tone::Title, format!("{:<12}", "lane"))];
    head.extend(JobState::ALL.iter().map(|state| (Tone::Faint, format!("{state:>11}"))));
    let mut lines = vec![head];
    lines.extend(counts.into_iter().map(|(lane, counts)| {
        let mut line = vec![(Tone::Plain, format!("{:<12}", shortened(lane, 11)))];
        line.extend(JobState::ALL.into_iter().zip(counts).map(|(state, count)| {
            let tone = if count == 0 { Tone::Faint } else { tone(state) };
            (tone, format!("{count:>11}"))
        }));
        line
    }));
    lines
}

fn running(world: &World) -> Vec<Line> {
    let mut running: Vec<(&JobId, &Running)> = world.running.iter().collect();
    running.sort_by_key(|(id, run)| (run.since, **id));
    let mut lines: Vec<Line> = running
        .into_iter()
        .take(ROWS)
        .map(|(id, run)| {
            let name = shortened(&name(*id, world), 34);
            let gpu = run.gpu.map_or_else(|| "-".to_owned(), |gpu| gpu.to_string());
            let seconds = run.since.elapsed().as_secs_f64();
            let Running { lane, attempt, worker, .. } = run;
            vec![
                (Tone::Busy, format!("  {name:<34} ")),
                (Tone::Plain, format!("{:<9}", shortened(lane, 8))),
                (Tone::Plain, format!("worker {worker} gpu {gpu:<2}")),
                (if *attempt > 1 { Tone::Bad } else { Tone::Faint }, format!(" try {attempt}")),
                (Tone::Faint, format!("{seconds:>8.1} s")),
            ]
        })
        .collect();
    lines.resize(ROWS, Line::new());
    lines
}

fn latest(world: &World) -> Vec<Line> {
    let events = world.recent.iter().rev().take(EVENTS);
    let mut lines: Vec<Line> = events
        .map(|event| {
            let tone = match event.kind {
                EventKind::Completed => Tone::Good,
                EventKind::Failed | EventKind::Cancelled => Tone::Bad,
                _ => Tone::Plain,
            };
            vec![(tone, format!("  {}", event_line(event, world)))]
        })
        .collect();
    lines.resize(EVENTS, Line::new());
    lines
}

fn latencies(world: &World) -> Line {
    let pick_up = world.pick_ups(Phase::OneAtATime).summary();
    let notification = world.notifications.summary();
    vec![(
        Tone::Plain,
        format!("pick-up p50 {}    notification p50 {}", p50(pick_up), p50(notification)),
    )]
}

fn p50(summary: Summary) -> String {
    match summary.p50 {
        Some(ms) => format!("{ms:.2} ms of {}", summary.count),
        None => "-".to_owned(),
    }
}

fn name(id: JobId, world: &World) -> String {
    let known = world.accepted.get(&id);
    known.map_or_else(|| id.to_string(), |job| one_line(&job.name))
}

fn tone(state: JobState) -> Tone {
    match state {
        JobState::Scheduled | JobState::Queued => Tone::Plain,
        JobState::Running => Tone::Busy,
        JobState::Completed => Tone::Good,
        JobState::Failed | JobState::Cancelled => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    use super::super::tasks::Submission;
    use super::*;

    fn text(world: &World) -> Vec<String> {
        let frame = Frame { world, expected: 12, elapsed: Duration::from_millis(61_234) };
        let lines = lines(frame).into_iter();
        lines.map(|line| line.into_iter().map(|(_, text)| text).collect()).collect()
    }

    fn busy_world() -> World {
        let mut world = World::new();
        world.awaited = 12;
        for number in 1..=12_u128 {
            let id = JobId(Uuid::from_u128(number));
            let event = json!({
                "job_id": id, "seq": 1, "kind": "running", "state": "running", "attempt": 13,
                "timestamp": "2026-01-31T12:00:00.000000Z", "lane": "a-lane-with-a-long-name",
                "worker": format!("w{number}"), "gpu_id": 17, "execution_time": 12_345.6,
            });
            let event: JobEvent = serde_json::from_value(event).unwrap();
            world.see(&event, Instant::now(), DateTime::UNIX_EPOCH);
            let job = Submission {
                name: "a name that is much longer than there is room for".to_owned(),
                lane: "a-lane-with-a-long-name".to_owned(),
                phase: Phase::OneAtATime,
                sent_at: Instant::now(),
                cancel_when_running: false,
            };
            world.accept(id, job);
        }
        world
    }

    #[test]
    fn every_line_fits_eighty_columns() {
        for world in [World::new(), busy_world()] {
            for line in text(&world) {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
        }
    }

    #[test]
    fn what_an_event_tells_is_not_cut() {
        let event = |kind: &str, attempt, seconds| -> JobEvent {
            let id = JobId(Uuid::from_u128(1));
            serde_json::from_value(json!({
                "job_id": id, "seq": 1, "kind": kind, "state": "running", "attempt": attempt,
                "timestamp": "2026-01-31T12:00:00.000000Z", "lane": "default", "worker": "w",
                "gpu_id": 1, "execution_time": seconds,
            }))
            .unwrap()
        };
        let mut world = busy_world();
        let named = |world: &mut World, name: &str| {
            let job = world.accepted.get_mut(&JobId(Uuid::from_u128(1))).unwrap();
            name.clone_into(&mut job.name);
        };

        named(&mut world, "mixtral-draft-release-notes");
        assert_eq!(
            event_line(&event("completed", 2, 0.05), &world),
            "12:00:00.000 completed  mixtral-draft-release-notes default try 2 gpu 1 0.05 s"
        );
        named(&mut world, "short");
        assert_eq!(
            event_line(&event("failed", 1, 0.8), &world),
            "12:00:00.000 failed     short                       default       gpu 1 0.80 s"
        );
        named(&mut world, "a name that is much longer than there is room for");
        assert_eq!(
            event_line(&event("cancel_requested", 13, 12_345.6), &world),
            "12:00:00.000 cancel_requested a name that is … default try 13 gpu 1 12345.60 s"
        );
    }

    #[test]
    fn the_table_keeps_its_height_and_leaves_a_row_of_twenty_four() {
        let idle = text(&World::new()).len();
        assert!(idle <= 23);
        // One lane more than the usual two.
        assert_eq!(text(&busy_world()).len(), idle + 1);
    }

    #[test]
    fn jobs_are_counted_by_lane_and_state() {
        let lines = text(&busy_world());
        let row = lines.iter().find(|line| line.starts_with("a-lane")).unwrap();
        let counts: Vec<&str> = row.split_whitespace().skip(1).collect();
        assert_eq!(counts, ["0", "0", "12", "0", "0", "0"]);
    }
}
