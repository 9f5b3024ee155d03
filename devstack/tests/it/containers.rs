//! What is promised of servers in containers.
//!
//! Tests that need a Docker engine with the images are marked; `bash .ci/containers short` brings
//! both, and runs these and all others on containers.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jetlane_devstack::{Data, Devstack, Nats, Postgres, Pull, Settings, Source};
use rustix::process::{Pid, Signal, kill_process};
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::ContainerInspectResponse;
use testcontainers::core::client::docker_client_instance;

use crate::given::{self, Folder, eventually, processes_naming, signal};

/// What an image is called that nobody has and nobody gives: nothing listens at that port.
const NOWHERE: &str = "localhost:1/jetlane-nowhere:1";

/// What "at once" means for passing an engine over.
const PROMPT: Duration = Duration::from_secs(10);

async fn docker() -> Docker {
    docker_client_instance().await.unwrap()
}

async fn inspected(name: &str) -> Option<ContainerInspectResponse> {
    docker().await.inspect_container(name, None).await.ok()
}

/// A process that holds both servers in containers, killed in the end.
struct Holder(Child);

impl Holder {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jetlane-devstack"));
        command.env("JETLANE_DEVSTACK", "containers").stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn wait_until_it_holds(&mut self) {
        let printed = BufReader::new(self.0.stdout.as_mut().unwrap());
        assert!(printed.lines().any(|line| line.unwrap() == "holding"));
    }

    /// Its guards, and the containers that they are to remove.
    fn guards(&self) -> Vec<(PathBuf, String)> {
        let parent = format!("\nPPid:\t{}\n", self.0.id());
        let is_ours = |guard: &PathBuf| {
            std::fs::read_to_string(guard.join("status")).is_ok_and(|text| text.contains(&parent))
        };
        let guards = processes_naming("/containers/jetlane-").into_iter().filter(is_ours);
        guards.map(|guard| (guard.clone(), container_of(&guard))).collect()
    }

    /// Kills it, and tells what containers it had by then, or was about to have.
    fn kill(mut self) -> Vec<String> {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP).unwrap();
        let containers = self.guards().into_iter().map(|(_, container)| container).collect();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        containers
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have been killed already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The container that a guard was told of.
fn container_of(guard: &std::path::Path) -> String {
    let command = std::fs::read_to_string(guard.join("cmdline")).unwrap_or_default();
    let (_, name) = command.rsplit_once("/containers/").unwrap_or_default();
    name.split('?').next().unwrap_or_default().to_owned()
}

async fn volumes_of(containers: &[String]) -> Vec<String> {
    let mut volumes = Vec::new();
    for container in containers {
        let mounts = inspected(container).await.and_then(|container| container.mounts);
        volumes.extend(mounts.unwrap_or_default().into_iter().filter_map(|mount| mount.name));
    }
    volumes
}

async fn assert_all_goes(containers: &[String], volumes: &[String]) {
    for container in containers {
        eventually("no guard is left", || processes_naming(container).is_empty());
        assert!(inspected(container).await.is_none(), "{container} is left");
    }
    for volume in volumes {
        assert!(docker().await.inspect_volume(volume).await.is_err(), "{volume} is left");
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn a_killed_process_leaves_no_container_and_no_volume() {
    let mut holder = Holder::start();
    holder.wait_until_it_holds();
    let containers: Vec<_> = holder.guards().into_iter().map(|(_, container)| container).collect();
    let volumes = volumes_of(&containers).await;
    assert_eq!((containers.len(), volumes.len()), (2, 1));

    holder.kill();

    assert_all_goes(&containers, &volumes).await;
}

/// The engine goes on with what a dead client has asked for.
#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn a_process_killed_while_its_containers_are_made_leaves_none() {
    for _ in 0..10 {
        let holder = Holder::start();
        eventually("the guards are at work", || holder.guards().len() == 2);

        let containers = holder.kill();

        assert_all_goes(&containers, &[]).await;
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn a_process_killed_while_its_servers_start_leaves_none() {
    let holder = Holder::start();
    eventually("the guards are at work", || holder.guards().len() == 2);
    let guards = holder.guards();
    while inspected(&guards[0].1).await.is_none() || inspected(&guards[1].1).await.is_none() {
        tokio::task::yield_now().await;
    }

    let containers = holder.kill();

    assert_all_goes(&containers, &[]).await;
}

/// As when a system ends a service: every process is told at once.
#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn a_guard_that_is_told_to_end_removes_its_container_first() {
    let mut holder = Holder::start();
    holder.wait_until_it_holds();
    let guards = holder.guards();

    for (guard, _) in &guards {
        signal(guard, Signal::TERM);
    }

    let containers: Vec<_> = guards.into_iter().map(|(_, container)| container).collect();
    assert_all_goes(&containers, &[]).await;
}

#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn ports_are_published_on_loopback_only() {
    let mut holder = Holder::start();
    holder.wait_until_it_holds();

    let mut published = Vec::new();
    for (_, container) in holder.guards() {
        let network = inspected(&container).await.unwrap().network_settings.unwrap();
        let ports = network.ports.unwrap_or_default();
        published.extend(ports.into_values().flatten().flatten().filter_map(|at| at.host_ip));
    }

    assert_eq!(published, ["127.0.0.1"; 3]);
}

#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn a_container_that_died_can_be_started_again() {
    let mut nats = Nats::start(&given::containers(), &Data::Temporary).await.unwrap();
    let name = async_nats::connect(nats.url()).await.unwrap().server_info().server_name;

    docker().await.kill_container(&name, None).await.unwrap();
    eventually("the server is gone", || given::is_closed(nats.url()));
    nats.start_again().await.unwrap();

    assert!(!given::is_closed(nats.url()));
}

/// The image's entry point says what it lacks.
#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn a_container_that_gives_up_is_quoted_at_once() {
    let containers = given::containers();
    // A PostgreSQL that is told what only a NATS server understands.
    let settings = Settings { nats_image: containers.postgres_image.clone(), ..containers };

    let error = Nats::start(&settings, &Data::Temporary).await.unwrap_err().to_string();

    assert!(error.starts_with("nats-server did not start: "), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[tokio::test]
#[ignore = "needs a Docker engine: bash .ci/containers short"]
async fn an_image_that_is_missing_is_pulled_only_for_who_asked() {
    let sources = vec![Source::Containers];
    let nats_image = NOWHERE.to_owned();
    let by_default = Settings { sources, nats_image, pull: Pull::Never, ..given::containers() };
    let asked_for = Settings { pull: Pull::Missing, ..by_default.clone() };
    let next = vec![Source::Containers, Source::Binaries, Source::Wheels];
    let with_others = Settings { sources: next, ..by_default.clone() };

    let passed_over = Nats::start(&by_default, &Data::Temporary).await.unwrap_err().to_string();
    let not_pulled = Nats::start(&asked_for, &Data::Temporary).await.unwrap_err().to_string();
    let other = Nats::start(&with_others, &Data::Temporary).await.unwrap();

    let expected = format!(
        "no nats-server 2.11 or newer: the Docker engine has no image {NOWHERE}; \
         start a Docker engine that has {NOWHERE} (JETLANE_NATS_IMAGE)"
    );
    assert_eq!(passed_over, expected);
    let expected = format!("no nats-server 2.11 or newer: failed to pull the image '{NOWHERE}'");
    assert!(not_pulled.starts_with(&expected), "{not_pulled}");
    assert_eq!(not_pulled.lines().count(), 1);
    assert!(other.pid().is_some(), "it is a process");
}

#[tokio::test]
async fn where_no_engine_listens_is_said_in_one_line() {
    let nowhere = "unix:///nowhere/docker.sock".to_owned();
    let settings = Settings { docker_host: nowhere, ..given::containers() };

    let error = Postgres::start(&settings, &Data::Temporary).await.unwrap_err();

    let expected = format!(
        "no PostgreSQL 16 or newer: no Docker engine answers at unix:///nowhere/docker.sock \
         (No such file or directory (os error 2)); \
         start a Docker engine that has {} (JETLANE_POSTGRES_IMAGE)",
        settings.postgres_image
    );
    assert_eq!(error.to_string(), expected);
}

/// It takes connections and never answers, as one does whose machine is about to stop.
#[tokio::test]
async fn an_engine_that_does_not_answer_is_passed_over_soon() {
    let folder = Folder::new();
    let socket = folder.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let sources = vec![Source::Containers, Source::Binaries, Source::Wheels];
    let docker_host = format!("unix://{}", socket.display());
    let settings = Settings { sources, docker_host, ..given::settings() };
    // So that no download is counted.
    Nats::start(&given::processes(), &Data::Temporary).await.unwrap().stop().await.unwrap();

    let asked = Instant::now();
    let nats = Nats::start(&settings, &Data::Temporary).await.unwrap();

    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    assert!(nats.pid().is_some(), "it is a process");
}

#[tokio::test]
async fn data_to_keep_is_left_to_processes() {
    let folder = Folder::new();
    let data = Data::Kept(folder.path().to_owned());

    let error = Devstack::start(&given::containers(), &data).await.unwrap_err().to_string();

    let reason = format!("containers keep no data, and {} is to be kept", folder.path().display());
    assert!(error.contains(&reason), "{error}");
    assert!(error.ends_with("; allow more sources in JETLANE_DEVSTACK"), "{error}");
}
