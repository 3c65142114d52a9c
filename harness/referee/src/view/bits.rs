//! Many yes and no, a bit each.

/// This holds a bit for each of so many things.
pub struct Bits {
    words: Vec<u64>,
    length: usize,
}

impl Bits {
    /// Returns `length` bits, none of which is set.
    pub fn new(length: usize) -> Self {
        Self {
            words: vec![0; length.div_ceil(64)],
            length,
        }
    }
    /// Sets a bit; one that is not there is left alone.
    pub fn set(&mut self, index: usize) {
        if index < self.length {
            self.words[index / 64] |= 1 << (index % 64);
        }
    }
    /// Whether a bit is set.
    pub fn get(&self, index: usize) -> bool {
        index < self.length && self.words[index / 64] & (1 << (index % 64)) != 0
    }
}
