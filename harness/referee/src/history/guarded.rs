//! Runs a decoder that is not ours over bytes that may be damaged. Fuzzing found corners in which
//! it panics (a negative column length, a block smaller than it claims): to the caller such a
//! file is damaged, like any other, and no backtrace belongs on the terminal.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` gives, or an error if it panics. Nothing that it made survives a panic.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let ordinary = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                ordinary(panic);
            }
        }));
    });
    GUARDED.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(false);
    decoded.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(format!("the file is damaged: the decoder gave up ({text})"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_text() {
        let error = guarded::<()>(|| panic!("block {} is too short", 7)).unwrap_err();
        assert!(error.contains("block 7 is too short"), "{error}");
        assert_eq!(guarded(|| Ok(1)), Ok(1));
    }
}
