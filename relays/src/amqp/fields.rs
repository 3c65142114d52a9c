//! The fields that methods, headers and tables are made of.

use super::AmqpError;

/// Reads fields one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'b>(pub &'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, bytes: usize) -> Result<&'b [u8], AmqpError> {
        let (head, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or(AmqpError::Malformed("a field is cut off"))?;
        self.0 = rest;
        Ok(head)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], AmqpError> {
        let (head, rest) = self
            .0
            .split_first_chunk()
            .ok_or(AmqpError::Malformed("a number is cut off"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub fn octet(&mut self) -> Result<u8, AmqpError> {
        self.number().map(u8::from_be_bytes)
    }

    pub fn short(&mut self) -> Result<u16, AmqpError> {
        self.number().map(u16::from_be_bytes)
    }

    pub fn long(&mut self) -> Result<u32, AmqpError> {
        self.number().map(u32::from_be_bytes)
    }

    pub fn long_long(&mut self) -> Result<u64, AmqpError> {
        self.number().map(u64::from_be_bytes)
    }

    pub fn short_string(&mut self) -> Result<&'b [u8], AmqpError> {
        let bytes = self.octet()?;
        self.take(usize::from(bytes))
    }

    /// Reads a long string, or a whole table: both are a length and so many bytes.
    pub fn long_string(&mut self) -> Result<&'b [u8], AmqpError> {
        let bytes = self.long()?;
        self.take(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn value(&mut self) -> Result<TableValue<'b>, AmqpError> {
        let kind = self.octet()?;
        let bytes = match kind {
            b'S' | b'x' => return self.long_string().map(TableValue::Text),
            b'A' | b'F' => return self.long_string().map(|_| TableValue::Other),
            b'l' => {
                let number = self.number().map(i64::from_be_bytes)?;
                return Ok(TableValue::Integer(number));
            }
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'L' | b'd' | b'T' => 8,
            _ => return Err(AmqpError::Malformed("a table has a value of no known type")),
        };
        self.take(bytes).map(|_| TableValue::Other)
    }
}

/// A value of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableValue<'b> {
    /// It is text, or bytes.
    Text(&'b [u8]),
    /// It is a whole number of eight bytes, as offsets of streams are.
    Integer(i64),
    /// It is something that nobody here asks for.
    Other,
}

/// Shows each entry of a table in its order, by name; an Err says that it cannot be read any further.
pub fn walk<'b>(
    table: &'b [u8],
    each: &mut dyn FnMut(&'b [u8], TableValue<'b>),
) -> Result<(), AmqpError> {
    let mut fields = Fields(table);
    while !fields.0.is_empty() {
        let name = fields.short_string()?;
        each(name, fields.value()?);
    }
    Ok(())
}
