//! Floor 5. The few calls of the operating system that have no safe name elsewhere.
//!
//! Each is a function of its own, takes plain values, and says why it cannot do harm. Absent on
//! purpose: anything that holds a pointer (the mapped journal has its own file).

/// Let the other threads of this machine go first, by so many steps; best effort, for the calling
/// thread alone. Elsewhere than on Linux it would slow the whole process, so there it does nothing.
pub fn be_nice(by: i32) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: `nice` takes a number by value and touches no memory of ours.
        #[expect(unsafe_code, reason = "a libc call without a safe name in std")]
        let _ = unsafe { libc::nice(by) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = by;
}
