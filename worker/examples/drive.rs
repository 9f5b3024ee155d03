//! Throw-away.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    clippy::large_futures,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "throw-away"
)]
use jetlane_core::clock::SystemClock;
use jetlane_core::domain::*;
use jetlane_core::messaging::{Messaging, Received};
use jetlane_core::outbox::{OutboxMetrics, announcer};
use jetlane_core::store::{self, Ledger, PoolSettings};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;
fn job(params: &str, name: &str) -> NewJob {
    NewJob {
        id: JobId(uuid::Uuid::now_v7()),
        tenant: TenantName::default(),
        lane: LaneName::default(),
        name: name.into(),
        tool: Tool::Simulate,
        params: serde_json::from_str(params).unwrap(),
        priority: 0,
        submitted_by: None,
        run_at: RunAt::Now,
        timeout: None,
        max_attempts: 3.try_into().unwrap(),
        concurrency_key: None,
        traceparent: None,
    }
}
#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (db, nats, cmd) = (&args[1], &args[2], args[3].as_str());
    if cmd == "migrate" {
        println!("{}", store::migrate(db).await.unwrap());
        return;
    }
    let pool = store::connect(&PoolSettings {
        url: db.clone(),
        application_name: "drive",
        max_connections: 10,
        acquire_timeout: Duration::from_secs(5),
    })
    .await
    .unwrap();
    let ledger = Ledger::new(pool);
    let m = Messaging::connect(nats, "drive").await.unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(1), m.link().wait_for(|l| l.is_up)).await;
    let (a, marker) = announcer(
        ledger.clone(),
        m.clone(),
        Arc::new(SystemClock),
        OutboxMetrics::new(&prometheus::Registry::new()).unwrap(),
        Arc::new(Notify::new()),
    );
    let mut set = JoinSet::new();
    set.spawn(marker.run());
    match cmd {
        "submit" => {
            let n: usize = args[4].parse().unwrap();
            for i in 0..n {
                let mut new = job(&args[5], &format!("job-{i}"));
                if let Some(ms) = args.get(6).and_then(|t| t.strip_prefix("timeout=")) {
                    new.timeout = Some(Duration::from_millis(ms.parse().unwrap()));
                }
                if let Some(ms) = args.get(6).and_then(|t| t.strip_prefix("in=")) {
                    new.run_at = RunAt::At(
                        jetlane_core::clock::Clock::now(&SystemClock)
                            + Duration::from_millis(ms.parse().unwrap()),
                    );
                }
                let acc = ledger.accept(new).await.unwrap();
                if n < 4 {
                    println!("{}", acc.job.id);
                }
                a.announce(acc.change).await;
            }
            a.flush().await;
        }
        "flood" => {
            let n: usize = args[4].parse().unwrap();
            let t = Instant::now();
            let mut tasks = JoinSet::new();
            for c in 0..16 {
                let (ledger, a, p) = (ledger.clone(), a.clone(), args[5].clone());
                tasks.spawn(async move {
                    for i in (c..n).step_by(16) {
                        let acc = ledger.accept(job(&p, &format!("flood-{i}"))).await.unwrap();
                        a.announce(acc.change).await;
                    }
                });
            }
            tasks.join_all().await;
            println!("accepted {n} in {:?}", t.elapsed());
            a.flush().await;
        }
        "cancel" => {
            let id: JobId = args[4].parse().unwrap();
            if let store::Cancelled::Accepted(c) =
                ledger.cancel(&TenantName::default(), id).await.unwrap()
            {
                a.announce(c).await;
                a.flush().await;
                println!("asked");
            }
        }
        "pickup" => {
            let n: usize = args[4].parse().unwrap();
            let gap: u64 = args[5].parse().unwrap();
            let mut feed = m.feed().await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            let (mut pick, mut acc_t) = (vec![], vec![]);
            for _ in 0..n {
                let new = job(&args[6], "one");
                let id = new.id;
                let t = Instant::now();
                let acc = ledger.accept(new).await.unwrap();
                acc_t.push(t.elapsed());
                a.announce(acc.change).await;
                loop {
                    if let Some(Received::Event(e)) = feed.next().await {
                        if e.job_id == id && e.kind == EventKind::Running {
                            pick.push(t.elapsed());
                        }
                        if e.job_id == id && e.kind.is_last() {
                            break;
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(gap)).await;
            }
            for (what, mut v) in [("accept", acc_t), ("pickup", pick)] {
                v.sort();
                let q = |p: f64| v[((v.len() - 1) as f64 * p) as usize];
                println!(
                    "{what}: n={} p50={:?} p90={:?} p99={:?} max={:?}",
                    v.len(),
                    q(0.5),
                    q(0.9),
                    q(0.99),
                    q(1.0)
                );
            }
        }
        _ => panic!("?"),
    }
    std::process::exit(0);
}
