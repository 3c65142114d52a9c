//! Toxiproxy's JSON, and what a reply must say before it is believed: Toxiproxy ignores unknown
//! attributes with a 200 and fills in defaults without a word.

use crate::scenario::{Stream, Toxic};
use serde::{Deserialize, Serialize};

/// This is the body of the request for a new proxy.
#[derive(Debug, Serialize)]
pub(super) struct NewProxy<'a> {
    pub name: &'a str,
    pub listen: &'a str,
    pub upstream: &'a str,
    pub enabled: bool,
}

/// A proxy as Toxiproxy describes it (its other fields, `Logger` among them, are of no interest).
#[derive(Debug, Deserialize)]
pub(super) struct ProxyState {
    pub name: String,
    pub listen: String,
    pub upstream: String,
    pub enabled: bool,
    #[serde(default)]
    pub toxics: Vec<ToxicName>,
}

/// What is needed of a toxic that was met and not set.
#[derive(Debug, Deserialize)]
pub(super) struct ToxicName {
    pub name: String,
}

/// A toxic as sent, and as it must come back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ToxicState {
    pub name: String,
    pub stream: Stream,
    pub toxicity: f32,
    #[serde(flatten)]
    pub toxic: Toxic,
}

/// This is the body of an error: `{"error": ..., "status": ...}`.
#[derive(Debug, Deserialize)]
pub(super) struct ErrorBody {
    pub error: String,
}

/// This is the body of the answer to `GET /version`.
#[derive(Debug, Deserialize)]
pub(super) struct VersionBody {
    pub version: String,
}

impl ProxyState {
    /// What differs from a proxy that was asked for, if anything does. The address it listens on
    /// may be spelled otherwise (`localhost`, port 0), so only what was definite is compared.
    pub fn difference(&self, asked: &NewProxy<'_>) -> Option<String> {
        let listens = same_address(asked.listen, &self.listen);
        let same = self.name == asked.name
            && listens
            && self.upstream == asked.upstream
            && self.enabled == asked.enabled;
        (!same).then(|| {
            format!(
                "asked for {} from {} to {} (enabled: {}), got {} from {} to {} (enabled: {})",
                asked.name,
                asked.listen,
                asked.upstream,
                asked.enabled,
                self.name,
                self.listen,
                self.upstream,
                self.enabled
            )
        })
    }
}

fn same_address(asked: &str, got: &str) -> bool {
    let split = |address: &str| {
        address
            .rsplit_once(':')
            .map(|(host, port)| (host.to_owned(), port.to_owned()))
    };
    let (Some((asked_host, asked_port)), Some((got_host, got_port))) = (split(asked), split(got))
    else {
        return false;
    };
    let port = asked_port == "0" || asked_port == got_port;
    let host = match asked_host.parse::<std::net::IpAddr>() {
        Ok(ip) if !ip.is_unspecified() => {
            got_host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                == Ok(ip)
        }
        _ => true,
    };
    port && host
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_toxic_is_written_as_toxiproxy_reads_it() {
        let toxic = ToxicState {
            name: "slow".into(),
            stream: Stream::Upstream,
            toxicity: 0.1,
            toxic: Toxic::Latency {
                latency: 200,
                jitter: 50,
            },
        };
        let json = serde_json::to_string(&toxic).unwrap();
        assert_eq!(
            json,
            r#"{"name":"slow","stream":"upstream","toxicity":0.1,"type":"latency","attributes":{"latency":200,"jitter":50}}"#
        );
    }

    #[test]
    fn addresses_are_the_same_only_where_definite_parts_agree() {
        for (asked, got, same) in [
            ("127.0.0.1:0", "127.0.0.1:4711", true),
            ("127.0.0.1:4711", "127.0.0.1:4711", true),
            ("localhost:4711", "127.0.0.1:4711", true),
            ("0.0.0.0:4711", "[::]:4711", true),
            ("127.0.0.1:4711", "127.0.0.1:4712", false),
            ("127.0.0.1:4711", "127.0.0.2:4711", false),
            ("nonsense", "127.0.0.2:4711", false),
        ] {
            assert_eq!(same_address(asked, got), same, "{asked} {got}");
        }
    }
}
