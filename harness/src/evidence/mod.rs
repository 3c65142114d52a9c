//! Raw observations of a fault, taken while it is in force. What is observed, and by which names, is in
//! [`crate::bite::name`]; whether the fault bit is decided there, from them alone.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod fixture;
mod look;
mod observe;
mod probe;
mod question;
mod reading;
mod side;
mod sockets;
mod subject;
mod traffic;

pub(crate) use observe::{Observed, Observers};
pub(crate) use subject::Subject;
