//! A block of rows: each field as its distance from the least of its values in the block, in as
//! many bits as the greatest distance needs, and the fields of a row side by side. A field that
//! never changes takes no room, one that takes on any value takes 64 bits.

use super::rows::{MAX_FIELDS, Row};

/// What a word read at any byte still has whole, wherever in that byte the field begins.
const MAX_SHIFTED_BITS: usize = 57;

/// So many bytes are read at once.
const WORD: usize = size_of::<u64>();

/// A full block.
#[derive(Clone)]
pub(super) struct Block {
    /// By field: its least value.
    base: [u64; MAX_FIELDS],
    /// By field: as many ones as it has bits.
    mask: [u64; MAX_FIELDS],
    /// By field: the bit of a row at which it begins.
    begin: [u16; MAX_FIELDS],
    /// Bits of a row.
    stride: u16,
    /// The rows, and a word's length behind them, so that every field can be read as a word.
    bytes: Box<[u8]>,
}

impl Block {
    /// Packs rows.
    pub fn pack<R: Row>(rows: &[R]) -> Self {
        const { assert!(R::FIELDS <= MAX_FIELDS) };
        let mut base = [u64::MAX; MAX_FIELDS];
        let mut most = [0; MAX_FIELDS];
        for row in rows {
            let fields = row.fields();
            for n in 0..R::FIELDS {
                base[n] = base[n].min(fields[n]);
                most[n] = most[n].max(fields[n]);
            }
        }
        let mut block = Self {
            base,
            mask: [0; MAX_FIELDS],
            begin: [0; MAX_FIELDS],
            stride: 0,
            bytes: Box::default(),
        };
        let mut end = 0;
        let mut aligned = false;
        for n in 0..R::FIELDS {
            let range = most[n].saturating_sub(base[n]);
            let mut bits = (u64::BITS - range.leading_zeros()) as usize;
            if bits > MAX_SHIFTED_BITS {
                bits = u64::BITS as usize;
                end = usize::next_multiple_of(end, 8);
                aligned = true;
            }
            block.mask[n] = u64::MAX.checked_shr(u64::BITS - bits as u32).unwrap_or(0);
            block.begin[n] = end as u16;
            end += bits;
        }
        if aligned {
            end = usize::next_multiple_of(end, 8);
        }
        block.stride = end as u16;
        let mut bytes = vec![0; (rows.len() * end).div_ceil(8) + WORD];
        for (row, fields) in rows.iter().map(Row::fields).enumerate() {
            for n in 0..R::FIELDS {
                let bit = row * end + block.begin[n] as usize;
                let value = (fields[n] - base[n]) << (bit % 8);
                if let Some(word) = bytes[bit / 8..].first_chunk_mut() {
                    *word = (u64::from_le_bytes(*word) | value).to_le_bytes();
                }
            }
        }
        block.bytes = bytes.into();
        block
    }

    /// A field of a row; of a row that is not there, some number. It never panics, so that a field
    /// nobody looks at is not even read.
    #[inline(always)]
    pub fn field(&self, row: usize, field: usize) -> u64 {
        let bit = row * usize::from(self.stride) + usize::from(self.begin[field]);
        let rest = self.bytes.get(bit / 8..).unwrap_or_default();
        let word = rest
            .first_chunk()
            .map_or(0, |word| u64::from_le_bytes(*word));
        self.base[field].wrapping_add((word >> (bit % 8)) & self.mask[field])
    }
}
