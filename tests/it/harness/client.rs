//! HTTP as a client sees it.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Nothing at all.
    None,
    /// JSON, and said to be.
    Json(Value),
    /// These bytes, said to be JSON whether they are or not.
    JsonBytes(Vec<u8>),
}

impl Body {
    pub(crate) fn put_into(self, request: RequestBuilder) -> RequestBuilder {
        let bytes = match self {
            Self::None => return request,
            Self::Json(value) => value.to_string().into_bytes(),
            Self::JsonBytes(bytes) => bytes,
        };
        request.header("content-type", "application/json").body(bytes)
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// What was asked, for messages.
    pub(crate) asked: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let asked = format!("{} {}", request.method(), request.url());
        let response = client.execute(request).await.unwrap();
        Self {
            asked,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    /// The reply itself, whose status must be this.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}", self.asked, self.text);
        self
    }

    /// A header's text, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_str(&self.text) {
            Ok(value) => value,
            Err(error) => panic!("{} answered no JSON ({error}): {}", self.asked, self.text),
        }
    }

    /// The problem document that an error must be: of the right media type,
    /// with our kind of type, its status, and words for a person.
    #[track_caller]
    pub(crate) fn problem(&self) -> Value {
        let context = format!("{} answered {} {}", self.asked, self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json", "{context}");
        let problem = self.json();
        assert!(problem["type"].as_str().is_some_and(|t| t.starts_with("/problems/")), "{context}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{context}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{context}");
        assert_eq!(problem["status"], self.status, "{context}");
        problem
    }

    /// The JSON pointers of the fields that a 422 complains of.
    #[track_caller]
    pub(crate) fn pointers(&self) -> Vec<String> {
        assert_eq!(self.status, 422, "{} answered {}", self.asked, self.text);
        let problem = self.problem();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| {
                assert!(error["detail"].as_str().is_some_and(|d| !d.is_empty()), "{problem}");
                error["pointer"].as_str().unwrap_or("(not in the body)").to_owned()
            })
            .collect()
    }
}

/// A client that goes straight to the server.
pub(crate) fn client() -> reqwest::Client {
    // An error says that another test has installed it.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A method by its name, whatever it is.
pub(crate) fn method(name: &str) -> Method {
    name.parse().unwrap()
}
