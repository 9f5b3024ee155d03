//! What a NATS server of our own is told, as a process and in a container.

use std::ffi::OsString;
use std::path::Path;

use crate::containers::{Base, Recipe};
use crate::settings::NatsTimes;

/// Where a container finds its settings.
const FILE: &str = "/jetlane.conf";

/// What the store is called in the folder of a process.
pub(crate) const STORE: &str = "store";

/// What a server is told that is its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    /// Where it is reached.
    pub(crate) ports: Ports,
    /// What it calls itself.
    pub(crate) name: &'a str,
    /// How often it does what it does by time.
    pub(crate) times: NatsTimes,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) clients: u16,
    /// For HTTP.
    pub(crate) monitor: u16,
}

/// In a container.
const INSIDE: Ports = Ports { clients: 4222, monitor: 8222 };

/// The command of the process.
pub(crate) fn command(programs: &Path, folder: &Path) -> [OsString; 3] {
    [programs.join("nats-server").into(), "--config".into(), folder.join("server.conf").into()]
}

/// What `server.conf` says to the process.
pub(crate) fn file(told: Told<'_>, folder: &Path) -> String {
    settings("127.0.0.1", told, &folder.join(STORE))
}

/// The container, reached at its ports of our loopback.
pub(crate) fn recipe(image: &str, told: Told<'_>) -> Recipe {
    let ports = told.ports;
    let inside = settings("0.0.0.0", Told { ports: INSIDE, ..told }, Path::new("/data"));
    Recipe {
        base: Base::Nats,
        image: image.to_owned(),
        name: told.name.to_owned(),
        ports: vec![(ports.clients, INSIDE.clients), (ports.monitor, INSIDE.monitor)],
        variables: Vec::new(),
        files: vec![(FILE, inside)],
        arguments: vec!["--config".to_owned(), FILE.to_owned()],
        shared_memory: None,
    }
}

/// All that differs from the defaults of nats-server.
fn settings(address: &str, told: Told<'_>, store: &Path) -> String {
    let Told { ports: Ports { clients, monitor }, name, times } = told;
    let (ping_interval, sync_interval) =
        (times.ping_interval.as_secs(), times.sync_interval.as_secs());
    let store = store.to_string_lossy();
    format!(
        "\
server_name: \"{name}\"
listen: \"{address}:{clients}\"
http: \"{address}:{monitor}\"
ping_interval: \"{ping_interval}s\"
jetstream {{
  store_dir: {store:?}
  sync_interval: \"{sync_interval}s\"
}}
"
    )
}
