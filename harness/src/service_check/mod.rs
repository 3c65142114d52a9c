//! Whether an order service keeps the contract of docs/order-service.openapi.json, found out before any
//! run: one rule after the other, each on orders of its own, sent and read as the load generator sends and
//! reads.
//!
//! A rule tells what the service does wrong only where nothing but that rule is in question. What it needs
//! beforehand, such as an order that is placed, is tried by rules of its own; where that fails, it is not
//! tried.

mod client;
mod rules;

use client::Client;
use futures::future::BoxFuture;
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;

pub use rules::RULES;

/// Trying one rule is bounded by this; every answer has a bound of its own.
const RULE_WITHIN: Duration = Duration::from_secs(60);
/// Bound on finding out where the service is, and on the first connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// This is a rule of the contract.
pub struct Rule {
    /// This is the rule's short name, such as `wrong-state`, in the output and in the documentation.
    pub name: &'static str,
    /// What it says, in one line.
    pub what: &'static str,
    /// What to do where it is broken.
    pub remedy: &'static str,
    check: for<'a> fn(&'a CheckedService) -> BoxFuture<'a, Result<(), Fault>>,
}

/// Why a rule is not seen to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// This is what the service does.
    Broken(String),
    /// It could not be tried, since something else does not work.
    Untried(String),
}

/// This is the service, as rules reach it.
struct CheckedService {
    address: SocketAddr,
    /// As the URL has it, for the Host header.
    authority: String,
}

impl CheckedService {
    /// Returns a client with a connection of its own.
    fn client(&self) -> Client {
        Client::new(self.address, &self.authority)
    }
}

/// This says how a rule fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fared {
    /// The service keeps it.
    Kept,
    /// The service does not keep it.
    Broken,
    /// Nothing is known of it.
    Untried,
}

/// What was found of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// This is the rule's short name, as in [`Rule::name`].
    pub rule: &'static str,
    /// This is what the rule demands, in one line, as in [`Rule::what`].
    pub what: &'static str,
    /// This says whether the service keeps the rule, breaks it, or could not be tried.
    pub fared: Fared,
    /// What the service does instead, or why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
}

/// A URL at which no service can be checked, and why.
#[derive(Debug, Error)]
pub enum CheckError {
    /// It is no URL of an order service.
    #[error("{url}: {reason}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong, and what is right.
        reason: String,
    },
    /// No connection could be made to the host and port of this URL.
    #[error(
        "reaching the order service at {url}: {reason}; is it running, and does it listen there?"
    )]
    Away {
        /// As it was given.
        url: String,
        /// This says what came of the attempt to connect.
        reason: String,
    },
}

/// Checks the service at `http://HOST:PORT`, rule by rule; it gets orders of this check's own. `each` hears
/// of every rule as soon as it is known.
pub async fn check(url: &str, mut each: impl FnMut(&Finding)) -> Result<Vec<Finding>, CheckError> {
    let subject = reach(url).await?;
    let mut findings = Vec::with_capacity(RULES.len());
    for rule in RULES {
        let checked = tokio::time::timeout(RULE_WITHIN, (rule.check)(&subject)).await;
        let checked = checked.unwrap_or_else(|_| {
            let why = format!("this rule was not through within {RULE_WITHIN:?}");
            Err(Fault::Untried(why))
        });
        let finding = finding(rule, checked);
        each(&finding);
        findings.push(finding);
    }
    Ok(findings)
}

fn finding(rule: &Rule, checked: Result<(), Fault>) -> Finding {
    let (fared, found, remedy) = match checked {
        Ok(()) => (Fared::Kept, None, None),
        Err(Fault::Broken(found)) => (Fared::Broken, Some(found), Some(rule.remedy)),
        Err(Fault::Untried(why)) => (Fared::Untried, Some(why), None),
    };
    Finding {
        rule: rule.name,
        what: rule.what,
        fared,
        found,
        remedy,
    }
}

/// Finds out where the URL leads, if somebody answers there; an Err says why not.
async fn reach(url: &str) -> Result<CheckedService, CheckError> {
    let authority = authority(url).map_err(|reason| CheckError::Url {
        url: url.to_owned(),
        reason,
    })?;
    let away = |reason: String| CheckError::Away {
        url: url.to_owned(),
        reason,
    };
    let found = tokio::time::timeout(CONNECT_WITHIN, async {
        let mut reason = "its name stands for no address".to_owned();
        let addresses = tokio::net::lookup_host(&authority).await;
        for address in addresses.map_err(|e| e.to_string())? {
            match tokio::net::TcpStream::connect(address).await {
                Ok(_) => return Ok(address),
                Err(e) => reason = e.to_string(),
            }
        }
        Err(reason)
    });
    let found = found.await.unwrap_or_else(|_| {
        let within = format!("no connection within {CONNECT_WITHIN:?}");
        Err(within)
    });
    Ok(CheckedService {
        address: found.map_err(away)?,
        authority,
    })
}

/// `HOST:PORT` of a URL that has nothing else.
fn authority(url: &str) -> Result<String, String> {
    let uri: hyper::Uri = url
        .parse()
        .map_err(|e| format!("this is no URL ({e}); write http://HOST:PORT"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(other) => {
            return Err(format!(
                "orders are sent over plain HTTP, not {other}; write http://HOST:PORT"
            ));
        }
        None => return Err("this has no scheme; write http://HOST:PORT".to_owned()),
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(
            "orders are placed at /orders, below no other path; write http://HOST:PORT".to_owned(),
        );
    }
    let host = uri.host().unwrap_or_default();
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn given_a_url_of_a_service_then_host_and_port_are_taken_and_anything_else_is_refused() {
        for (url, found) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:8080/", "localhost:8080"),
            ("http://orders.example", "orders.example:80"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(authority(url).as_deref(), Ok(found));
        }
        for (url, told) in [
            ("127.0.0.1:8080", "http://HOST:PORT"),
            ("https://127.0.0.1:8080", "not https"),
            ("http://127.0.0.1:8080/api", "below no other path"),
            ("http://127.0.0.1:8080/?x=1", "below no other path"),
            ("", "http://HOST:PORT"),
        ] {
            let reason = authority(url).unwrap_err();
            assert!(reason.contains(told), "{url}: {reason}");
        }
    }

    #[test]
    fn given_the_rules_then_each_has_a_name_of_its_own_and_docs_your_service_tells_of_it() {
        let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
        let page = include_str!("../../../docs/your-service.md");
        for rule in RULES {
            assert!(
                page.contains(&format!("| `{}` |", rule.name)),
                "{}",
                rule.name
            );
            assert!(!rule.what.ends_with('.') && !rule.remedy.ends_with('.'));
        }
    }
}
