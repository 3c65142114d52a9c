//! How much memory something takes, beyond what was there before.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator; counts what is allocated, and the most that ever was.
pub struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(
            NOW.fetch_add(layout.size(), Relaxed) + layout.size(),
            Relaxed,
        );
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What `make` gives, the bytes that it still holds, and the most that were held meanwhile.
pub fn counted<T>(make: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let made = make();
    let held = NOW.load(Relaxed).saturating_sub(before);
    (made, held, MOST.load(Relaxed).saturating_sub(before))
}
