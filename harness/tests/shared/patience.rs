//! How long a test waits for what must happen.

use std::time::Duration;

/// A test waits for a condition and never for a time: this only ends one whose program hangs, so it is
/// several times what anything takes on a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(180);
