//! What a NATS server of our own is told, as a process and in a container.

use std::ffi::OsString;
use std::path::Path;

use crate::containers::{Base, Recipe};

/// Where a container finds its settings.
const FILE: &str = "/jetlane.conf";

/// What the store is called in the folder of a process.
pub(crate) const STORE: &str = "store";

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
pub(crate) fn file(ports: Ports, name: &str, folder: &Path) -> String {
    settings("127.0.0.1", ports, name, &folder.join(STORE))
}

/// The container, reached at `ports` of our loopback.
pub(crate) fn recipe(image: &str, ports: Ports, name: &str) -> Recipe {
    Recipe {
        base: Base::Nats,
        image: image.to_owned(),
        name: name.to_owned(),
        ports: vec![(ports.clients, INSIDE.clients), (ports.monitor, INSIDE.monitor)],
        variables: Vec::new(),
        files: vec![(FILE, settings("0.0.0.0", INSIDE, name, Path::new("/data")))],
        arguments: vec!["--config".to_owned(), FILE.to_owned()],
        shared_memory: None,
    }
}

/// All that differs from the defaults of nats-server.
fn settings(address: &str, ports: Ports, name: &str, store: &Path) -> String {
    let Ports { clients, monitor } = ports;
    let store = store.to_string_lossy();
    format!(
        "\
server_name: \"{name}\"
listen: \"{address}:{clients}\"
http: \"{address}:{monitor}\"
ping_interval: \"10s\"
jetstream {{
  store_dir: {store:?}
}}
"
    )
}
