//! Who may ask: whoever was given the URL, from this machine, by no page of somebody else's.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// The name by which this machine was asked for is not its own: some name that leads here.
    Host,
    /// A page of another site asks.
    Origin,
    /// The token is missing or wrong.
    Token,
}

impl IntoResponse for TurnedAway {
    fn into_response(self) -> Response {
        let why = match self {
            Self::Host => "ask for 127.0.0.1 or localhost, and nothing else\n",
            Self::Origin => "another site's page asks, and gets nothing\n",
            Self::Token => {
                "the token in the address is missing or wrong: take the URL that the demo printed\n"
            }
        };
        (StatusCode::FORBIDDEN, why).into_response()
    }
}

/// Whether a request with these headers may have what is at this path, all of which is below the token.
pub fn admits(token: &str, path: &str, headers: &HeaderMap) -> Result<(), TurnedAway> {
    let host = text(headers, header::HOST).ok_or(TurnedAway::Host)?;
    // Any port: a tunnel has another one at its other end.
    let name: Authority = host.parse().map_err(|_| TurnedAway::Host)?;
    if !matches!(name.host(), "127.0.0.1" | "localhost") {
        return Err(TurnedAway::Host);
    }
    if headers.contains_key(header::ORIGIN)
        && text(headers, header::ORIGIN) != Some(&format!("http://{host}"))
    {
        return Err(TurnedAway::Origin);
    }
    let given = path.split('/').nth(1).unwrap_or_default();
    // Hashes are compared in constant time.
    match blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes()) {
        true => Ok(()),
        false => Err(TurnedAway::Token),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asked(path: &str, headers: &[(HeaderName, &str)]) -> Result<(), TurnedAway> {
        let headers = headers.iter().cloned();
        let headers = headers.map(|(name, value)| (name, value.parse().unwrap()));
        admits("secret", path, &headers.collect())
    }

    #[test]
    fn given_the_token_when_this_machine_is_asked_by_its_own_name_then_it_is_admitted() {
        for host in ["127.0.0.1:4000", "localhost:4000", "localhost"] {
            assert_eq!(asked("/secret/", &[(header::HOST, host)]), Ok(()));
            let own = format!("http://{host}");
            let headers = [(header::HOST, host), (header::ORIGIN, own.as_str())];
            assert_eq!(asked("/secret/press", &headers), Ok(()));
        }
    }

    #[test]
    fn given_another_name_for_this_machine_or_none_then_it_is_turned_away() {
        for host in ["evil.example", "127.0.0.1.evil.example:80", "[::1", ""] {
            let asked = asked("/secret/", &[(header::HOST, host)]);
            assert_eq!(asked, Err(TurnedAway::Host), "{host}");
        }
        assert_eq!(asked("/secret/", &[]), Err(TurnedAway::Host));
    }

    #[test]
    fn given_a_page_of_another_site_or_of_another_port_then_it_is_turned_away() {
        for origin in ["https://evil.example", "http://127.0.0.1:3000", "null"] {
            let headers = [(header::HOST, "127.0.0.1:4000"), (header::ORIGIN, origin)];
            assert_eq!(asked("/secret/press", &headers), Err(TurnedAway::Origin));
        }
    }

    #[test]
    fn given_a_wrong_token_or_none_then_it_is_turned_away() {
        for path in ["/", "/wrong/", "/secre/", "/secrets/feed", "//secret/"] {
            let asked = asked(path, &[(header::HOST, "127.0.0.1:4000")]);
            assert_eq!(asked, Err(TurnedAway::Token), "{path}");
        }
    }
}
