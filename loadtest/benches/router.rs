//! Requests through the router, without a socket.
//!
//! ```text
//! cargo bench -p jetlane-loadtest --bench router
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark that fails says where")]

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use criterion::{Criterion, criterion_group, criterion_main};
use jetlane_core::config::{FunctionConfig, Vars};
use jetlane_core::store::migrate;
use jetlane_devstack::{Data, Nats, Settings, TestDatabase};
use jetlane_functions::lambda::app;
use jetlane_functions::router::router;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// The router of a function, and its servers, of which only what says so makes use.
struct Given {
    router: Router,
    _database: TestDatabase,
    _nats: Nats,
}

impl Given {
    async fn new() -> Self {
        let migrated = |url: String| async move { migrate(&url).await.map(drop) };
        let database = jetlane_devstack::database(migrated).await.unwrap();
        let settings = Settings::from_env().unwrap();
        let nats = Nats::start(&settings, &Data::Temporary).await.unwrap();
        let vars: Vars = [("DATABASE_URL", database.url.as_str()), ("NATS_URL", nats.url())]
            .into_iter()
            .collect();
        let config = FunctionConfig::from_vars(&vars).unwrap();
        let router = router(app(&config).await.unwrap(), &[]).unwrap();
        Self { router, _database: database, _nats: nats }
    }

    async fn ask(&self, request: Request<Body>, expected: u16) {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "jetlane").body(Body::empty()).unwrap()
}

fn submit(body: &'static str) -> Request<Body> {
    Request::post("/jobs")
        .header("host", "jetlane")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

fn requests(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let given = runtime.block_on(Given::new());
    let mut group = criterion.benchmark_group("router");
    group.bench_function("health", |bench| {
        bench.to_async(&runtime).iter(|| given.ask(get("/health"), 200));
    });
    group.bench_function("no such route", |bench| {
        bench.to_async(&runtime).iter(|| given.ask(get("/nothing"), 404));
    });
    group.bench_function("a job with three mistakes", |bench| {
        let body = r#"{"name": "", "lane": "a.b", "colour": 1}"#;
        bench.to_async(&runtime).iter(|| given.ask(submit(body), 422));
    });
    group.bench_function("a job, with the ledger and NATS", |bench| {
        let body = r#"{"name": "measured", "params": {"duration_ms": 0}}"#;
        bench.to_async(&runtime).iter(|| given.ask(submit(body), 201));
    });
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
