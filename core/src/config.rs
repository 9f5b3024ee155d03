//! The environment, read here and nowhere else.
//!
//! | variable | default | for |
//! | --- | --- | --- |
//! | `DATABASE_URL` | required | `postgresql://…`; the spelling `postgresql+psycopg2://` is accepted |
//! | `DATABASE_MAX_CONNECTIONS` | 10, in a Lambda function 1 | connections per process |
//! | `NATS_URL` | `nats://localhost:4222` | |
//! | `HOST`, `PORT` | `0.0.0.0`, 8000 | where `edge` listens |
//! | `CORS_ORIGINS` | `http://localhost:3000` | origins, separated by commas |
//! | `PUBLIC_URL` | from the request | what absolute URLs begin with |
//! | `POLL_INTERVAL` | 5 | seconds between two sweeps; 0 switches the sweep off |
//! | `GPU_SIMULATION` | true | whether GPUs are simulated; others are not found yet |
//! | `GPU_COUNT` | 4 | simulated GPUs, so slots, of a worker |
//! | `LANES` | `default` | lanes that a worker serves, separated by commas |
//! | `LEASE` | 30 | seconds that a claim holds unless renewed |
//! | `RETRY_BACKOFF` | 1 | seconds before the second attempt; doubles, at most 60, with jitter |
//! | `WORKER_HOST`, `WORKER_PORT` | `0.0.0.0`, 8010 | where a worker serves `/health` and `/metrics` |
//! | `SIMULATE_MIN_MS`, `SIMULATE_MAX_MS` | 5000, 15000 | how long simulated work takes |
//! | `SIMULATE_FAILURE_RATE` | 0.1 | how often it fails, 0 to 1 |
//! | `KEEP_JOBS_DAYS` | 30 | days, 1 to 36500, that final jobs are kept after their end |
//! | `KEEP_DEAD_LETTERS_DAYS` | 90 | the same for dead letters |
//! | `KEEP_EVENTS_DAYS` | 30 | the same for events, by whole weeks and never before their jobs |
//! | `S3_RULES` | `[]` | the function `s3`: a JSON list of `{"bucket", "prefix", "suffix", "job"}`, of which only `job`, a job's description, is required; the first that fits an object makes the job |
//! | `SCHEDULE_JOB` | none | the function `schedule`: a JSON object, the description of the job of events that describe none |
//! | `DRAIN_GRACE` | 25 | seconds between drain and abort |
//! | `LOG` | `info` | a tracing filter |
//! | `LOG_FORMAT` | `text` | `text` or `json`; `--json` wins |
//! | `JETLANE_API` | `http://127.0.0.1:8000` | the API that the `jetlane` command asks; `--api` wins |
//!
//! A file `.env` in the working directory is read too, by every command but `demo`, which runs the
//! same wherever it is started; the environment wins. `DOCKER_HOST` counts in the environment only.
//! Names are matched without regard to case, unknown names are ignored.

mod edge;
mod function;
#[cfg(jetlane_mutants)]
mod mutant;
mod vars;
mod worker;

pub use edge::EdgeConfig;
pub use function::FunctionConfig;
#[cfg(jetlane_mutants)]
pub use mutant::Mutant;
pub use vars::{ConfigError, Vars};
pub use worker::{SimulateConfig, WorkerConfig};
