//! Held against bytes in any pieces, and against bytes that are none of the protocol.

#![allow(clippy::unwrap_used)]

use super::fields::Fields;
use super::frames::{BODY, FrameBuffer, FrameKind, HEADER, METHOD, frame};
use super::request::{self, Publishing};
use super::*;
use proptest::prelude::*;

fn short(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend(text.as_bytes());
}

/// Something that a broker says, as its bytes are and as it is heard.
fn said(number: u64, kind: u8, body: &[u8]) -> (Vec<u8>, Heard) {
    let mut out = Vec::new();
    let mut content = |method: Vec<u8>| {
        let mut header = vec![0, 60, 0, 0];
        header.extend((body.len() as u64).to_be_bytes());
        // Content type, headers, delivery mode and the message's id
        header.extend((1_u16 << 15 | 1 << 13 | 1 << 12 | 1 << 7).to_be_bytes());
        short(&mut header, "text/plain");
        header.extend([0, 0, 0, 2, 1, b'n', 2]);
        // That table is cut off, which nobody notices who does not look into it
        short(&mut header, &number.to_string());
        frame(&mut out, METHOD, 1, |out| {
            out.extend(method);
            Ok(())
        })
        .unwrap();
        frame(&mut out, HEADER, 1, |out| {
            out.extend(header);
            Ok(())
        })
        .unwrap();
        for part in body.chunks(3) {
            frame(&mut out, BODY, 1, |out| {
                out.extend(part);
                Ok(())
            })
            .unwrap();
        }
    };
    let heard = match kind {
        0 => {
            let mut method = vec![0, 60, 0, 50, 1, 56];
            for text in ["NO_ROUTE", "events", "key"] {
                short(&mut method, text);
            }
            content(method);
            Heard::Returned(Returned {
                code: 312,
                text: "NO_ROUTE".into(),
                message_id: Some(number.to_string()),
            })
        }
        1 => {
            let mut method = vec![0, 60, 0, 60];
            short(&mut method, "7");
            method.extend(number.to_be_bytes());
            method.push(0);
            short(&mut method, "events");
            short(&mut method, "key");
            content(method);
            Heard::Delivered(Delivered {
                consumer: b"7".to_vec(),
                tag: number,
                exchange: b"events".to_vec(),
                key: b"key".to_vec(),
                headers: vec![1, b'n'],
                body: body.to_vec(),
            })
        }
        _ => {
            let mut method = vec![0, 60, 0, if kind == 2 { 80 } else { 120 }];
            method.extend(number.to_be_bytes());
            method.push(u8::from(body.is_empty()));
            frame(&mut out, METHOD, 1, |out| {
                out.extend(method);
                Ok(())
            })
            .unwrap();
            Heard::Confirmed {
                tag: number,
                is_multiple: body.is_empty(),
                is_ack: kind == 2,
            }
        }
    };
    (out, heard)
}

proptest! {
    #[test]
    fn given_what_a_broker_says_when_it_comes_in_any_pieces_then_it_is_heard_as_it_was_said(
        all in prop::collection::vec((any::<u64>(), 0..4_u8, prop::collection::vec(any::<u8>(), 0..20)), 0..20),
        pieces in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let said: Vec<_> = all.iter().map(|(number, kind, body)| said(*number, *kind, body)).collect();
        let bytes: Vec<u8> = said.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let mut conversation = Conversation::default();
        let (mut heard, mut rest, mut sizes) = (Vec::new(), &bytes[..], pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            conversation.room().extend(piece);
            rest = later;
            while let Some(one) = conversation.hear().unwrap() {
                heard.push(one);
            }
        }
        let expected: Vec<Heard> = said.into_iter().map(|(_, heard)| heard).collect();
        prop_assert_eq!(heard, expected);
    }

    #[test]
    fn given_bytes_that_are_anything_when_they_are_heard_then_there_is_an_end_to_it(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        begins_like_a_frame in any::<bool>(),
    ) {
        if begins_like_a_frame && bytes.len() > 7 {
            let length = (bytes.len() - 8) as u32;
            bytes[0] %= 4;
            bytes[3..7].copy_from_slice(&length.to_be_bytes());
            *bytes.last_mut().unwrap() = 0xCE;
        }
        let mut conversation = Conversation::default();
        conversation.room().extend(&bytes);
        while let Ok(Some(_)) = conversation.hear() {}
        let _ = walk(&bytes, &mut |_, _| {});
    }

    #[test]
    fn given_an_event_of_any_size_when_it_is_published_then_frames_carry_all_of_it_and_none_is_too_long(
        body_bytes in 0..400_000_usize,
        id in prop::option::of(any::<u64>()),
        is_mandatory in any::<bool>(),
    ) {
        let body: Vec<u8> = (0..body_bytes).map(|n| n as u8).collect();
        let mut out = Vec::new();
        request::publish(&mut out, &Publishing {
            exchange: "events",
            key: "order",
            is_mandatory,
            message_id: id,
            headers: &[("id", "1"), ("version", "2")],
            body: &body,
        }).unwrap();
        let mut frames = FrameBuffer::default();
        frames.room().extend(&out);
        let method = frames.next().unwrap().unwrap().payload.to_vec();
        prop_assert_eq!(&method[..4], &[0, 60, 0, 40]);
        prop_assert_eq!(*method.last().unwrap(), u8::from(is_mandatory));
        let header = frames.next().unwrap().unwrap().payload.to_vec();
        let mut fields = Fields(&header[4..]);
        prop_assert_eq!(fields.long_long().unwrap(), body_bytes as u64);
        fields.short().unwrap();
        let mut headers = Vec::new();
        walk(fields.long_string().unwrap(), &mut |name, value| headers.push((name, value))).unwrap();
        prop_assert_eq!(headers, vec![
            (&b"id"[..], TableValue::Text(b"1")),
            (&b"version"[..], TableValue::Text(b"2")),
        ]);
        prop_assert_eq!(fields.octet().unwrap(), 2);
        let known = (!fields.0.is_empty()).then(|| fields.short_string().unwrap().to_vec());
        prop_assert_eq!(known, id.map(|id| id.to_string().into_bytes()));
        let mut carried = Vec::new();
        while let Some(part) = frames.next().unwrap() {
            prop_assert_eq!(part.kind, FrameKind::Body);
            carried.extend_from_slice(part.payload);
        }
        prop_assert!(carried == body);
    }
}

#[test]
fn given_a_key_that_amqp_cannot_carry_when_it_is_published_then_nothing_of_it_is_sent() {
    let mut out = vec![1, 2, 3];
    let key = "k".repeat(256);
    let refused = request::publish(
        &mut out,
        &Publishing {
            exchange: "events",
            key: &key,
            is_mandatory: false,
            message_id: None,
            headers: &[],
            body: b"",
        },
    );
    assert_eq!(refused, Err(AmqpError::TooLong("a routing key", 256)));
    let name = "n".repeat(300);
    let refused = request::publish(
        &mut out,
        &Publishing {
            exchange: "events",
            key: "k",
            is_mandatory: false,
            message_id: None,
            headers: &[(&name, "")],
            body: b"",
        },
    );
    assert_eq!(
        refused,
        Err(AmqpError::TooLong("the name of a header", 300))
    );
    assert_eq!(out, [1, 2, 3]);
}

#[test]
fn given_a_broker_that_closes_the_channel_when_it_is_heard_then_the_error_has_its_words() {
    let mut out = Vec::new();
    let mut method = vec![0, 20, 0, 40, 1, 148];
    short(&mut method, "NOT_FOUND - no exchange 'events'");
    method.extend([0, 60, 0, 40]);
    frame(&mut out, METHOD, 1, |out| {
        out.extend(method);
        Ok(())
    })
    .unwrap();
    let mut conversation = Conversation::default();
    conversation.room().extend(out);
    let closed = conversation.hear().unwrap_err();
    assert_eq!(
        closed.to_string(),
        "the broker closed the channel: NOT_FOUND - no exchange 'events' (404)"
    );
}
