//! A report for whoever sits at a terminal.

use std::fmt::Write;

use crate::lambda::Lambda;
use crate::latency::Summary;
use crate::load::Load;
use crate::report::Report;

/// The report as lines of text.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let (machine, versions) = (&report.machine, &report.versions);
    write!(out, "{} cores, {}", machine.cores, machine.processor)?;
    if !versions.postgresql.is_empty() {
        write!(out, "; PostgreSQL {}, nats-server {}", versions.postgresql, versions.nats_server)?;
    }
    writeln!(out)?;
    for pace in &report.paces {
        writeln!(out, "\nat {}/s, in milliseconds", pace.per_s)?;
        writeln!(out, "  {:<26} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p99", "p99.9", "max")?;
        line(out, "floor: told", &pace.floor)?;
        let Some(jetlane) = &pace.jetlane else { continue };
        line(out, "request sent", &jetlane.lateness)?;
        line(out, "accepted", &jetlane.accepted)?;
        line(out, "told that it runs", &jetlane.running)?;
        line(out, "told that it has ended", &jetlane.ended)?;
        line(out, "hop: commit to NATS", &jetlane.hops.commit_to_published)?;
        line(out, "hop: NATS to edge", &jetlane.hops.published_to_edge)?;
        line(out, "hop: edge to watcher", &jetlane.hops.edge_to_watcher)?;
        line(out, "commit to watcher", &jetlane.hops.commit_to_watcher)?;
        writeln!(
            out,
            "  beside the floor: p50 {:.2} ×, p99 {:.2} ×; {:.3} ms of processor time per job",
            jetlane.p50_to_floor, jetlane.p99_to_floor, jetlane.cpu_ms_per_job
        )?;
        writeln!(
            out,
            "  {} jobs, {} refused, {} whose end was not told",
            jetlane.due, jetlane.refused, jetlane.untold
        )?;
    }
    if let Some(steps) = &report.floor_steps {
        writeln!(out, "\none step of the floor after the other, in milliseconds")?;
        writeln!(out, "  {:<26} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p99", "p99.9", "max")?;
        line(out, "insert and commit", &steps.commit)?;
        line(out, "core NATS, to a subscriber", &steps.core_nats)?;
        line(out, "JetStream, stored", &steps.jetstream)?;
    }
    if let Some(found) = &report.saturation {
        writeln!(out, "\nflat out")?;
        writeln!(out, "  floor      {:>9.0} chains/s", found.floor_per_s)?;
        if found.completed_per_s > 0.0 {
            let cpu = found.cpu_ms_per_job;
            writeln!(out, "  accepted   {:>9.0} jobs/s", found.accepted_per_s)?;
            writeln!(
                out,
                "  completed  {:>9.0} jobs/s, {:.2} × the floor",
                found.completed_per_s, found.completed_to_floor
            )?;
            writeln!(
                out,
                "  processor time per job: {:.3} ms (edge {:.3}, worker {:.3}, PostgreSQL {:.3}, \
                 NATS {:.3}), generator {:.3} ms",
                found.cpu_ms_per_job_in_all,
                cpu.edge,
                cpu.worker,
                cpu.postgres,
                cpu.nats,
                found.generator_cpu_ms_per_job
            )?;
            writeln!(out, "  transactions per job that wrote: {:.2}", found.transactions_per_job)?;
        }
    }
    if let Some(load) = &report.load {
        write_load(out, load)?;
    }
    if let Some(found) = &report.lambda {
        write_lambda(out, found)?;
    }
    if let Some(growth) = &report.growth {
        writeln!(out, "\n{:>12} {:>10} {:>10} {:>12}", "", "runs p50", "runs p99", "completed/s")?;
        for point in &growth.points {
            writeln!(
                out,
                "{:>12} {:>7.2} ms {:>7.2} ms {:>12.0}",
                point.size, point.running_p50_ms, point.running_p99_ms, point.completed_per_s
            )?;
        }
    }
    Ok(())
}

fn write_load(out: &mut String, load: &Load) -> std::fmt::Result {
    writeln!(
        out,
        "\n{}, {} arrivals/s ({}) for {} s, in milliseconds",
        load.target, load.per_s, load.shape, load.duration_s
    )?;
    writeln!(out, "  {:<26} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p99", "p99.9", "max")?;
    line(out, "user late", &load.lateness.summary)?;
    for (kind, done) in &load.done {
        line(out, &format!("done: {kind}"), &done.summary)?;
    }
    if let Some(floor) = &load.floor {
        line(out, "floor: told", floor)?;
    }
    if load.accepted_jobs > 0 {
        line(out, "accepted", &load.accepted.summary)?;
        line(out, "told that it runs", &load.running.summary)?;
        line(out, "told that it has ended", &load.ended.summary)?;
    }
    if let Some(hops) = &load.hops {
        line(out, "hop: commit to NATS", &hops.commit_to_published.summary)?;
        line(out, "hop: NATS to edge", &hops.published_to_edge.summary)?;
        line(out, "hop: edge to watcher", &hops.edge_to_watcher.summary)?;
    }
    if let Some(delivered) = &load.delivered {
        line(out, "commit to each watcher", &delivered.summary)?;
    }
    writeln!(
        out,
        "  {} arrivals, {} failed; {} jobs accepted, {} failed, the end of {} not told; {} streams broke",
        load.due,
        load.failed,
        load.accepted_jobs,
        load.failed_jobs,
        load.untold_jobs,
        load.broken_streams
    )?;
    if !load.slopes.is_empty() {
        writeln!(out, "\nin the second half {:>22} {:>10} {:>12}", "from", "to", "per hour")?;
    }
    for slope in &load.slopes {
        writeln!(
            out,
            "  {:<26} {:>12.1} {:>10.1} {:>+12.1}",
            slope.what, slope.first, slope.last, slope.per_hour
        )?;
    }
    Ok(())
}

fn write_lambda(out: &mut String, found: &Lambda) -> std::fmt::Result {
    writeln!(out, "\nat {}/s, in milliseconds", found.per_s)?;
    writeln!(out, "  {:<26} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p99", "p99.9", "max")?;
    line(out, "edge: accepted", &found.edge.accepted)?;
    line(out, "edge: runs", &found.edge.running)?;
    for warm in &found.warm {
        line(out, &format!("{} warm: accepted", warm.instances), &warm.submits.accepted)?;
        line(out, &format!("{} warm: runs", warm.instances), &warm.submits.running)?;
        let connections = warm.ledger_connections;
        writeln!(out, "    {} refused, {connections} connections", warm.submits.refused)?;
    }
    line(out, "cold: accepted", &found.cold.accepted)?;
    line(out, "cold: runs", &found.cold.running)
}

fn line(out: &mut String, what: &str, found: &Summary) -> std::fmt::Result {
    writeln!(
        out,
        "  {what:<26} {:>8.2} {:>8.2} {:>8.2} {:>8.2}",
        found.p50_ms, found.p99_ms, found.p999_ms, found.max_ms
    )
}
