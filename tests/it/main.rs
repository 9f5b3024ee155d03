//! The system from outside, on real servers. The file names are the list of
//! what is promised.
#![expect(clippy::unwrap_used, reason = "in a test an error is a failure, told where it happens")]

mod harness;

mod arguments;
mod cancelling;
mod changing;
mod configuration;
mod consumers;
mod cors;
mod dead_letters;
mod deleting;
mod dev;
mod doctor;
mod finding;
mod foreign;
mod golden;
mod health;
mod idle;
mod input;
mod isolating;
mod keys;
mod leases;
mod listing;
mod metrics;
mod migrations;
mod ordering;
mod outages;
mod parallel;
mod pickup;
mod readme;
mod relay;
mod repeating;
mod resuming;
mod retries;
mod severed;
mod sharing;
mod shutdown;
mod slots;
mod slow_readers;
mod submitting;
mod tidy;
mod timeouts;
mod unreachable;
mod variables;
mod wakeups;
mod watching;
