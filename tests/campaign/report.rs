//! What is said in the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::args::Args;
use crate::checker::{Evidence, zombies_rejected};
use crate::faults::Done;
use crate::mutants::Mutant;
use crate::violations::{Invariant, Violation};
use crate::world::Versions;

/// How many violations are printed for people.
const MOST: usize = 40;

/// What a campaign found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) violations: Vec<Violation>,
    /// Where logs and history are kept, if they are.
    pub(crate) kept: Option<PathBuf>,
    verdict: Verdict,
    figures: Value,
    faults: BTreeMap<&'static str, Felt>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The product has kept its promises.
    Well,
    /// It has not.
    Violated,
    /// The checker has seen through a mutant.
    Caught,
    /// It has not.
    NotCaught,
}

/// How often a kind of fault happened, and what it did.
#[derive(Clone, Copy, Debug, Default)]
struct Felt {
    times: u64,
    what: &'static str,
    count: u64,
}

impl Report {
    /// The report of a campaign.
    pub(crate) fn new(
        args: &Args,
        seed: u64,
        versions: &Versions,
        evidence: &Evidence,
        violations: Vec<Violation>,
    ) -> Self {
        let mut faults: BTreeMap<&'static str, Felt> = BTreeMap::new();
        for (kind, felt) in evidence.done.iter().flat_map(|done| &done.faults) {
            // One that nobody felt was tried again, and proves nothing.
            let times = u64::from(felt.count > 0);
            let entry = faults.entry(kind.as_str()).or_default();
            *entry = Felt {
                times: entry.times + times,
                what: felt.what,
                count: entry.count + felt.count,
            };
        }
        let jobs = &evidence.ledger.jobs;
        let ended = |state: &str| jobs.values().filter(|job| job.state == state).count();
        let count = |wanted: &[Invariant]| {
            violations.iter().filter(|violation| wanted.contains(&violation.invariant)).count()
        };
        let times = |of: fn(&Done) -> Option<Duration>| -> Vec<Duration> {
            evidence.done.iter().filter_map(of).collect()
        };
        let caught_by: Vec<_> = args
            .mutant
            .map(Mutant::violates)
            .unwrap_or_default()
            .iter()
            .filter(|invariant| count(&[**invariant]) > 0)
            .collect();
        let figures = json!({
            "mutant": args.mutant.map(Mutant::as_str),
            "caught_by": caught_by,
            "jobs_accepted": evidence.submissions.iter().filter(|s| !s.ids.is_empty()).count(),
            "jobs_submitted": evidence.submissions.len(),
            "jobs_in_ledger": jobs.len(),
            "completed": ended("completed"),
            "failed": ended("failed"),
            "cancelled": ended("cancelled"),
            "lost": count(&[Invariant::Accepted]),
            "double_committed": count(&[Invariant::CommittedOnce, Invariant::Idempotent]),
            "event_gaps": count(&[
                Invariant::Events, Invariant::Watched, Invariant::Told, Invariant::Announced,
            ]),
            "violations": violations.len(),
            "faults": faults.iter().map(|(kind, felt)| (*kind, felt.times)).collect::<BTreeMap<_, _>>(),
            "kinds": evidence.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
            "left_out": evidence.left_out,
            "faults_in_all": faults.values().map(|felt| felt.times).sum::<u64>(),
            "second_attempts": jobs.values().filter(|job| job.attempt > 1).count(),
            "zombies_rejected": zombies_rejected(&evidence.lives),
            "relayed": evidence.lives.iter().map(|life| life.gauge.lock().unwrap().relayed).sum::<u64>(),
            "events": evidence.ledger.events.values().map(Vec::len).sum::<usize>(),
            "events_watched": evidence.watched.iter().map(|watched| watched.told.len()).sum::<usize>(),
            "resumes": evidence.resumes,
            "processes": evidence.lives.len(),
            "recovery_ms": spread(&times(|done| done.recovered.whole())),
            "first_ms": spread(&times(|done| done.recovered.first)),
            "overdue_ms": spread(&times(|done| done.recovered.overdue)),
            "edges_ms": spread(&times(|done| done.recovered.edges)),
            "workers_ms": spread(&times(|done| done.recovered.workers)),
            "cpu_pressure_percent": middle_and_most(&evidence.pressure),
            "seconds": args.seconds,
            "seed": seed,
            "versions": versions,
        });
        let verdict = match args.mutant {
            Some(_) if caught_by.is_empty() => Verdict::NotCaught,
            Some(_) => Verdict::Caught,
            None if violations.is_empty() => Verdict::Well,
            None => Verdict::Violated,
        };
        Self { violations, kept: None, verdict, figures, faults }
    }

    /// Whether the product held, or the mutant was caught.
    pub(crate) fn is_as_it_must_be(&self) -> bool {
        matches!(self.verdict, Verdict::Well | Verdict::Caught)
    }

    /// Prints it.
    pub(crate) fn print(&self, as_json: bool) {
        if as_json {
            println!("{}", self.figures);
        } else {
            self.print_for_people();
        }
        if self.verdict == Verdict::NotCaught {
            eprintln!("campaign: the mutant was not caught");
        }
        for violation in self.violations.iter().take(MOST) {
            eprintln!("violation: {violation}");
        }
        if self.violations.len() > MOST {
            eprintln!("… and {} more", self.violations.len() - MOST);
        }
        if let Some(folder) = &self.kept {
            eprintln!("look into {0}/history.jsonl and {0}/*.log", folder.display());
        }
    }

    fn print_for_people(&self) {
        println!("{:<24} {:>6}  effect", "fault", "times");
        for (kind, Felt { times, what, count }) in &self.faults {
            println!("{kind:<24} {times:>6}  {count} {what}");
        }
        println!();
        if let Value::Object(figures) = &self.figures {
            for (name, value) in figures
                .iter()
                .filter(|(name, _)| !["faults", "kinds", "left_out"].contains(&name.as_str()))
            {
                println!("{name:<24} {value}");
            }
        }
    }
}

/// The middle and the most, in milliseconds.
fn spread(times: &[Duration]) -> Value {
    let millis: Vec<_> = times.iter().map(|time| (time.as_secs_f64() * 1e3).round()).collect();
    middle_and_most(&millis)
}

fn middle_and_most(samples: &[f64]) -> Value {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    json!({ "p50": sorted.get(sorted.len() / 2), "max": sorted.last() })
}
