//! Reading what one life of a process wrote, whatever state its death left the file in.

use super::Step;
use super::step::{STEP_BYTES, read_header};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

const BUFFER_BYTES: usize = 1 << 16;

/// One life of a process, and what is wrong with its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracedLife {
    /// This is the pid of the process that wrote the file, as its header has it.
    pub pid: u32,
    /// CLOCK_MONOTONIC from which on steps are missing; `None` if none are.
    pub cut_ns: Option<u64>,
    /// Records that are no steps.
    pub damaged: u64,
}

/// Reads a file, `each` step, with the pid, in the order in which they were written. A last one
/// that is not whole is left out: its process died over it.
pub fn read(path: &Path, mut each: impl FnMut(u32, Step)) -> io::Result<TracedLife> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
    let header = next(&mut file)?.as_ref().and_then(read_header);
    let (pid, cut_ns) = header.ok_or_else(|| {
        io::Error::new(ErrorKind::InvalidData, "it does not begin as a trace does")
    })?;
    let mut damaged = 0;
    while let Some(bytes) = next(&mut file)? {
        match Step::decode(&bytes) {
            Some(step) => each(pid, step),
            None => damaged += 1,
        }
    }
    Ok(TracedLife {
        pid,
        cut_ns: (cut_ns > 0).then_some(cut_ns),
        damaged,
    })
}

fn next(file: &mut impl Read) -> io::Result<Option<[u8; STEP_BYTES]>> {
    let mut bytes = [0; STEP_BYTES];
    match file.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
