//! A block of rows: each field as its distance from the least of its values in the block, in as
//! many bits as the greatest distance needs, and the fields of a row side by side. A field that
//! never changes takes no room, one that takes on any value takes 64 bits.

use super::row::{MAX_FIELDS, Row};

/// What a word read at any byte still has whole, wherever in that byte the field begins.
const MAX_SHIFTED_BITS: u32 = 57;

/// So many bytes are read at once.
const WORD: usize = size_of::<u64>();

/// A block holds a fixed number of rows, packed into as few bits as their values need.
#[derive(Clone)]
pub(super) struct Block {
    /// The rows, and a word's length behind them, so that every field can be read as a word.
    bytes: Box<[u8]>,
    /// A row has so many bits.
    stride: usize,
    fields: [Field; MAX_FIELDS],
}

/// How a field is kept.
#[derive(Clone, Copy, Default)]
struct Field {
    /// This is the least value that the field has in the block; each row keeps its distance from it.
    base: u64,
    /// As many ones as it has bits.
    mask: u64,
    /// It begins at this bit of a row.
    begin: usize,
}

impl Block {
    /// Packs rows into a block; each field takes as many bits as the range of its values needs.
    pub fn pack<R: Row>(rows: &[R]) -> Self {
        const { assert!(R::FIELDS <= MAX_FIELDS) };
        let mut least = [u64::MAX; MAX_FIELDS];
        let mut most = [0; MAX_FIELDS];
        for row in rows {
            let values = row.fields();
            for n in 0..R::FIELDS {
                least[n] = least[n].min(values[n]);
                most[n] = most[n].max(values[n]);
            }
        }
        let mut fields = [Field::default(); MAX_FIELDS];
        let mut stride = 0;
        let mut aligned = false;
        for n in 0..R::FIELDS {
            let range = most[n].saturating_sub(least[n]);
            let mut bits = u64::BITS - range.leading_zeros();
            if bits > MAX_SHIFTED_BITS {
                bits = u64::BITS;
                stride = usize::next_multiple_of(stride, 8);
                aligned = true;
            }
            fields[n] = Field {
                base: least[n],
                mask: u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0),
                begin: stride,
            };
            stride += bits as usize;
        }
        if aligned {
            stride = usize::next_multiple_of(stride, 8);
        }
        let mut bytes = vec![0; (rows.len() * stride).div_ceil(8) + WORD];
        for (row, values) in rows.iter().map(Row::fields).enumerate() {
            for n in 0..R::FIELDS {
                let bit = row * stride + fields[n].begin;
                let value = (values[n] - fields[n].base) << (bit % 8);
                if let Some(word) = bytes[bit / 8..].first_chunk_mut() {
                    *word = (u64::from_le_bytes(*word) | value).to_le_bytes();
                }
            }
        }
        Self {
            bytes: bytes.into(),
            stride,
            fields,
        }
    }

    /// Returns a field of a row; of a row that is not there, some number. It never panics, so that a field nobody
    /// looks at is not even read.
    #[inline(always)]
    pub fn field(&self, row: usize, field: usize) -> u64 {
        let Field { base, mask, begin } = self.fields[field];
        let bit = row * self.stride + begin;
        let at = bit / 8;
        let word = match self.bytes.get(at..at + WORD).and_then(<[u8]>::first_chunk) {
            Some(word) => u64::from_le_bytes(*word),
            None => 0,
        };
        base.wrapping_add((word >> (bit % 8)) & mask)
    }
}
