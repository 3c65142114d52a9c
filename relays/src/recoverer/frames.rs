//! Three requests of Kafka's protocol, by hand: who coordinates a transactional id (FindCoordinator, version 3), the end
//! of its transaction (EndTxn, version 3), and a new producer by that id (InitProducerId, version 3), which takes the one
//! before it all its rights. librdkafka ends transactions of its own producers only, and with a new producer it would
//! abort what is open.
//!
//! These versions are "flexible": lengths are variable, and each structure ends with tagged fields.

const FIND_COORDINATOR: i16 = 10;
const INIT_PRODUCER_ID: i16 = 22;
const END_TXN: i16 = 26;
const VERSION: i16 = 3;
/// A transaction of the new producer would have so long; it begins none. A broker refuses what is longer than its
/// `transaction.max.timeout.ms`, so this is short.
const TIMEOUT_MS: i32 = 1_000;
const CLIENT_ID: &str = "outbox-harness recoverer";
/// The key of FindCoordinator is a transactional id (0 would be a consumer group).
const KEY_IS_TRANSACTION: i8 = 1;

/// A transaction as the broker knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProducerIdentity {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
}

/// Returns the frame that asks who coordinates a transactional id.
pub(super) fn find_coordinator(correlation: i32, transactional_id: &str) -> Vec<u8> {
    let mut body = Body::begin(FIND_COORDINATOR, correlation);
    body.compact_string(transactional_id);
    body.bytes.extend(KEY_IS_TRANSACTION.to_be_bytes());
    body.framed()
}

/// Returns the frame that ends the transaction of a producer.
pub(super) fn end_transaction(
    correlation: i32,
    producer: &ProducerIdentity,
    is_commit: bool,
) -> Vec<u8> {
    let mut body = Body::begin(END_TXN, correlation);
    body.compact_string(&producer.transactional_id);
    body.bytes.extend(producer.producer_id.to_be_bytes());
    body.bytes.extend(producer.producer_epoch.to_be_bytes());
    body.bytes.push(u8::from(is_commit));
    body.framed()
}

/// Returns the frame that asks for a new producer by a transactional id.
pub(super) fn take_over(correlation: i32, transactional_id: &str) -> Vec<u8> {
    let mut body = Body::begin(INIT_PRODUCER_ID, correlation);
    body.compact_string(transactional_id);
    body.bytes.extend(TIMEOUT_MS.to_be_bytes());
    // It has neither id nor epoch yet.
    body.bytes.extend((-1_i64).to_be_bytes());
    body.bytes.extend((-1_i16).to_be_bytes());
    body.framed()
}

struct Body {
    bytes: Vec<u8>,
}

impl Body {
    /// Begins with the header of a request, in its version 2.
    fn begin(api: i16, correlation: i32) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(api.to_be_bytes());
        bytes.extend(VERSION.to_be_bytes());
        bytes.extend(correlation.to_be_bytes());
        bytes.extend((CLIENT_ID.len() as i16).to_be_bytes());
        bytes.extend(CLIENT_ID.as_bytes());
        let mut body = Self { bytes };
        body.no_tagged_fields();
        body
    }

    fn compact_string(&mut self, text: &str) {
        let mut length = text.len() + 1;
        while length >= 0x80 {
            self.bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend(text.as_bytes());
    }

    fn no_tagged_fields(&mut self) {
        self.bytes.push(0);
    }

    /// Ends the body, and puts its length before it.
    fn framed(mut self) -> Vec<u8> {
        self.no_tagged_fields();
        let mut frame = Vec::with_capacity(self.bytes.len() + 4);
        frame.extend((self.bytes.len() as u32).to_be_bytes());
        frame.extend(self.bytes);
        frame
    }
}

/// Reads who coordinates out of an answer (without its length): host and port, or the broker's error code.
pub(super) fn coordinator(
    answer: &[u8],
    correlation: i32,
) -> Result<Result<(String, u16), i16>, String> {
    let mut answer = BrokerAnswer::begin(answer, correlation)?;
    answer.i32()?;
    let code = answer.i16()?;
    answer.compact_string()?;
    answer.i32()?;
    let host = answer.compact_string()?;
    let port = answer.i32()?;
    if code != 0 {
        return Ok(Err(code));
    }
    let port = u16::try_from(port).map_err(|_| format!("{port} is no port"))?;
    Ok(Ok((host, port)))
}

/// Reads the broker's code out of an answer to the end of a transaction, or to a take-over; 0 is success.
pub(super) fn code(answer: &[u8], correlation: i32) -> Result<i16, String> {
    let mut answer = BrokerAnswer::begin(answer, correlation)?;
    answer.i32()?;
    answer.i16()
}

/// What is left of an answer.
struct BrokerAnswer<'a>(&'a [u8]);

impl<'a> BrokerAnswer<'a> {
    /// Reads the header of an answer, in its version 1.
    fn begin(bytes: &'a [u8], correlation: i32) -> Result<Self, String> {
        let mut answer = Self(bytes);
        let own = answer.i32()?;
        if own != correlation {
            return Err(format!(
                "an answer to request {own} where {correlation} was asked"
            ));
        }
        for _ in 0..answer.varint()? {
            answer.varint()?;
            let length = answer.varint()?;
            answer.take(length as usize)?;
        }
        Ok(answer)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let split = self.0.split_at_checked(count);
        let (taken, left) = split.ok_or_else(|| {
            let left = self.0.len();
            format!(
                "an answer of the broker ends {count} bytes too early, of which {left} are there"
            )
        })?;
        self.0 = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "no such length".to_owned())
    }

    fn i16(&mut self) -> Result<i16, String> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, String> {
        self.array().map(i32::from_be_bytes)
    }

    fn varint(&mut self) -> Result<u32, String> {
        let mut value = 0;
        for shift in (0..=28).step_by(7) {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of the broker's has more than five bytes".to_owned())
    }

    /// Length 0 is null, which is read as nothing.
    fn compact_string(&mut self) -> Result<String, String> {
        let length = self.varint()?.saturating_sub(1);
        let text = self.take(length as usize)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn producer(transactional_id: &str) -> ProducerIdentity {
        ProducerIdentity {
            transactional_id: transactional_id.to_owned(),
            producer_id: 0x0102_0304_0506_0708,
            producer_epoch: 0x090a,
        }
    }

    /// Length, key, version, correlation, client id, no tagged fields.
    fn header(length: u8, api: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, length, 0, api, 0, 3, 0, 0, 0, 7, 0, 24];
        bytes.extend(b"outbox-harness recoverer");
        bytes.push(0);
        bytes
    }

    #[test]
    fn given_a_transaction_when_its_end_is_asked_for_then_the_bytes_are_those_of_the_protocol() {
        let mut commit = header(35 + 3 + 8 + 2 + 1 + 1, 26);
        commit.extend([3, b't', b'x', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 0]);
        assert_eq!(end_transaction(7, &producer("tx"), true), commit);
        let at = commit.len() - 2;
        commit[at] = 0;
        assert_eq!(end_transaction(7, &producer("tx"), false), commit);
    }

    #[test]
    fn given_an_id_when_its_producer_is_taken_over_then_the_bytes_are_those_of_the_protocol() {
        let mut asked = header(35 + 3 + 4 + 8 + 2 + 1, 22);
        asked.extend([3, b't', b'x', 0, 0, 0x03, 0xe8]);
        asked.extend([0xff; 10]);
        asked.push(0);
        assert_eq!(take_over(7, "tx"), asked);
    }

    #[test]
    fn given_an_id_when_its_coordinator_is_asked_for_then_the_bytes_are_those_of_the_protocol() {
        let mut asked = header(35 + 3 + 1 + 1, 10);
        asked.extend([3, b't', b'x', 1, 0]);
        assert_eq!(find_coordinator(7, "tx"), asked);
        // A length of more than seven bits takes two bytes
        let long = find_coordinator(7, &"t".repeat(200));
        assert_eq!(long[39..41], [0x80 | 73, 1]);
    }

    /// Correlation 7, no tagged fields, no throttling.
    const BEGIN: [u8; 9] = [0, 0, 0, 7, 0, 0, 0, 0, 0];

    #[test]
    fn given_an_answer_when_it_is_read_then_it_says_who_coordinates_or_why_nobody_does() {
        let answer = |code: u8, port: [u8; 4]| {
            let mut bytes = BEGIN.to_vec();
            bytes.extend([0, code, 0, 0, 0, 0, 1, 10]);
            bytes.extend(b"127.0.0.1");
            bytes.extend(port);
            bytes.push(0);
            bytes
        };
        let found = coordinator(&answer(0, [0, 0, 0x23, 0x84]), 7);
        assert_eq!(found, Ok(Ok(("127.0.0.1".to_owned(), 9092))));
        assert_eq!(coordinator(&answer(15, [0xff; 4]), 7), Ok(Err(15)));
        let error = coordinator(&answer(0, [0xff; 4]), 7).unwrap_err();
        assert_eq!(error, "-1 is no port");
        let error = coordinator(&answer(0, [0; 4]), 8).unwrap_err();
        assert_eq!(error, "an answer to request 7 where 8 was asked");
    }

    #[test]
    fn given_tagged_fields_in_the_header_when_an_answer_is_read_then_they_are_passed_over() {
        let bytes = [0, 0, 0, 7, 1, 5, 2, 0xaa, 0xbb, 0, 0, 0, 0, 0, 90, 0];
        assert_eq!(code(&bytes, 7), Ok(90));
    }

    #[test]
    fn given_an_answer_that_is_cut_off_when_it_is_read_then_that_is_said() {
        let error = code(&BEGIN, 7).unwrap_err();
        assert_eq!(
            error,
            "an answer of the broker ends 2 bytes too early, of which 0 are there"
        );
    }

    proptest! {
        #[test]
        fn given_any_bytes_when_they_are_read_as_an_answer_then_nothing_breaks(
            bytes in proptest::collection::vec(any::<u8>(), 0..64)
        ) {
            let mut answer = vec![0, 0, 0, 7];
            answer.extend(bytes);
            let _ = (coordinator(&answer, 7), code(&answer, 7));
        }
    }
}
