//! Where a server would come from, for who wants to know before it is started.

use std::fmt;
use std::path::PathBuf;

use crate::sources::{Found, Offer, Wanted};

/// Where a server would come from. Shown as a fragment such as `in /usr/bin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This variable gives one.
    Given(&'static str),
    /// Programs in this folder.
    Programs(PathBuf),
    /// This image, which a Docker engine has. It would keep no data.
    Image(String),
    /// This image, which a Docker engine would pull. It would keep no data.
    MissingImage(String),
    /// This wheel, which pip would download.
    MissingWheel(&'static str),
}

impl Origin {
    pub(crate) fn new(wanted: Wanted<'_>, offer: Offer) -> Self {
        let Wanted { product, image, .. } = wanted;
        match offer {
            Offer::Ready(Found::Url(_)) => Self::Given(product.url_variable),
            Offer::Ready(Found::Programs(folder)) => Self::Programs(folder),
            Offer::Ready(Found::Engine(_)) => Self::Image(image.to_owned()),
            Offer::Image(_) => Self::MissingImage(image.to_owned()),
            Offer::Wheel(_) => Self::MissingWheel(product.wheel.distribution),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(variable) => write!(f, "{variable} gives a server"),
            Self::Programs(folder) => write!(f, "in {}", folder.display()),
            Self::Image(image) => write!(f, "{image} in the Docker engine"),
            Self::MissingImage(image) => write!(f, "{image} is not in the Docker engine yet"),
            Self::MissingWheel(wheel) => write!(f, "the wheel {wheel} is not here yet"),
        }
    }
}
