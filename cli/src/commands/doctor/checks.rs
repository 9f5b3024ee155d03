//! The checks, in the order in which things are needed.

use jetlane_core::{causes, store};
use jetlane_devstack::{Data, Nats, Postgres, Settings, Source};

use super::{Finding, programs};
use crate::client::Api;
use crate::environment::{self, DEFAULT_API};

/// All of them.
///
/// # Errors
///
/// If `.env` cannot be read, or a variable of the environment means nothing.
pub(super) async fn all(api: &str) -> anyhow::Result<Vec<Finding>> {
    let settings = environment::devstack_settings()?;
    Ok(vec![
        programs::postgres(&settings).await,
        programs::nats(&settings).await,
        ledger(&settings).await,
        nats(&settings).await,
        ready(api).await,
    ])
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
        return Finding::fail(CHECK, causes(&error.into()), START);
    }
    match store::pending_migrations(url).await {
        Ok(0) => Finding::ok(CHECK, "answers, and its schema is up to date"),
        Ok(pending) => {
            Finding::fail(CHECK, format!("lacks {pending} migrations"), "run `jetlane migrate`")
        }
        Err(error) => Finding::fail(CHECK, causes(&error), START),
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
            causes(&error.into()),
            "start nats-server there with --jetstream, or correct NATS_URL",
        ),
    }
}

async fn ready(address: &str) -> Finding {
    const CHECK: &str = "API";

    let api = match Api::new(address) {
        Ok(api) => api,
        Err(error) => return Finding::fail(CHECK, causes(&error), "correct --api"),
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
            let found = causes(&error.into());
            Finding::fail(CHECK, found, "start it, or correct --api")
        }
    }
}
