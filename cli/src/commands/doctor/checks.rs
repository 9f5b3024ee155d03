//! The checks, in the order in which things are needed.

use jetlane_core::{causes, store};
use jetlane_devstack::{Data, Nats, Postgres, Settings, Source};
use serde_json::Value;

use super::{Finding, programs};
use crate::client::{Api, ClientError};
use crate::environment::{self, DEFAULT_API};

/// The check of who answers at `--api`.
const API: &str = "API";

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
    match Api::new(address) {
        Ok(api) => judge(address, api.ready().await),
        Err(error) => Finding::fail(API, causes(&error), "correct --api"),
    }
}

/// What the answer of the API at `address` means. That none runs there is no fault unless somebody
/// said that one should.
fn judge(address: &str, answer: Result<Value, ClientError>) -> Finding {
    match answer {
        Ok(answer) if answer["status"] == "ready" => {
            Finding::ok(API, format!("ready at {address}"))
        }
        Ok(answer) => Finding::warn(
            API,
            format!("{answer} at {address}"),
            "jobs are accepted and events come late until NATS is back",
        ),
        Err(ClientError::Unreachable { .. }) if address == DEFAULT_API => Finding::warn(
            API,
            format!("nothing answers at {address}"),
            "start one with `jetlane dev`, or name it by --api",
        ),
        Err(error @ ClientError::Unreachable { .. }) => {
            Finding::fail(API, causes(&error.into()), "start it, or correct --api")
        }
        Err(ClientError::Refused { status, said }) if status.as_u16() == 503 => {
            Finding::broken(API, format!("not ready at {address}: {said}"))
        }
        // Something that is not the API, most likely.
        Err(error) if address == DEFAULT_API => Finding::warn(
            API,
            format!("no API at {address}: {}", causes(&error.into())),
            "name the API by --api",
        ),
        Err(error) => Finding::fail(
            API,
            format!("no API at {address}: {}", causes(&error.into())),
            "correct --api",
        ),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::super::Status;
    use super::*;

    fn refused(status: StatusCode, said: &str) -> Result<Value, ClientError> {
        Err(ClientError::Refused { status, said: said.to_owned() })
    }

    #[test]
    fn an_api_that_answers_is_not_said_to_be_away() {
        let said = "run `jetlane migrate`";
        for address in [DEFAULT_API, "http://10.0.0.1"] {
            let finding = judge(address, refused(StatusCode::SERVICE_UNAVAILABLE, said));
            assert_eq!(finding.status, Status::Fail);
            assert_eq!(finding.found, format!("not ready at {address}: {said}"));
        }
    }

    #[test]
    fn something_else_is_a_fault_only_where_the_api_should_be() {
        let finding = judge(DEFAULT_API, refused(StatusCode::NOT_FOUND, "no"));
        assert_eq!(finding.status, Status::Warn);
        let finding = judge("http://10.0.0.1", refused(StatusCode::NOT_FOUND, "no"));
        assert_eq!(finding.status, Status::Fail);
    }
}
