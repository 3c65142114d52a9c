//! A typed client of Toxiproxy's admin API: every status checked, every reply compared with the
//! request. (Why not a crate: see docs/architecture.md, dependencies.)

mod wire;

use crate::scenario::{Stream, Toxic};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use wire::{ErrorBody, NewProxy, ProxyState, ToxicState, VersionBody};

/// Toxiproxy gives up on a request of its own accord after 25 s; a wedged one never answers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A proxy's whole description is some hundreds of bytes.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// What went wrong, with what was asked and what came back.
#[derive(Debug, Error)]
#[error("toxiproxy {url}: {doing}: {reason}")]
pub struct ToxiproxyError {
    /// This is the URL of the admin API that was asked.
    pub url: String,
    /// What was being done.
    pub doing: String,
    /// This is the HTTP status of the answer; `None` when there was no answer at all (a wedged or dead server).
    pub status: Option<u16>,
    /// This says why that failed, e.g. in what the reply differs from the request.
    pub reason: String,
}

/// This is the client. Clones share connections.
#[derive(Debug, Clone)]
pub struct ToxiproxyClient {
    base: Url,
    http: reqwest::Client,
}

/// An answer whose status was one of those expected.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl ToxiproxyClient {
    /// Makes a client for the server at `http://host:port`; an Err says what is wrong with the URL.
    pub fn new(url: &str) -> Result<Self, ToxiproxyError> {
        Self::with_timeout(url, REQUEST_TIMEOUT)
    }

    /// Does the same with another bound on each request.
    pub fn with_timeout(url: &str, timeout: Duration) -> Result<Self, ToxiproxyError> {
        let invalid = |reason: String| ToxiproxyError {
            url: url.to_owned(),
            doing: "reading its URL".into(),
            status: None,
            reason,
        };
        let base = Url::parse(url)
            .map_err(|e| invalid(format!("{e}; it must be like http://127.0.0.1:8474")))?;
        if base.scheme() != "http" || base.cannot_be_a_base() || base.host_str().is_none() {
            return Err(invalid("it must be like http://127.0.0.1:8474".into()));
        }
        // Idle connections are not kept: after a restart of the server they would be dead, and
        // there are no hidden retries here to paper over that.
        let http = crate::http::direct()
            .user_agent(concat!("outbox-harness/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .timeout(timeout)
            .build()
            .map_err(|e| invalid(chain(&e)))?;
        Ok(Self { base, http })
    }

    /// Asks Toxiproxy for its version (`GET /version`).
    pub async fn version(&self) -> Result<String, ToxiproxyError> {
        let doing = "asking its version";
        let answer = self
            .call(Method::GET, &["version"], None::<&()>, &[200], doing)
            .await?;
        let body: VersionBody = self.read(&answer, doing)?;
        Ok(body.version)
    }

    /// Creates an enabled proxy without toxics, replacing one of that name; returns where it listens.
    pub async fn create(
        &self,
        name: &str,
        listen: &str,
        upstream: &str,
    ) -> Result<String, ToxiproxyError> {
        let doing = format!("creating proxy {name} from {listen} to {upstream}");
        let asked = NewProxy {
            name,
            listen,
            upstream,
            enabled: true,
        };
        let mut answer = self
            .call(
                Method::POST,
                &["proxies"],
                Some(&asked),
                &[201, 409],
                &doing,
            )
            .await?;
        if answer.status == StatusCode::CONFLICT {
            self.delete(name).await?;
            answer = self
                .call(Method::POST, &["proxies"], Some(&asked), &[201], &doing)
                .await?;
        }
        let created: ProxyState = self.read(&answer, &doing)?;
        self.expect(created.difference(&asked), &doing)?;
        let there = self.state(name, "reading back").await?;
        self.expect(there.difference(&asked), &doing)?;
        self.expect(leftover_toxics(&there), &doing)?;
        Ok(there.listen)
    }

    /// Deletes a proxy; one that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<(), ToxiproxyError> {
        let doing = format!("deleting proxy {name}");
        self.call(
            Method::DELETE,
            &["proxies", name],
            None::<&()>,
            &[204, 404],
            &doing,
        )
        .await?;
        Ok(())
    }

    /// Enables or disables a proxy, and reads it back.
    pub async fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), ToxiproxyError> {
        #[derive(Serialize)]
        struct ProxyPatch {
            enabled: bool,
        }
        let verb = if enabled { "enabling" } else { "disabling" };
        let doing = format!("{verb} proxy {name}");
        let answer = self
            .call(
                Method::PATCH,
                &["proxies", name],
                Some(&ProxyPatch { enabled }),
                &[200],
                &doing,
            )
            .await?;
        let changed: ProxyState = self.read(&answer, &doing)?;
        let there = self.state(name, "reading back").await?;
        for state in [&changed, &there] {
            let differs = state.name != name || state.enabled != enabled;
            let what = differs.then(|| format!("got {} enabled: {}", state.name, state.enabled));
            self.expect(what, &doing)?;
        }
        Ok(())
    }

    /// Adds a toxic, and reads it back.
    pub async fn add_toxic(
        &self,
        proxy: &str,
        name: &str,
        toxic: Toxic,
        stream: Stream,
        toxicity: f32,
    ) -> Result<(), ToxiproxyError> {
        let asked = ToxicState {
            name: name.to_owned(),
            stream,
            toxicity,
            toxic,
        };
        let doing = format!("adding toxic {name} to proxy {proxy}");
        if let Some(reason) = refused(&asked) {
            return Err(self.error(&doing, None, reason));
        }
        let collection = ["proxies", proxy, "toxics"];
        let answer = self
            .call(Method::POST, &collection, Some(&asked), &[200], &doing)
            .await?;
        self.compare(&answer, &asked, &doing)?;
        let one = ["proxies", proxy, "toxics", name];
        let doing = format!("reading back toxic {name} of proxy {proxy}");
        let answer = self
            .call(Method::GET, &one, None::<&()>, &[200], &doing)
            .await?;
        self.compare(&answer, &asked, &doing)
    }

    /// Removes a toxic; one that is not there is no error.
    pub async fn remove_toxic(&self, proxy: &str, name: &str) -> Result<(), ToxiproxyError> {
        let doing = format!("removing toxic {name} from proxy {proxy}");
        self.call(
            Method::DELETE,
            &["proxies", proxy, "toxics", name],
            None::<&()>,
            &[204, 404],
            &doing,
        )
        .await?;
        Ok(())
    }

    /// Names of all proxies.
    pub async fn list(&self) -> Result<Vec<String>, ToxiproxyError> {
        Ok(self.upstreams().await?.into_keys().collect())
    }

    /// Returns all proxies by name, each with the address that it leads to.
    pub async fn upstreams(&self) -> Result<BTreeMap<String, String>, ToxiproxyError> {
        let doing = "listing the proxies";
        let answer = self
            .call(Method::GET, &["proxies"], None::<&()>, &[200], doing)
            .await?;
        let proxies: BTreeMap<String, ProxyState> = self.read(&answer, doing)?;
        let upstream = |(name, state): (String, ProxyState)| (name, state.upstream);
        Ok(proxies.into_iter().map(upstream).collect())
    }

    /// Whether a proxy is there and enabled, and the names of its toxics; `None`: it is not there.
    pub async fn inspect(
        &self,
        proxy: &str,
    ) -> Result<Option<(bool, Vec<String>)>, ToxiproxyError> {
        match self.state(proxy, "inspecting").await {
            Ok(state) => {
                let toxics = state.toxics.into_iter().map(|t| t.name).collect();
                Ok(Some((state.enabled, toxics)))
            }
            Err(e) if e.status == Some(404) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether these proxies are all there, enabled, and without toxics; the error names what is not.
    pub async fn assert_healed(&self, proxies: &[String]) -> Result<(), ToxiproxyError> {
        let doing = "reading back that every proxy is healed";
        let mut wrong = Vec::new();
        for name in proxies {
            match self.inspect(name).await? {
                None => wrong.push(format!("{name} is not there")),
                Some((enabled, toxics)) => {
                    if !enabled {
                        wrong.push(format!("{name} is disabled"));
                    }
                    if !toxics.is_empty() {
                        wrong.push(format!("{name} still has {}", toxics.join(", ")));
                    }
                }
            }
        }
        let what = (!wrong.is_empty()).then(|| wrong.join("; "));
        self.expect(what, doing)
    }

    async fn state(&self, proxy: &str, verb: &str) -> Result<ProxyState, ToxiproxyError> {
        let doing = format!("{verb} proxy {proxy}");
        let answer = self
            .call(
                Method::GET,
                &["proxies", proxy],
                None::<&()>,
                &[200],
                &doing,
            )
            .await?;
        let state: ProxyState = self.read(&answer, &doing)?;
        let differs = state.name != proxy;
        self.expect(differs.then(|| format!("got proxy {}", state.name)), &doing)?;
        Ok(state)
    }

    fn compare(
        &self,
        answer: &Answer,
        asked: &ToxicState,
        doing: &str,
    ) -> Result<(), ToxiproxyError> {
        let got: ToxicState = self.read(answer, doing)?;
        let differs = got != *asked;
        self.expect(
            differs.then(|| format!("asked for {asked:?}, got {got:?}")),
            doing,
        )
    }

    /// One request, one answer, of which the status is one of `expected`.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
        expected: &[u16],
        doing: &str,
    ) -> Result<Answer, ToxiproxyError> {
        let mut url = self.base.clone();
        // Names hold `->`: each segment is escaped on its own. A slash could not be told from a
        // separator by the server's router.
        if path.iter().any(|s| s.is_empty() || s.contains('/')) {
            let reason = "a name is empty or has a slash in it; give it another".to_owned();
            return Err(self.error(doing, None, reason));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let no_answer = |e: reqwest::Error| {
            let advice = if e.is_timeout() {
                "it gave no answer in time: a proxy of it may be wedged; resume stopped processes and restart it"
            } else {
                "is it running?"
            };
            self.error(doing, None, format!("{}; {advice}", chain(&e)))
        };
        let mut response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > MAX_REPLY_BYTES {
                let reason = format!("its answer is longer than {MAX_REPLY_BYTES} bytes");
                return Err(self.error(doing, Some(status), reason));
            }
            body.extend_from_slice(&chunk);
        }
        if !expected.contains(&status.as_u16()) {
            // Errors are JSON under text/plain; unknown routes and its own time-out are not JSON.
            let said = serde_json::from_slice::<ErrorBody>(&body).map_or_else(
                |_| String::from_utf8_lossy(&body).trim().to_owned(),
                |e| e.error,
            );
            let said: String = said.chars().take(300).collect();
            let reason = format!("answered {} ({said})", status.as_u16());
            return Err(self.error(doing, Some(status), reason));
        }
        Ok(Answer { status, body })
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer, doing: &str) -> Result<T, ToxiproxyError> {
        serde_json::from_slice(&answer.body).map_err(|e| {
            let text = String::from_utf8_lossy(&answer.body);
            let text: String = text.chars().take(300).collect();
            self.error(
                doing,
                Some(answer.status),
                format!("cannot read its answer: {e}: {text}"),
            )
        })
    }

    fn expect(&self, difference: Option<String>, doing: &str) -> Result<(), ToxiproxyError> {
        match difference {
            None => Ok(()),
            Some(reason) => Err(self.error(doing, Some(StatusCode::OK), reason)),
        }
    }

    fn error(&self, doing: &str, status: Option<StatusCode>, reason: String) -> ToxiproxyError {
        ToxiproxyError {
            url: self.base.as_str().trim_end_matches('/').to_owned(),
            doing: doing.to_owned(),
            status: status.map(|s| s.as_u16()),
            reason,
        }
    }
}

/// What Toxiproxy would accept and then crash on or ignore.
fn refused(asked: &ToxicState) -> Option<String> {
    if !(0.0..=1.0).contains(&asked.toxicity) {
        return Some(format!("toxicity {} is not in 0 to 1", asked.toxicity));
    }
    match asked.toxic {
        Toxic::Slicer {
            average_size: 0, ..
        } => Some("a slicer with average_size 0 would crash the server".into()),
        Toxic::Slicer {
            average_size,
            size_variation,
            ..
        } if size_variation >= average_size => Some(format!(
            "size_variation {size_variation} must be less than average_size {average_size}, or the server may crash"
        )),
        _ => None,
    }
}

fn leftover_toxics(state: &ProxyState) -> Option<String> {
    let names: Vec<&str> = state.toxics.iter().map(|t| t.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("it has toxics already: {}", names.join(", ")))
}

/// reqwest's own message leaves out the cause, which is the part that helps.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
