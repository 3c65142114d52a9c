//! Turns for tests that run whole systems on real stacks. One takes a quarter of two cores, so some
//! run at the same time; what must not share the machine waits until nobody else runs.

use crate::LANES;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Which lanes are taken, and how many wait for all of them.
struct Taken {
    lanes: [bool; LANES],
    waiting_alone: usize,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken {
    lanes: [false; LANES],
    waiting_alone: 0,
});
static GIVEN_BACK: Condvar = Condvar::new();

/// Nothing is done while it is held that could panic.
fn taken() -> MutexGuard<'static, Taken> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(taken: MutexGuard<'static, Taken>) -> MutexGuard<'static, Taken> {
    let waited = GIVEN_BACK.wait(taken);
    waited.unwrap_or_else(PoisonError::into_inner)
}

/// Whoever has it may run something. A test that fails in its turn gives it back.
pub struct Turn {
    /// Shared with nobody while it lasts.
    pub lane: usize,
    alone: bool,
}

/// A turn beside another one. Whoever waits to be alone goes first.
pub fn beside_another() -> Turn {
    let mut now = taken();
    loop {
        let free = now.lanes.iter().position(|taken| !taken);
        if let (Some(lane), 0) = (free, now.waiting_alone) {
            now.lanes[lane] = true;
            return Turn { lane, alone: false };
        }
        now = wait(now);
    }
}

/// A turn while nobody else has one.
pub fn alone() -> Turn {
    let mut now = taken();
    now.waiting_alone += 1;
    while now.lanes.contains(&true) {
        now = wait(now);
    }
    now.waiting_alone -= 1;
    now.lanes = [true; LANES];
    Turn {
        lane: 0,
        alone: true,
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut now = taken();
        if self.alone {
            now.lanes = [false; LANES];
        } else {
            now.lanes[self.lane] = false;
        }
        GIVEN_BACK.notify_all();
    }
}
