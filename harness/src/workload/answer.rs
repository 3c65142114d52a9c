//! What an HTTP answer settles.

use crate::history::Outcome;
use relays::order::Answer;

/// Returns the outcome, and the version told (else 0). Only the body settles a change: a bare status settles nothing.
pub(crate) fn classify(status: u16, body: &[u8]) -> (Outcome, u32) {
    match serde_json::from_slice(body) {
        Ok(Answer::Committed { version }) if (200..300).contains(&status) && version > 0 => {
            (Outcome::Committed, version)
        }
        Ok(Answer::Rejected { .. }) if (400..500).contains(&status) => (Outcome::Rejected, 0),
        _ => (Outcome::Unknown, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_body_that_fits_its_status_settles() {
        let yes = br#"{"outcome":"committed","version":4}"#;
        let no = br#"{"outcome":"rejected","reason":"rule"}"#;
        assert_eq!(classify(201, yes), (Outcome::Committed, 4));
        assert_eq!(classify(200, yes), (Outcome::Committed, 4));
        assert_eq!(classify(422, no), (Outcome::Rejected, 0));
        for (status, body) in [
            (503, &yes[..]),
            (422, yes),
            (200, no),
            (503, no),
            (503, br#"{"error":"x"}"#),
            (404, b""),
            (201, br#"{"outcome":"committed","version":0}"#),
            (201, br#"{"outcome":"committed"}"#),
            (201, b"{\"outcome\":\"committed\",\"vers"),
        ] {
            assert_eq!(classify(status, body), (Outcome::Unknown, 0), "{status}");
        }
    }

    proptest! {
        #[test]
        fn garbage_settles_nothing(status: u16, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(classify(status, &body), (Outcome::Unknown, 0));
        }
    }
}
