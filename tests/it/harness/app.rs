//! A system of a test's own.

use std::time::Duration;

use jetlane_devstack::{Data, Nats, Settings, TestDatabase, database};
use jetlane_tests::{Crashes, PATIENCE, Process, eventually};
use reqwest::Client;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::client::{Body, Reply, client, method};
use super::folder::Folder;
use super::program::Program;
use super::setup::Setup;
use super::watcher::Watcher;

/// A process with an address.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    /// Where it serves HTTP.
    pub(crate) url: String,
}

/// A ledger, a NATS server, edges and workers that nobody else uses. Dropping
/// it ends all of them.
#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) edges: Vec<Server>,
    pub(crate) workers: Vec<Server>,
    /// To look at the ledger behind the product's back.
    pub(crate) ledger: PgPool,
    pub(crate) nats: Nats,
    pub(crate) folder: Folder,
    client: Client,
    crashes: Crashes,
    setup: Setup,
    database: TestDatabase,
    started: usize,
}

impl TestApp {
    /// A system to start, once it is said what it is to be.
    pub(crate) fn start() -> Setup {
        Setup::new()
    }

    pub(super) async fn start_as(setup: Setup) -> Self {
        // Its own also where one is given: streams are global, and tests stop it.
        let nats = Settings::from_env().unwrap().without_given();
        let migrated = database(|url| async move {
            jetlane_core::store::migrate(&url).await?;
            Ok(())
        });
        let (database, nats) = tokio::join!(migrated, Nats::start(&nats, &Data::Temporary));
        let database = database.unwrap();
        let mut this = Self {
            edges: Vec::new(),
            workers: Vec::new(),
            ledger: PgPoolOptions::new().max_connections(3).connect_lazy(&database.url).unwrap(),
            nats: nats.unwrap(),
            folder: Folder::new(),
            client: client(),
            crashes: Crashes::new(),
            setup: setup.clone(),
            database,
            started: 0,
        };
        if !setup.is_nats_up {
            this.stop_nats().await;
        }
        for _ in 0..setup.edges {
            this.start_edge(&[]).await;
        }
        for _ in 0..setup.workers {
            this.start_worker(&[]).await;
        }
        if setup.is_nats_up {
            this.until_ready().await;
        }
        this
    }

    /// Waits until every edge has seen JetStream work.
    pub(crate) async fn until_ready(&self) {
        for edge in 0..self.edges.len() {
            self.eventually("the edge is ready", async || {
                let reply = self.ask_edge(edge, "GET", "/ready", Body::None).await;
                (reply.json()["status"] == "ready").then_some(())
            })
            .await;
        }
    }

    /// Starts one more edge, with variables that win over those of the setup.
    pub(crate) async fn start_edge(&mut self, vars: &[(&str, &str)]) -> usize {
        let server = self.start_server("edge", vars).await;
        self.edges.push(server);
        self.edges.len() - 1
    }

    /// Starts one more worker, with variables that win over those of the setup.
    pub(crate) async fn start_worker(&mut self, vars: &[(&str, &str)]) -> usize {
        let server = self.start_server("worker", vars).await;
        self.workers.push(server);
        self.workers.len() - 1
    }

    async fn start_server(&mut self, role: &'static str, vars: &[(&str, &str)]) -> Server {
        self.started += 1;
        let program = self
            .program(role)
            .arg("--exit-with-parent")
            .vars(vars.iter().map(|(k, v)| (*k, (*v).to_owned())));
        let name = format!("{role}-{}", self.started);
        let command = program.command(self.folder.path());
        let process = Process::start(&name, command, self.folder.path(), &self.crashes);
        let url = format!("http://{}", process.address(&self.crashes).await);
        Server { process, url }
    }

    /// The program in a role, told where this app's servers are.
    pub(crate) fn program(&self, role: &'static str) -> Program {
        Program::new(role)
            .var("DATABASE_URL", &self.database.url)
            .var("NATS_URL", self.nats.url())
            .vars(self.setup.vars.iter().map(|(name, value)| (*name, value.clone())))
    }

    /// The URL of the ledger.
    pub(crate) fn database_url(&self) -> &str {
        &self.database.url
    }

    /// The address of a path at the first edge.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.edges[0].url)
    }

    /// The value, unless a process crashes before there is one.
    pub(crate) async fn race<T>(&self, future: impl Future<Output = T>) -> T {
        self.crashes.race(future).await
    }

    /// Asks `probe` until it has an answer.
    pub(crate) async fn eventually<T>(
        &self,
        what: &str,
        probe: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        self.within(PATIENCE, what, probe).await
    }

    /// Asks `probe` until it has an answer, for `limit` at most.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        probe: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        self.race(eventually(what, limit, probe)).await
    }

    /// A request to the first edge, to be added to.
    pub(crate) fn request(&self, verb: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method(verb), self.url(path))
    }

    /// Sends a request that was made by [`Self::request`].
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.race(Box::pin(Reply::to(request))).await
    }

    /// Asks the first edge.
    pub(crate) async fn ask(&self, verb: &str, path: &str, body: impl Into<Body>) -> Reply {
        self.ask_edge(0, verb, path, body).await
    }

    /// Asks one of the edges.
    pub(crate) async fn ask_edge(
        &self,
        edge: usize,
        verb: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Reply {
        let url = format!("{}{path}", self.edges[edge].url);
        self.send(body.into().put_into(self.client.request(method(verb), url))).await
    }

    /// `GET` of a path.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, Body::None).await
    }

    /// `GET` of a whole URL, such as a worker's.
    pub(crate) async fn get_url(&self, url: &str) -> Reply {
        self.send(self.client.get(url)).await
    }

    /// Submits a job that must be accepted, and returns its id.
    pub(crate) async fn submit(&self, job: Value) -> String {
        let reply = self.ask("POST", "/jobs", job).await.expect(201);
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// Submits a job for each number, one after the other.
    pub(crate) async fn submit_each<N>(
        &self,
        numbers: impl IntoIterator<Item = N>,
        job: impl Fn(N) -> Value,
    ) -> Vec<String> {
        let mut ids = Vec::new();
        for number in numbers {
            ids.push(self.submit(job(number)).await);
        }
        ids
    }

    /// The job as the API shows it.
    pub(crate) async fn job(&self, id: &str) -> Value {
        self.get(&format!("/jobs/{id}")).await.expect(200).json()
    }

    /// Where the job stands.
    pub(crate) async fn state(&self, id: &str) -> String {
        self.job(id).await["state"].as_str().unwrap().to_owned()
    }

    /// Waits until the job stands there, and returns it.
    pub(crate) async fn until_state(&self, id: &str, state: &str) -> Value {
        self.eventually(&format!("job {id} is {state}"), async || {
            Some(self.job(id).await).filter(|job| job["state"] == state)
        })
        .await
    }

    /// Waits until the job is over, and returns it.
    pub(crate) async fn until_ended(&self, id: &str) -> Value {
        self.eventually(&format!("job {id} is over"), async || {
            Some(self.job(id).await).filter(|job| !job["finished_at"].is_null())
        })
        .await
    }

    /// Asks for the end of a running job. If it ends at once, the answer may
    /// tell of that already.
    pub(crate) async fn stop_job(&self, id: &str) {
        let reply = self.cancel(id).await;
        assert!([200, 202].contains(&reply.status), "{} {}", reply.status, reply.text);
    }

    /// Asks for the end of a job.
    pub(crate) async fn cancel(&self, id: &str) -> Reply {
        self.ask("POST", &format!("/jobs/{id}/cancel"), Body::None).await
    }

    /// Watches all events of the first edge.
    pub(crate) async fn watch(&self) -> Watcher {
        self.watch_at("/events").await
    }

    /// Watches what a path of the first edge tells.
    pub(crate) async fn watch_at(&self, path: &str) -> Watcher {
        Watcher::open(self.client.get(self.url(path)), self.crashes.clone()).await
    }

    /// Watches what a path of the last edge started tells, from an id on.
    pub(crate) async fn watch_from(&self, path: &str, last_event_id: &str) -> Watcher {
        let edge = self.edges.last().expect("there is an edge");
        let request = self.client.get(format!("{}{path}", edge.url));
        Watcher::open(request.header("last-event-id", last_event_id), self.crashes.clone()).await
    }

    /// Kills a worker as power loss would.
    pub(crate) async fn kill_worker(&self, worker: usize) {
        self.workers[worker].process.kill().await;
    }

    /// Stops NATS, and waits until it is gone. What it has stored stays.
    pub(crate) async fn stop_nats(&mut self) {
        self.nats.stop_server().await.unwrap();
    }

    /// Starts NATS again, where it was.
    pub(crate) async fn start_nats(&mut self) {
        self.nats.start_again().await.unwrap();
    }

    /// A connection to NATS of the test's own.
    pub(crate) async fn nats_client(&self) -> async_nats::Client {
        async_nats::connect(self.nats.url()).await.unwrap()
    }

    /// What NATS says of itself at a path of its monitor.
    pub(crate) async fn nats_monitor(&self, path: &str) -> Value {
        let monitor = self.nats.monitor().expect("the server is our own");
        self.get_url(&format!("{monitor}/{path}")).await.expect(200).json()
    }

    /// The streams that NATS has, by name, as its monitor shows them.
    pub(crate) async fn streams(&self) -> std::collections::BTreeMap<String, Value> {
        let answer = self.nats_monitor("jsz?streams=1&config=1&consumers=1").await;
        let accounts = answer["account_details"].as_array().cloned().unwrap_or_default();
        let streams = accounts
            .iter()
            .flat_map(|a| a["stream_detail"].as_array().cloned().unwrap_or_default());
        streams.map(|s| (s["name"].as_str().unwrap_or_default().to_owned(), s)).collect()
    }

    /// How many consumers NATS keeps, of all streams.
    pub(crate) async fn consumers(&self) -> usize {
        let streams = self.streams().await;
        streams.values().map(|s| s["consumer_detail"].as_array().map_or(0, Vec::len)).sum()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let servers = || self.edges.iter().chain(&self.workers);
        if std::thread::panicking() {
            servers().for_each(|server| server.process.print_log());
        } else if let Some(crash) = self.crashes.first() {
            servers().for_each(|server| server.process.print_log());
            panic!("{crash}");
        }
    }
}
