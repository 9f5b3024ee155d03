//! PostgreSQL URLs, as text: drivers differ in what they allow in one.

/// `url` with another database.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (url, String::new()),
    };
    let authority = address.find("://").map_or(0, |at| at + "://".len());
    let path = address[authority..].find('/').map_or(address.len(), |at| authority + at);

    format!("{}/{database}{query}", &address[..path])
}

/// `url` without the driver that some tools put into the scheme, as in `postgresql+psycopg2://`.
pub(crate) fn without_driver(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = scheme.split('+').next().unwrap_or(scheme);
            format!("{scheme}://{rest}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_replaced_and_nothing_else() {
        let cases = [
            (
                "postgres://u:p@h:5432/old?sslmode=disable",
                "postgres://u:p@h:5432/new?sslmode=disable",
            ),
            ("postgres://h", "postgres://h/new"),
            ("postgres://h?a=b/c", "postgres://h/new?a=b/c"),
            ("postgresql:///old?host=/run/pg", "postgresql:///new?host=/run/pg"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "new"), expected);
        }
    }

    #[test]
    fn a_driver_in_the_scheme_is_dropped() {
        assert_eq!(without_driver("postgresql+psycopg2://h/d?x=a+b"), "postgresql://h/d?x=a+b");
        assert_eq!(without_driver("postgres://h/d"), "postgres://h/d");
    }
}
