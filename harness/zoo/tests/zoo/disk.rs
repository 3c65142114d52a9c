//! What the broker has on its disk of a topic: the record batches as the producer made them. Clients
//! see records only. A deleted topic's files stay for a minute.

use super::bench::Ran;
use super::stacks;
use std::collections::BTreeSet;

// Where a batch has what (record format 2, magic byte 2).
const LENGTH_AT: usize = 8;
const HEAD_BYTES: usize = 12;
const ATTRIBUTES_AT: usize = 21;
const RECORDS_AT: usize = 57;
const FIRST_RECORD_AT: usize = 61;
const CODEC_MASK: u16 = 0b111;

/// Codes of compression.
pub const GZIP: u16 = 1;
pub const SNAPPY: u16 = 2;
pub const LZ4: u16 = 3;

/// One batch.
pub struct Batch {
    /// Number of its partition.
    pub partition: String,
    /// How it is compressed; 0: not at all.
    pub codec: u16,
    /// Records in it.
    pub records: u64,
    /// The records, compressed or not.
    pub body: Vec<u8>,
}

impl Batch {
    /// How often these bytes are in it.
    pub fn count(&self, part: &[u8]) -> u64 {
        self.body.windows(part.len()).filter(|w| *w == part).count() as u64
    }
}

/// Every batch of the run's topic.
pub fn batches(ran: &Ran) -> Vec<Batch> {
    let prefix = format!("{}-", ran.strategy().topic);
    let mut batches = Vec::new();
    for folder in std::fs::read_dir(stacks::kafka_log(ran.lane)).unwrap() {
        let folder = folder.unwrap();
        let name = folder.file_name().to_string_lossy().into_owned();
        // `TOPIC-0`, or `TOPIC-0.UNIQUE-delete`.
        let Some(partition) = name.strip_prefix(&prefix) else {
            continue;
        };
        let partition = partition.split('.').next().unwrap_or_default();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap().path();
            if file.to_string_lossy().contains(".log") {
                read(&std::fs::read(file).unwrap(), partition, &mut batches);
            }
        }
    }
    assert!(!batches.is_empty(), "{prefix}* has no segment on the disk");
    batches
}

/// Partitions with anything in them.
pub fn partitions(ran: &Ran) -> usize {
    let all = batches(ran);
    let all: BTreeSet<&str> = all.iter().map(|batch| &*batch.partition).collect();
    all.len()
}

/// How many records are compressed so.
pub fn compressed(ran: &Ran, codec: u16) -> u64 {
    let batches = batches(ran);
    let so = batches.iter().filter(|batch| batch.codec == codec);
    so.map(|batch| batch.records).sum()
}

/// How often the topic has these bytes, in batches that are not compressed.
pub fn count(ran: &Ran, part: &[u8]) -> u64 {
    let batches = batches(ran);
    let plain = batches.iter().filter(|batch| batch.codec == 0);
    plain.map(|batch| batch.count(part)).sum()
}

fn read(segment: &[u8], partition: &str, batches: &mut Vec<Batch>) {
    let number = |at: usize| {
        segment
            .get(at..at + 4)
            .map(|b| u32::from_be_bytes(b.try_into().unwrap()))
    };
    let mut at = 0;
    while let Some(length) = number(at + LENGTH_AT) {
        let end = at + HEAD_BYTES + length as usize;
        let Some(batch) = segment.get(at..end).filter(|b| b.len() >= FIRST_RECORD_AT) else {
            return;
        };
        let attributes = u16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
        batches.push(Batch {
            partition: partition.to_owned(),
            codec: attributes & CODEC_MASK,
            records: number(at + RECORDS_AT).unwrap().into(),
            body: batch[FIRST_RECORD_AT..].to_vec(),
        });
        at = end;
    }
}
