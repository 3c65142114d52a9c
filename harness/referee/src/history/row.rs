//! What a row is, to whoever keeps many of them.

/// No row has more fields than this.
pub const MAX_FIELDS: usize = 12;

/// A row that can be taken apart into numbers and put together again.
pub trait Row: Copy {
    /// How many of its fields are used, at most [`MAX_FIELDS`].
    const FIELDS: usize;
    /// Returns its fields; those of neighbouring rows should be close to each other.
    fn fields(&self) -> [u64; MAX_FIELDS];
    /// Makes the row with these fields. Whoever wants one field of a row pays for that field alone.
    fn from_fields(field: impl Fn(usize) -> u64) -> Self;
}
