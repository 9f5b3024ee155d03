//! A report as one page that needs nothing else.

use std::fmt::Write;

use crate::chart::{Axis, Scale, Series, chart};
use crate::latency::Distribution;
use crate::load::{Load, Second, UsageAt};
use crate::report::Report;
use crate::usage::Usage;

/// How much there is of something.
type OfDepths = fn(&UsageAt) -> u64;

/// What one part used.
type OfPart = fn(&UsageAt) -> Usage;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    :root{color-scheme:light dark}table{border-collapse:collapse}\
    td,th{padding:.2rem .8rem .2rem 0;text-align:right}td:first-child,th:first-child{text-align:left}\
    svg{width:100%;height:auto;margin:.8rem 0}pre{overflow:auto}";

/// The report as HTML.
pub(crate) fn html(report: &Report) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut page, report);
    page
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let (machine, versions) = (&report.machine, &report.versions);
    write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Jetlane under load</title><style>{STYLE}</style><h1>Jetlane under load</h1>\
         <p><code>loadtest {}</code>, {}</p>",
        escaped(&report.command.join(" ")),
        escaped(&report.started_at)
    )?;
    write!(
        out,
        "<p>The generator's machine: {} cores, {}, Linux {}. ",
        machine.cores,
        escaped(&machine.processor),
        escaped(&machine.kernel)
    )?;
    if !versions.postgresql.is_empty() {
        write!(
            out,
            "Jetlane {}, PostgreSQL {}, nats-server {}, on the same machine.",
            escaped(&versions.jetlane),
            escaped(&versions.postgresql),
            escaped(&versions.nats_server)
        )?;
    }
    out.push_str("</p>");
    if let Some(load) = &report.load {
        write_load(out, load)?;
    }
    let json = serde_json::to_string_pretty(report).unwrap_or_default();
    write!(
        out,
        "<details><summary>All of it, as JSON</summary><pre>{}</pre></details></html>",
        escaped(&json)
    )
}

fn write_load(out: &mut String, load: &Load) -> std::fmt::Result {
    let scenario: Vec<_> =
        load.scenario.iter().map(|(kind, weight)| format!("{kind}={weight}")).collect();
    write!(
        out,
        "<p>Target: {}. {} arrivals per second for {} s ({}), {} users, {} watchers: {}.</p>\
         <p><b>{} arrivals, {} failed; {} jobs accepted, {} failed, the end of {} not told; {} \
         streams broke.</b></p>",
        escaped(&load.target),
        load.per_s,
        load.duration_s,
        load.shape,
        load.users,
        load.watchers,
        escaped(&scenario.join(", ")),
        load.due,
        load.failed,
        load.accepted_jobs,
        load.failed_jobs,
        load.untold_jobs,
        load.broken_streams
    )?;
    let times = times(load);
    out.push_str(
        "<h2>Times in milliseconds</h2><p>From when something was due, whether or not what came \
         before was done.</p>",
    );
    write_table(out, &times)?;
    if let Some(floor) = load.floor {
        write!(
            out,
            "<p>The same durable steps with bare clients, at this rate and on these servers: p50 \
             {:.2}, p99 {:.2}.</p>",
            floor.p50_ms, floor.p99_ms
        )?;
    }
    out.push_str(&curves("Time by percentile", &times));

    let hops = hops(load);
    if hops.is_empty() {
        out.push_str(
            "<p>The hops of a notification are not told: the target may have another clock.</p>",
        );
    } else {
        out.push_str("<h2>The hops of a notification, in milliseconds</h2>");
        write_table(out, &hops)?;
        out.push_str(&curves("Hop by percentile", &hops));
    }
    out.push_str("<h2>Second by second</h2>");
    write_seconds(out, load);
    write_slopes(out, load)?;
    Ok(())
}

fn times(load: &Load) -> Vec<(&str, &Distribution)> {
    let done = load.done.iter().map(|(kind, done)| (kind.as_str(), done));
    let mut times = vec![
        ("user late", &load.lateness),
        ("accepted", &load.accepted),
        ("told that it runs", &load.running),
        ("told that it ended", &load.ended),
    ];
    times.extend(done);
    times.retain(|(_, times)| times.summary.count > 0);
    times
}

fn hops(load: &Load) -> Vec<(&str, &Distribution)> {
    let Some(hops) = &load.hops else { return Vec::new() };
    let mut all = vec![
        ("commit to NATS", &hops.commit_to_published),
        ("NATS to edge", &hops.published_to_edge),
        ("edge to watcher", &hops.edge_to_watcher),
        ("commit to watcher", &hops.commit_to_watcher),
    ];
    all.extend(load.delivered.iter().map(|delivered| ("to each watcher", delivered)));
    all.retain(|(_, times)| times.summary.count > 0);
    all
}

fn write_table(out: &mut String, rows: &[(&str, &Distribution)]) -> std::fmt::Result {
    out.push_str(
        "<table><tr><th><th>count<th>p50<th>p90<th>p99<th>p99.9<th>p99.99<th>longest</tr>",
    );
    for (name, times) in rows {
        let found = times.summary;
        write!(out, "<tr><td>{}<td>{}", escaped(name), found.count)?;
        let quantiles =
            [found.p50_ms, found.p90_ms, found.p99_ms, found.p999_ms, found.p9999_ms, found.max_ms];
        for ms in quantiles {
            write!(out, "<td>{ms:.2}")?;
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
    Ok(())
}

fn curves(title: &str, times: &[(&str, &Distribution)]) -> String {
    let series: Vec<_> =
        times.iter().map(|(name, times)| Series { name, points: times.curve.clone() }).collect();
    let x = Axis { label: "percentile", scale: Scale::Quantile };
    chart(title, x, Axis { label: "ms", scale: Scale::Log }, &series)
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes of one run, to be drawn")]
fn write_seconds(out: &mut String, load: &Load) {
    let x = Axis { label: "s", scale: Scale::Linear };
    let seconds = |name, of: &dyn Fn(&Second) -> f64| Series {
        name,
        points: load.seconds.iter().map(|second| (second.n as f64, of(second))).collect(),
    };
    out.push_str(&chart(
        "Arrivals",
        x,
        Axis { label: "per second", scale: Scale::Linear },
        &[seconds("due", &|at| at.due as f64), seconds("failed", &|at| at.failed as f64)],
    ));
    out.push_str(&chart(
        "Times",
        x,
        Axis { label: "ms", scale: Scale::Log },
        &[
            seconds("done, p50", &|at| at.done_p50_ms),
            seconds("done, p99", &|at| at.done_p99_ms),
            seconds("runs, p50", &|at| at.running_p50_ms),
            seconds("runs, p99", &|at| at.running_p99_ms),
        ],
    ));
    if load.usage.is_empty() {
        return;
    }
    let parts: [(&str, OfPart); 4] = [
        ("edge", |at| at.used.edge),
        ("worker", |at| at.used.worker),
        ("PostgreSQL", |at| at.used.postgres),
        ("NATS", |at| at.used.nats),
    ];
    let cores = parts.map(|(name, of)| Series {
        name,
        points: load
            .usage
            .windows(2)
            .map(|pair| {
                let used = of(&pair[1]).cpu_s - of(&pair[0]).cpu_s;
                (pair[1].at_s, used / (pair[1].at_s - pair[0].at_s))
            })
            .collect(),
    });
    let memory = parts.map(|(name, of)| Series {
        name,
        points: load.usage.iter().map(|at| (at.at_s, of(at).memory_bytes as f64 / 1e6)).collect(),
    });
    let y = |label| Axis { label, scale: Scale::Linear };
    out.push_str(&chart("Processor time", x, y("cores"), &cores));
    out.push_str(&chart("Memory, shared pages counted per process", x, y("MB"), &memory));
    let depths: [(&str, OfDepths); 3] = [
        ("owed to NATS", |at| at.depths.outbox_rows),
        ("dead rows", |at| at.depths.dead_rows),
        ("bells", |at| at.depths.bells),
    ];
    let depths = depths.map(|(name, of)| Series {
        name,
        points: load.usage.iter().map(|at| (at.at_s, of(at) as f64)).collect(),
    });
    out.push_str(&chart("What piles up", x, y("rows, messages"), &depths));
}

fn write_slopes(out: &mut String, load: &Load) -> std::fmt::Result {
    if load.slopes.is_empty() {
        return Ok(());
    }
    out.push_str("<h2>What grows, in the second half</h2>");
    out.push_str("<table><tr><th><th>from<th>to<th>per hour</tr>");
    for slope in &load.slopes {
        write!(
            out,
            "<tr><td>{}<td>{:.1}<td>{:.1}<td>{:+.1}</tr>",
            escaped(&slope.what),
            slope.first,
            slope.last,
            slope.per_hour
        )?;
    }
    out.push_str("</table>");
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_shown_and_not_run() {
        let report = Report {
            command: vec!["--host=<script>alert(1)</script>".into()],
            ..Report::default()
        };
        let page = html(&report);
        assert!(page.contains("--host=&lt;script&gt;") && !page.contains("<script>"), "{page}");
    }
}
