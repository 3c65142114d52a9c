//! What JetStream answers to an event, and to a question about its stream.

use super::wire::Said;
use crate::persistence::Persistence;
use serde::Deserialize;

/// The server itself says so where no stream takes what was published.
const NO_RESPONDERS: u16 = 503;

/// What was answered, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublishReply {
    /// The event of this position has this sequence on its stream, since now or since it came for the first time.
    Stored { position: u64, sequence: u64 },
    /// It has none, for this reason.
    Refused {
        position: u64,
        reason: String,
        /// What is no answer of JetStream's says nothing of what it did.
        persistence: Persistence,
    },
    /// The stream is there and takes events; or what is the matter with it.
    Stream(Result<(), String>),
    /// Somebody wrote to an inbox of ours that nothing of ours is answered to.
    Strange,
}

/// Questions about the stream are answered to this part of the inbox; all else there is positions.
pub(super) const ABOUT_STREAM: &str = "stream";

#[derive(Deserialize)]
struct Text<'j> {
    #[serde(borrow)]
    error: Option<Refusal<'j>>,
    seq: Option<u64>,
    config: Option<StreamConfig>,
}

#[derive(Deserialize)]
struct Refusal<'j> {
    #[serde(borrow)]
    description: Option<std::borrow::Cow<'j, str>>,
    err_code: Option<u32>,
}

#[derive(Deserialize)]
struct StreamConfig {
    #[serde(default)]
    sealed: bool,
}

impl PublishReply {
    /// Reads a message to this inbox; `None` where it is to somebody else, or none.
    pub fn of(said: &Said<'_>, inbox: &str) -> Option<Self> {
        let Said::Message {
            subject,
            status,
            payload,
        } = said
        else {
            return None;
        };
        let about = subject.strip_prefix(inbox)?;
        let stored = stored(*status, payload);
        if about == ABOUT_STREAM {
            return Some(Self::Stream(stored.map(drop).map_err(|(_, reason)| reason)));
        }
        let Ok(position) = about.parse() else {
            return Some(Self::Strange);
        };
        Some(match stored {
            Ok(Some(sequence)) => Self::Stored { position, sequence },
            Ok(None) => Self::Refused {
                position,
                persistence: Persistence::PossiblyPersisted,
                reason: "an answer without a sequence: is another service listening to the topic's subjects?"
                    .to_owned(),
            },
            Err((persistence, reason)) => Self::Refused {
                position,
                reason,
                persistence,
            },
        })
    }
}

/// The sequence in an answer, where it has one; an Err is the server's.
fn stored(status: Option<u16>, payload: &[u8]) -> Result<Option<u64>, (Persistence, String)> {
    let refused = |reason: String| (Persistence::NotPersisted, reason);
    let strange = |reason: String| (Persistence::PossiblyPersisted, reason);
    if let Some(status) = status {
        return Err(match status {
            NO_RESPONDERS => {
                refused("no stream takes it: create the stream before the relay starts".to_owned())
            }
            other => strange(format!("the server answered with status {other}")),
        });
    }
    let text: Text<'_> = serde_json::from_slice(payload)
        .map_err(|e| strange(format!("an answer that is not JetStream's: {e}")))?;
    if let Some(refusal) = text.error {
        let description = refusal
            .description
            .unwrap_or_else(|| "no reason given".into());
        return Err(refused(match refusal.err_code {
            Some(code) => format!("JetStream refused: {description} (error {code})"),
            None => format!("JetStream refused: {description}"),
        }));
    }
    if text.config.is_some_and(|config| config.sealed) {
        let sealed = "the stream is sealed: it takes no event any more";
        return Err(refused(sealed.to_owned()));
    }
    Ok(text.seq)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(subject: &str, status: Option<u16>, payload: &str) -> Option<PublishReply> {
        let said = Said::Message {
            subject,
            status,
            payload: payload.as_bytes(),
        };
        PublishReply::of(&said, "_INBOX.x.")
    }

    #[test]
    fn given_an_event_that_is_stored_now_or_was_before_when_it_is_answered_then_it_is_stored() {
        for payload in [
            r#"{"stream":"S","seq":7}"#,
            r#"{"stream":"S","domain":"d","seq":7,"duplicate":true}"#,
        ] {
            assert_eq!(
                answer("_INBOX.x.3", None, payload),
                Some(PublishReply::Stored {
                    position: 3,
                    sequence: 7
                })
            );
        }
    }

    #[test]
    fn given_a_refusal_when_it_is_read_then_it_says_why_and_of_what() {
        for (status, payload, why) in [
            (Some(503), "", "no stream takes it"),
            (Some(408), "", "status 408"),
            (
                None,
                r#"{"error":{"code":429,"err_code":10167,"description":"too many requests"},"seq":0}"#,
                "too many requests (error 10167)",
            ),
            (None, r#"{"error":{"code":500}}"#, "no reason given"),
            (None, r#"{"hello":1}"#, "without a sequence"),
            (None, "", "not JetStream's"),
        ] {
            let Some(PublishReply::Refused {
                position,
                reason,
                persistence,
            }) = answer("_INBOX.x.3", status, payload)
            else {
                panic!("{payload} was no refusal");
            };
            assert_eq!(position, 3);
            assert!(reason.contains(why), "{reason}");
            // What is no word of JetStream's says nothing of what it did.
            let strange = ["without a sequence", "not JetStream's", "with status"];
            let known = !strange.iter().any(|part| reason.contains(part));
            assert_eq!(persistence == Persistence::NotPersisted, known, "{reason}");
        }
    }

    #[test]
    fn given_a_question_about_the_stream_when_it_is_answered_then_only_one_that_takes_events_is_good()
     {
        for (status, payload, good) in [
            (None, r#"{"config":{"name":"S"}}"#, true),
            (None, r#"{"config":{"name":"S","sealed":true}}"#, false),
            (
                None,
                r#"{"error":{"code":404,"description":"stream not found"}}"#,
                false,
            ),
            (Some(503), "", false),
        ] {
            let Some(PublishReply::Stream(said)) = answer("_INBOX.x.stream", status, payload)
            else {
                panic!("{payload} was not about the stream");
            };
            assert_eq!(said.is_ok(), good, "{said:?}");
        }
    }

    #[test]
    fn given_what_is_not_to_us_when_it_comes_then_it_is_nothing_of_ours() {
        assert_eq!(answer("_INBOX.y.3", None, r#"{"seq":7}"#), None);
        let strange = answer("_INBOX.x.three", None, r#"{"seq":7}"#);
        assert_eq!(strange, Some(PublishReply::Strange));
        assert_eq!(PublishReply::of(&Said::Ping, "_INBOX.x."), None);
    }
}
