//! Identities that prove themselves: ids of orders, changes and attempts, and the content of an
//! attempt, are keyed functions of dense numbers, with a secret of the run that the system under
//! test never gets. So an event can be verified byte by byte, and a checker can use plain arrays.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an id is for; ids of different kinds never collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Order = 1,
    Change = 2,
    Attempt = 3,
}

/// This is the secret of one strategy run, together with its public id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunKey {
    /// This is the run's public id: 16 lower-case hex digits; it is part of every event.
    pub run: String,
    /// This is the secret key, as 64 hex digits.
    secret_hex: String,
}

/// This is a [`RunKey`] made ready for use, its secret as bytes.
#[derive(Debug, Clone)]
pub struct Identity {
    run: String,
    key: [u8; 32],
}

impl RunKey {
    /// Makes a fresh key from the system's random source.
    pub fn random() -> Self {
        let run: [u8; 8] = rand::random();
        let secret: [u8; 32] = rand::random();
        Self {
            run: hex(&run),
            secret_hex: hex(&secret),
        }
    }

    /// Makes a fresh key whose public id begins with these digits: those of
    /// the harness, where others may meet what it makes.
    pub fn below(harness: &str) -> Self {
        let mut key = Self::random();
        let taken = harness.len().min(key.run.len());
        key.run.replace_range(..taken, &harness[..taken]);
        key
    }

    /// Returns the usable form; an Err says that the secret (of a damaged history) is not 64 hex digits.
    pub fn identity(&self) -> Result<Identity, String> {
        let key = blake3::Hash::from_hex(&self.secret_hex)
            .map_err(|e| format!("the run's secret is not 64 hex digits: {e}"))?;
        Ok(Identity {
            run: self.run.clone(),
            key: *key.as_bytes(),
        })
    }
}

impl Identity {
    /// Returns the public id of the run: 16 lower-case hex digits, part of every event.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns the id of the order with this index.
    pub fn order_id(&self, index: u32) -> Uuid {
        self.id(Kind::Order, index)
    }
    /// Returns the index of an order of this run; `None` for any other id.
    pub fn order_index(&self, id: Uuid) -> Option<u32> {
        self.index(Kind::Order, id)
    }
    /// Returns the idempotency key of the change with this number.
    pub fn change_id(&self, number: u32) -> Uuid {
        self.id(Kind::Change, number)
    }
    /// Returns the number of a change of this run; `None` for any other id.
    pub fn change_number(&self, id: Uuid) -> Option<u32> {
        self.index(Kind::Change, id)
    }
    /// Returns the id of the attempt with this number.
    pub fn attempt_id(&self, number: u32) -> Uuid {
        self.id(Kind::Attempt, number)
    }
    /// Returns the number of an attempt of this run; `None` for any other id.
    pub fn attempt_number(&self, id: Uuid) -> Option<u32> {
        self.index(Kind::Attempt, id)
    }

    /// Appends the content of an attempt, `length` lower-case hex digits, to `out`.
    pub fn write_content(&self, attempt: u32, length: usize, out: &mut String) {
        let mut reader = self.content_reader(attempt);
        let mut block = [0u8; 64];
        let mut left = length;
        while left > 0 {
            reader.fill(&mut block);
            for byte in block {
                for digit in [byte >> 4, byte & 15] {
                    if left > 0 {
                        out.push(char::from(HEX[usize::from(digit)]));
                        left -= 1;
                    }
                }
            }
        }
    }

    /// Whether `content` is exactly the attempt's content of `length` digits.
    pub fn content_matches(&self, attempt: u32, length: usize, content: &[u8]) -> bool {
        if content.len() != length {
            return false;
        }
        let mut reader = self.content_reader(attempt);
        let mut block = [0u8; 64];
        content.chunks(128).all(|chunk| {
            reader.fill(&mut block);
            chunk.iter().enumerate().all(|(i, &c)| {
                let byte = block[i / 2];
                let digit = if i % 2 == 0 { byte >> 4 } else { byte & 15 };
                c == HEX[usize::from(digit)]
            })
        })
    }

    /// Returns a mark, 32 hex digits, for the harness's own records on the topic (the fence's sentinels).
    pub fn sentinel_mark(&self) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"sentinel");
        hex(&hasher.finalize().as_bytes()[..16])
    }

    fn content_reader(&self, attempt: u32) -> blake3::OutputReader {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"content").update(&attempt.to_be_bytes());
        hasher.finalize_xof()
    }

    /// Makes a UUIDv8 (RFC 9562) with 2 zero bytes and the index in front, and a keyed tag behind.
    fn id(&self, kind: Kind, index: u32) -> Uuid {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[kind as u8]).update(&index.to_be_bytes());
        let tag = hasher.finalize();
        let mut bytes = [0u8; 16];
        bytes[2..6].copy_from_slice(&index.to_be_bytes());
        bytes[6..].copy_from_slice(&tag.as_bytes()[..10]);
        Uuid::new_v8(bytes)
    }

    fn index(&self, kind: Kind, id: Uuid) -> Option<u32> {
        let b = id.as_bytes();
        let index = u32::from_be_bytes([b[2], b[3], b[4], b[5]]);
        (self.id(kind, index) == id).then_some(index)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_gives_its_index_back_and_no_other_kind_accepts_it(index: u32) {
            let me = RunKey::random().identity().unwrap();
            let other = RunKey::random().identity().unwrap();
            prop_assert_eq!(me.order_index(me.order_id(index)), Some(index));
            prop_assert_eq!(me.attempt_number(me.order_id(index)), None);
            prop_assert_eq!(other.order_index(me.order_id(index)), None);
        }

        #[test]
        fn content_matches_only_itself(attempt: u32, length in 0usize..700, flip in 0usize..700) {
            let me = RunKey::random().identity().unwrap();
            let mut content = String::new();
            me.write_content(attempt, length, &mut content);
            prop_assert_eq!(content.len(), length);
            prop_assert!(me.content_matches(attempt, length, content.as_bytes()));
            prop_assert!(!me.content_matches(attempt, length + 1, content.as_bytes()));
            if length > 0 {
                let mut damaged = content.into_bytes();
                damaged[flip % length] ^= 1;
                prop_assert!(!me.content_matches(attempt, length, &damaged));
            }
        }
    }
}
