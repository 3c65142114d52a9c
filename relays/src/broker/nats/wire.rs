//! The lines that a client and a server of NATS exchange, as far as a publisher needs them: what the server says,
//! read from the bytes that have come so far, and what is said to it, appended to the bytes that go. No copy and no
//! allocation an event.

use std::io::Write;

/// A line that introduces something is no longer than this; the server's own description has some hundred bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Answers are short: a stream's description, which is the longest, has some two thousand bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const LINE_END: &[u8] = b"\r\n";
/// What headers begin with, in either direction.
const HEADER_VERSION: &str = "NATS/1.0";
/// By this header the server knows an event that it has seen.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said<'b> {
    /// It describes itself, in JSON.
    Info(&'b [u8]),
    /// It wants a sign of life.
    Ping,
    /// It answers one.
    Pong,
    /// It complains, and mostly hangs up.
    Trouble(&'b str),
    /// It brings a message of our own subscription.
    Message {
        subject: &'b str,
        /// It is of the server itself: 503 where nobody listens to what was published.
        status: Option<u16>,
        payload: &'b [u8],
    },
}

/// Reads one thing that the server says from the front of these bytes, and how many of them it took. `None`: the rest
/// has not come yet. An Err says what is there instead.
pub(super) fn hear(bytes: &[u8]) -> Result<Option<(Said<'_>, usize)>, String> {
    let Some(length) = bytes
        .windows(LINE_END.len())
        .position(|pair| pair == LINE_END)
    else {
        if bytes.len() > LINE_BYTES_MAX {
            return Err(format!(
                "a line of more than {LINE_BYTES_MAX} bytes: is it a NATS server?"
            ));
        }
        return Ok(None);
    };
    let line = &bytes[..length];
    let after = length + LINE_END.len();
    let text = std::str::from_utf8(line).map_err(|_| unknown(line))?;
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let said = match verb {
        "INFO" => Said::Info(rest.trim().as_bytes()),
        "PING" => Said::Ping,
        "PONG" => Said::Pong,
        "-ERR" => Said::Trouble(rest.trim().trim_matches('\'')),
        "MSG" => return message(rest, false, &bytes[after..], after),
        "HMSG" => return message(rest, true, &bytes[after..], after),
        _ => return Err(unknown(line)),
    };
    Ok(Some((said, after)))
}

/// Reads a message whose line had these arguments.
fn message<'b>(
    arguments: &'b str,
    has_headers: bool,
    bytes: &'b [u8],
    before: usize,
) -> Result<Option<(Said<'b>, usize)>, String> {
    let strange = || unknown(arguments.as_bytes());
    let mut words = arguments.split_ascii_whitespace();
    let subject = words.next().ok_or_else(strange)?;
    // The subscription's number; behind it may be a subject for replies, which nobody here wants.
    words.next().ok_or_else(strange)?;
    let mut numbers = words.rev();
    let mut length = || numbers.next()?.parse::<usize>().ok();
    let total = length().ok_or_else(strange)?;
    let headers = match has_headers {
        true => length().ok_or_else(strange)?,
        false => 0,
    };
    if total > ANSWER_BYTES_MAX || headers > total {
        return Err(format!(
            "an answer of {total} bytes, of which {headers} are headers"
        ));
    }
    let Some(body) = bytes.get(..total + LINE_END.len()) else {
        return Ok(None);
    };
    if &body[total..] != LINE_END {
        return Err("an answer is longer than it says".to_owned());
    }
    let said = Said::Message {
        subject,
        status: status(&body[..headers]),
        payload: &body[headers..total],
    };
    Ok(Some((said, before + body.len())))
}

/// The status in the first line of headers, where there is one: `NATS/1.0 503`.
fn status(headers: &[u8]) -> Option<u16> {
    let rest = headers.strip_prefix(HEADER_VERSION.as_bytes())?;
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn unknown(line: &[u8]) -> String {
    let line: String = String::from_utf8_lossy(line).chars().take(100).collect();
    format!("it said `{line}`, which no NATS server says")
}

/// An event on its way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Publication<'e> {
    pub topic: &'e str,
    /// It is the last part of the subject.
    pub key: &'e str,
    /// It is told to the server as the message's id.
    pub message_id: Option<&'e str>,
    pub headers: [(&'static str, &'e str); 3],
    pub payload: &'e str,
    /// The answer comes to this subject, with the position behind it.
    pub inbox: &'e str,
    pub position: u64,
}

impl Publication<'_> {
    /// An Err says what of it cannot be said to a server.
    pub fn check(&self) -> Result<(), String> {
        let separates = |c: char| c.is_whitespace() || c.is_control() || ".*>".contains(c);
        if self.key.is_empty() || self.key.contains(separates) {
            return Err(format!(
                "the key `{}` cannot be a part of a subject: it must have no blanks, `.`, `*` or `>`, and not be empty",
                self.key
            ));
        }
        let values = self.headers.iter().map(|(_, value)| *value);
        for value in values.chain(self.message_id) {
            if value.contains(['\r', '\n']) {
                return Err(format!("the header value {value:?} has a line end"));
            }
        }
        Ok(())
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let id = self.message_id.map(|id| (MESSAGE_ID, id));
        id.into_iter().chain(self.headers)
    }

    /// How many bytes its headers have.
    fn header_bytes(&self) -> usize {
        // Each line has a colon, a blank and an end; the version's line has an end, and so has the last, empty one.
        let lines = self.headers();
        let lines: usize = lines
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        HEADER_VERSION.len() + 2 * LINE_END.len() + lines
    }

    /// How many bytes the server counts.
    pub fn bytes(&self) -> usize {
        self.header_bytes() + self.payload.len()
    }

    /// Appends it to what goes to the server.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let said = write!(
            out,
            "HPUB {}.{} {}{} {} {}\r\n{HEADER_VERSION}\r\n",
            self.topic,
            self.key,
            self.inbox,
            self.position,
            self.header_bytes(),
            self.bytes()
        );
        debug_assert!(said.is_ok(), "a vector takes everything");
        for (name, value) in self.headers() {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.extend_from_slice(LINE_END);
        out.extend_from_slice(self.payload.as_bytes());
        out.extend_from_slice(LINE_END);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_an_event_when_it_is_said_then_its_lengths_are_those_of_its_parts() {
        let event = Publication {
            topic: "oh.1.polling",
            key: "k-1",
            message_id: Some("e-1"),
            headers: [
                ("id", "e-1"),
                ("eventType", "OrderPlaced"),
                ("version", "1"),
            ],
            payload: "{\"a\":1}",
            inbox: "_INBOX.x.",
            position: 42,
        };
        let mut out = Vec::new();
        event.append_to(&mut out);
        let said = String::from_utf8(out).unwrap();
        let headers = "NATS/1.0\r\nNats-Msg-Id: e-1\r\nid: e-1\r\neventType: OrderPlaced\r\nversion: 1\r\n\r\n";
        let (length, total) = (headers.len(), headers.len() + 7);
        assert_eq!(
            said,
            format!(
                "HPUB oh.1.polling.k-1 _INBOX.x.42 {length} {total}\r\n{headers}{{\"a\":1}}\r\n"
            )
        );
    }

    #[test]
    fn given_what_would_be_another_subject_or_another_line_when_it_is_checked_then_it_is_refused() {
        let event = Publication {
            topic: "t",
            key: "k",
            message_id: None,
            headers: [("id", "1"), ("eventType", "E"), ("version", "1")],
            payload: "",
            inbox: "_INBOX.x.",
            position: 0,
        };
        assert_eq!(event.check(), Ok(()));
        for key in ["", "a b", "a.b", "*", ">", "a\r\nPUB x 0\r\n"] {
            let refused = Publication { key, ..event }.check();
            assert!(refused.unwrap_err().contains("part of a subject"), "{key}");
        }
        let headers = [
            ("id", "1\r\nNats-Msg-Id: 2"),
            ("eventType", "E"),
            ("version", "1"),
        ];
        let refused = Publication { headers, ..event }.check();
        assert!(refused.unwrap_err().contains("line end"));
    }

    #[test]
    fn given_what_a_server_says_when_it_is_heard_then_each_is_taken_for_what_it_is() {
        let answer = Said::Message {
            subject: "_INBOX.x.7",
            status: None,
            payload: b"{\"stream\":\"S\",\"seq\":1}",
        };
        let nobody = Said::Message {
            subject: "_INBOX.x.8",
            status: Some(503),
            payload: b"",
        };
        for (bytes, said) in [
            ("INFO {\"a\":1} \r\n", Said::Info(b"{\"a\":1}")),
            ("PING\r\n", Said::Ping),
            ("PONG\r\n", Said::Pong),
            (
                "-ERR 'Stale Connection'\r\n",
                Said::Trouble("Stale Connection"),
            ),
            (
                "MSG _INBOX.x.7 1 22\r\n{\"stream\":\"S\",\"seq\":1}\r\n",
                answer,
            ),
            (
                "HMSG _INBOX.x.8 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
                nobody,
            ),
        ] {
            assert_eq!(hear(bytes.as_bytes()), Ok(Some((said, bytes.len()))));
        }
    }

    #[test]
    fn given_somebody_else_when_it_speaks_then_the_error_has_what_it_said() {
        for bytes in [
            "HTTP/1.1 400 Bad Request\r\n",
            "MSG\r\n",
            "MSG a 1 x\r\n",
            "HMSG a 1 9\r\n",
            "MSG a 1 999999999999\r\n",
            "MSG a 1 1\r\nabc",
            "\u{0}\r\n",
        ] {
            assert!(hear(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        assert!(hear(&[b'x'; LINE_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        /// Whatever bytes come: nothing panics, and nothing is taken that is not there.
        #[test]
        fn given_any_bytes_then_no_more_is_taken_than_there_is(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            verb in prop::sample::select(vec!["", "MSG a 1 ", "HMSG a 1 3 ", "INFO ", "-ERR "]),
        ) {
            let bytes = [verb.as_bytes(), &bytes].concat();
            if let Ok(Some((_, taken))) = hear(&bytes) {
                prop_assert!(taken > 0 && taken <= bytes.len());
            }
        }

        /// However the bytes of several things are cut into pieces, the same is heard as of all at once.
        #[test]
        fn given_any_cuts_then_the_same_is_heard(
            payloads in prop::collection::vec("[a-z\r\n]{0,30}", 1..8),
            cuts in prop::collection::vec(1_usize..20, 1..60),
        ) {
            let mut all = Vec::new();
            for (position, payload) in payloads.iter().enumerate() {
                write!(all, "MSG _INBOX.x.{position} 1 {}\r\n{payload}\r\nPING\r\n", payload.len()).unwrap();
            }
            let (mut buffer, mut heard, mut rest) = (Vec::new(), Vec::new(), &all[..]);
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                buffer.extend_from_slice(now);
                rest = later;
                while let Some((said, taken)) = hear(&buffer).unwrap() {
                    if let Said::Message { payload, .. } = said {
                        heard.push(String::from_utf8(payload.to_vec()).unwrap());
                    }
                    buffer.drain(..taken);
                }
            }
            prop_assert_eq!(heard, payloads);
            prop_assert!(buffer.is_empty());
        }
    }
}
