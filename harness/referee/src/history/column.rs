//! How a row of the history becomes columns of a Parquet file: one [`Column`] a field, with the
//! way in and the way out, so that writing and reading cannot disagree.

/// A table is a kind of row with a file of its own.
pub(super) trait Table: Sized + Clone + 'static {
    /// This is the name of the file inside the history's folder.
    const FILE: &'static str;
    /// What a row of it is: for the file's own metadata, and for docs/history.md.
    const WHAT: &'static str;
    /// More rows than this are absurd (they are not even read).
    const MAX_ROWS: usize;
    /// A row whose every field the columns will fill in.
    fn blank() -> Self;
    /// Returns its columns, in the file's order.
    fn columns() -> Vec<Column<Self>>;
}

/// A column has its name, what its numbers mean where that is not obvious, and its codec.
pub(super) struct Column<R> {
    pub name: &'static str,
    /// What it says, likewise.
    pub what: &'static str,
    /// These are the meanings of the codes, each at its code, for the file's own metadata.
    pub codes: &'static [&'static str],
    /// This says whether histories of earlier versions lack it: then a blank row says what held for them.
    pub later: bool,
    pub codec: Codec<R>,
}

/// A codec is a physical type with accessors.
pub(super) enum Codec<R> {
    /// It is the row's own number, counted from 0, which is verified when read.
    RowNumber,
    U32(fn(&R) -> u32, fn(&mut R, u32)),
    /// It is a field with fewer values than its column: the setter says whether it is one of them.
    Small(fn(&R) -> u32, fn(&mut R, u32) -> bool),
    I32(fn(&R) -> i32, fn(&mut R, i32)),
    I64(fn(&R) -> i64, fn(&mut R, i64)),
    /// Null where there is no value.
    MaybeI64(fn(&R) -> Option<i64>, fn(&mut R, Option<i64>)),
    U64(fn(&R) -> u64, fn(&mut R, u64)),
    F64(fn(&R) -> f64, fn(&mut R, f64)),
    Bool(fn(&R) -> bool, fn(&mut R, bool)),
    Text(fn(&R) -> &str, fn(&mut R, String)),
}

impl<R> Column<R> {
    pub fn new(name: &'static str, what: &'static str, codec: Codec<R>) -> Self {
        Self {
            name,
            what,
            codes: &[],
            later: false,
            codec,
        }
    }

    /// A column that histories of earlier versions do not have.
    pub fn later(name: &'static str, what: &'static str, codec: Codec<R>) -> Self {
        Self {
            later: true,
            ..Self::new(name, what, codec)
        }
    }

    /// Makes a column of codes; `codes[n]` says in a word what n means.
    pub fn coded(
        name: &'static str,
        what: &'static str,
        codes: &'static [&'static str],
        get: fn(&R) -> u32,
        set: fn(&mut R, u32) -> bool,
    ) -> Self {
        Self {
            name,
            what,
            codes,
            later: false,
            codec: Codec::Small(get, set),
        }
    }

    /// Returns its line in the Parquet schema.
    pub fn schema(&self) -> String {
        let name = self.name;
        match self.codec {
            Codec::RowNumber | Codec::U32(..) | Codec::Small(..) => {
                format!("required int32 {name} (uint_32);")
            }
            Codec::I32(..) => format!("required int32 {name};"),
            Codec::I64(..) => format!("required int64 {name};"),
            Codec::MaybeI64(..) => format!("optional int64 {name};"),
            Codec::U64(..) => format!("required int64 {name} (uint_64);"),
            Codec::F64(..) => format!("required double {name};"),
            Codec::Bool(..) => format!("required boolean {name};"),
            Codec::Text(..) => format!("required binary {name} (utf8);"),
        }
    }

    /// Tells whether few values come up again and again, so that a dictionary pays.
    pub fn repetitive(&self) -> bool {
        !self.codes.is_empty() || matches!(self.codec, Codec::Text(..))
    }

    /// Whether neighbours are close to each other, so that differences are smaller than values.
    pub fn delta(&self) -> bool {
        self.codes.is_empty()
            && matches!(
                self.codec,
                Codec::RowNumber
                    | Codec::U32(..)
                    | Codec::Small(..)
                    | Codec::I32(..)
                    | Codec::I64(..)
                    | Codec::MaybeI64(..)
                    | Codec::U64(..)
            )
    }
}
