//! An allocator that keeps account for each thread: what is held, the most that was held, the largest request.

#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a thread used while it ran something.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) peak: isize,
    pub(crate) largest: usize,
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` and says what it used beyond what was held before.
pub(crate) fn usage_of<T>(work: impl FnOnce() -> T) -> (T, Usage) {
    let before = LIVE.get();
    PEAK.set(before);
    LARGEST.set(0);
    let value = work();
    let usage = Usage {
        peak: PEAK.get() - before,
        largest: LARGEST.get(),
    };
    (value, usage)
}

fn count(taken: usize, freed: usize) {
    let live = LIVE.get() + taken as isize - freed as isize;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
    LARGEST.set(LARGEST.get().max(taken));
}

// SAFETY: every call goes to the system allocator unchanged; counting touches thread-local cells without destructors
// and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise about `layout` is the one that `System` needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: `ptr` came from `System` through this allocator, with this `layout`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size, layout.size());
        // SAFETY: as in `dealloc`; the caller promises that `new_size` is valid.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
