//! Decoding of the replication stream, a row at a time as it comes.

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use relays::postgres::pgoutput::OutboxDecoder;
use relays::source::Held;
use std::hint::black_box;

const TABLE: u32 = 7;
const ROWS: usize = 1_000;

fn text(message: &mut Vec<u8>, value: &str) {
    message.push(b't');
    message.extend((value.len() as u32).to_be_bytes());
    message.extend(value.as_bytes());
}

fn relation(columns: &[&str]) -> Bytes {
    let mut message = vec![b'R'];
    message.extend(TABLE.to_be_bytes());
    message.extend(b"orders\0outbox\0d");
    message.extend((columns.len() as u16).to_be_bytes());
    for column in columns {
        message.push(0);
        message.extend(column.as_bytes());
        message.push(0);
        message.extend([0; 8]);
    }
    message.into()
}

fn insert(seq: usize) -> Bytes {
    let values = [
        seq.to_string(),
        "0192f0aa-0000-7000-8000-000000000000".to_owned(),
        "Order".to_owned(),
        "0192f0aa-0000-8000-8000-000000000000".to_owned(),
        "OrderPlaced".to_owned(),
        "1".to_owned(),
        "x".repeat(480),
        "2026-11-24 00:00:00+00".to_owned(),
    ];
    let mut message = vec![b'I'];
    message.extend(TABLE.to_be_bytes());
    message.push(b'N');
    message.extend((values.len() as u16).to_be_bytes());
    for value in &values {
        text(&mut message, value);
    }
    message.into()
}

fn decoding(c: &mut Criterion) {
    let columns = [
        "seq",
        "id",
        "aggregatetype",
        "aggregateid",
        "type",
        "version",
        "payload",
        "created_at",
    ];
    let described = relation(&columns);
    let rows: Vec<Bytes> = (0..ROWS).map(insert).collect();
    let mut group = c.benchmark_group("pgoutput");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("decode", |b| {
        b.iter_batched(
            || {
                let mut decoder = OutboxDecoder::default();
                decoder
                    .decode(described.clone())
                    .expect("a description is a message");
                (decoder, rows.clone())
            },
            |(mut decoder, rows)| {
                for row in rows {
                    let row = decoder.decode(row).expect("a row is a message");
                    let row = row.expect("an insert is a row");
                    black_box(row.event().expect("a row is an event"));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, decoding);
criterion_main!(benches);
