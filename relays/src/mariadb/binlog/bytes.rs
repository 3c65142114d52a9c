//! Reading the fields of an event of the binlog, none of which is taken at its word.

use thiserror::Error;

/// An event of the binlog is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct LogDecodeError(pub String);

/// What is left of an event to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventBytes<'a> {
    rest: &'a [u8],
    /// The event is called so in errors.
    event: &'static str,
}

impl<'a> EventBytes<'a> {
    /// Begins with the first byte behind the event's header.
    pub fn new(rest: &'a [u8], event: &'static str) -> Self {
        Self { rest, event }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns all that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Takes so many bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], LogDecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(LogDecodeError(format!(
                "a {} ends early: {count} bytes are wanted, and {} are left",
                self.event,
                self.rest.len()
            )));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Takes an unsigned number of so many bytes, eight at most, the lowest first.
    pub fn number(&mut self, count: usize) -> Result<u64, LogDecodeError> {
        let mut bytes = [0; 8];
        let Some(low) = bytes.get_mut(..count) else {
            return Err(self.wrong(&format!("a number of {count} bytes")));
        };
        low.copy_from_slice(self.take(count)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Takes a count: a number of so many bytes that says how many there are of something in this event.
    pub fn count(&mut self, bytes: usize) -> Result<usize, LogDecodeError> {
        let number = self.number(bytes)?;
        usize::try_from(number).map_err(|_| self.wrong(&format!("a count of {number}")))
    }

    /// Takes a count whose first byte says how many bytes it has.
    pub fn packed_count(&mut self) -> Result<usize, LogDecodeError> {
        match self.number(1)? {
            0xfc => self.count(2),
            0xfd => self.count(3),
            0xfe => self.count(8),
            first @ (0xfb | 0xff) => {
                Err(self.wrong(&format!("{first:#x} as the beginning of a count")))
            }
            first => usize::try_from(first).map_err(|_| self.wrong("a count")),
        }
    }

    /// Takes a name: its length in one byte, and a zero behind it.
    pub fn name(&mut self) -> Result<&'a [u8], LogDecodeError> {
        let length = self.count(1)?;
        let name = self.take(length)?;
        self.take(1)?;
        Ok(name)
    }

    /// Makes the error that this was found.
    pub fn wrong(&self, found: &str) -> LogDecodeError {
        LogDecodeError(format!("a {} has {found}, which cannot be", self.event))
    }
}
