//! What a PostgreSQL of our own is told, as a process and in a container.

use std::ffi::OsString;
use std::path::Path;

use crate::containers::{Base, Recipe};

/// The port that it listens on in a container.
const PORT: u16 = 5432;

/// All that differs from PostgreSQL's defaults, and what we promise to leave at them, wherever it
/// runs.
const SETTINGS: [(&str, &str); 8] = [
    ("max_connections", "200"),
    ("shared_buffers", "128MB"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("lc_messages", "C"),
];

/// Queries that run in parallel share memory beside the buffers; engines give 64 MiB.
const SHARED_MEMORY: u64 = 256 << 20;

/// The command of the process.
pub(crate) fn command(programs: &Path, folder: &Path) -> [OsString; 5] {
    let mut config = OsString::from("config_file=");
    config.push(folder.join("server.conf"));

    [programs.join("postgres").into(), "-D".into(), folder.join("data").into(), "-c".into(), config]
}

/// What `server.conf` says to the process.
pub(crate) fn file(port: u16, name: &str) -> String {
    let port = port.to_string();
    let own = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port),
        ("unix_socket_directories", ""),
        ("cluster_name", name),
    ];
    let lines = own.iter().chain(&SETTINGS).map(|(key, value)| format!("{key} = '{value}'\n"));
    lines.collect()
}

/// The container, reached at `port` of our loopback. Its cluster is made as `guard.sh` makes one.
pub(crate) fn recipe(image: &str, port: u16, name: &str) -> Recipe {
    let own = [("listen_addresses", "*"), ("cluster_name", name)];
    let arguments = own.iter().chain(&SETTINGS).map(|(key, value)| format!("{key}={value}"));
    Recipe {
        base: Base::Postgres,
        image: image.to_owned(),
        name: name.to_owned(),
        ports: vec![(port, PORT)],
        variables: vec![("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=C --data-checksums")],
        files: Vec::new(),
        arguments: arguments.flat_map(|argument| ["-c".to_owned(), argument]).collect(),
        shared_memory: Some(SHARED_MEMORY),
    }
}
