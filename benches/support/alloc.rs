//! Floor 6. An allocator that counts, for benches that promise something about memory.
//!
//! It is the system's, with three counters around it. Counts are of the whole process, so whoever
//! measures does so with nothing else running. Absent on purpose: anything about where memory
//! went.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Counts on the way to the system's allocator.
#[derive(Debug)]
pub(crate) struct Counting;

#[global_allocator]
static ALL: Counting = Counting;

/// Allocations since the start; growing a block is one.
pub(crate) fn calls() -> usize {
    CALLS.load(Relaxed)
}

/// Bytes in use, as they were asked for.
pub(crate) fn bytes() -> usize {
    BYTES.load(Relaxed)
}

// SAFETY: every call is passed on unchanged to the system's allocator, whose answers satisfy the
// contract; the counters are atomics and never allocate.
#[expect(unsafe_code, reason = "the trait of allocators is unsafe")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        BYTES.fetch_add(size, Relaxed);
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `block` came from this allocator, which means from the system's, with `layout`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `block` came from this allocator, which means from the system's, with `layout`.
        unsafe { System.dealloc(block, layout) }
    }
}
