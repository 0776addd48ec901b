//! Floor 5. The few calls of the operating system that have no safe name elsewhere.
//!
//! Each is a function of its own, takes plain values, and says why it cannot do harm. Absent on
//! purpose: anything that holds a pointer (the mapped journal has its own file).

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
#[cfg(target_os = "linux")]
use std::os::unix::thread::JoinHandleExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(target_os = "linux")]
use std::thread::JoinHandle;

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

/// How much processor time a thread has had, exactly. What the machine kept for others (other
/// programs, or its other tenants) is not in it.
#[derive(Clone, Copy, Debug)]
pub struct Spent(libc::clockid_t);

impl Spent {
    /// Of whichever thread asks.
    pub fn own() -> Self {
        Self(libc::CLOCK_THREAD_CPUTIME_ID)
    }

    /// Of a thread that somebody else started and did not wait for yet.
    #[cfg(target_os = "linux")]
    pub fn by<T>(thread: &JoinHandle<T>) -> io::Result<Self> {
        let mut clock = 0;
        // SAFETY: a handle that can still be borrowed names a thread that was not joined, and the
        // pointer is to a local that the call only writes.
        #[expect(unsafe_code, reason = "std has no clock of processor time")]
        let error = unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &raw mut clock) };
        if error == 0 { Ok(Self(clock)) } else { Err(io::Error::from_raw_os_error(error)) }
    }

    /// Elsewhere nobody knows what another thread has had.
    #[cfg(not(target_os = "linux"))]
    pub fn by<T>(_: &std::thread::JoinHandle<T>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// In nanoseconds; nothing of a thread that has ended.
    pub fn nanos(self) -> Option<u64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a local of the right type, and the call only writes it.
        #[expect(unsafe_code, reason = "std has no clock of processor time")]
        let result = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        (result == 0).then_some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}

/// Let `backlog` arrivals wait in front of a socket that listens already.
pub fn listen(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: `listen` takes two numbers; the descriptor is open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "std chooses a backlog of its own")]
    let result = unsafe { libc::listen(socket.as_raw_fd(), backlog) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Raise the number of descriptors this process may have as far as it may; what it is then. Where
/// nobody may change it (a sandbox forbids the call), it is what it was.
pub fn raise_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local of the right type, written before it is read.
    #[expect(unsafe_code, reason = "std has no name for limits")]
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        let wanted = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        // SAFETY: as above, and the call only reads.
        #[expect(unsafe_code, reason = "std has no name for limits")]
        let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) };
        if result == 0 {
            limit = wanted;
        }
    }
    Ok(limit.rlim_cur)
}

/// Have room for so many descriptors before they are needed. Where threads share them, the kernel
/// makes the room larger only after every core has been through it, and whoever opens one more
/// waits for that: up to 20 ms were seen, at every doubling.
pub fn have_descriptors(count: u64) -> io::Result<()> {
    let any = File::open("/dev/null")?;
    let last = libc::c_int::try_from(count.saturating_sub(1)).unwrap_or(libc::c_int::MAX);
    // SAFETY: a number goes in and a new descriptor comes out, which is owned from here on and
    // closed at once; the other one is open meanwhile.
    #[expect(unsafe_code, reason = "std duplicates a descriptor to the lowest number only")]
    unsafe {
        let far = libc::fcntl(any.as_raw_fd(), libc::F_DUPFD_CLOEXEC, last);
        if far < 0 {
            return Err(io::Error::last_os_error());
        }
        drop(OwnedFd::from_raw_fd(far));
    }
    Ok(())
}

/// More cores than any machine this runs on has.
pub const CORES_MAX: usize = 1_024;

/// Where this thread may run.
#[cfg(target_os = "linux")]
pub fn affinity() -> io::Result<Vec<usize>> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: all bits zero is a valid set, the call writes at most as many bytes as are said, and
    // `CPU_ISSET` is asked only for cores a set has a bit for.
    #[expect(unsafe_code, reason = "std knows no cores")]
    unsafe {
        let set = set.assume_init_mut();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((0..CORES_MAX).filter(|cpu| libc::CPU_ISSET(*cpu, set)).collect())
    }
}

/// Let this thread, and those it starts from now on, run on these cores only.
#[cfg(target_os = "linux")]
pub fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: as above; the call only reads the set.
    #[expect(unsafe_code, reason = "std knows no cores")]
    let result = unsafe {
        let set = set.assume_init_mut();
        for core in cores.iter().filter(|core| **core < CORES_MAX) {
            libc::CPU_SET(*core, set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keep everything this process has, and will have, in memory. A bound that could be reached later
/// is refused now: an allocation that fails would be the end of the process.
#[cfg(target_os = "linux")]
pub fn lock_memory() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local of the right type, written before it is read.
    #[expect(unsafe_code, reason = "std has no name for limits")]
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur != libc::RLIM_INFINITY && !may_lock() {
        let bound = format!("only {} bytes may be locked", limit.rlim_cur);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, bound));
    }
    // SAFETY: the call takes a number and changes nothing that a program can see.
    #[expect(unsafe_code, reason = "std locks nothing")]
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// This process may lock what it likes, whatever its limit.
#[cfg(target_os = "linux")]
fn may_lock() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> CAP_IPC_LOCK & 1 == 1)
}

/// What is freed is joined to what is free beside it at once. By itself glibc leaves small pieces
/// apart until there are many and joins all of them together: 9 ms were seen after ten thousand
/// had left.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn even_heap() -> io::Result<()> {
    // SAFETY: the call takes numbers, before which and after which every allocation is a good one.
    #[expect(unsafe_code, reason = "std has no name for what its allocator does")]
    let done = unsafe { libc::mallopt(libc::M_MXFAST, 0) == 1 };
    if done { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// The same, where nobody can be told.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn even_heap() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What is free on the heap is not given back to the system from now on.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_heap() -> io::Result<()> {
    // SAFETY: the calls take numbers, before which and after which every allocation is a good one.
    #[expect(unsafe_code, reason = "std has no name for what its allocator does")]
    let done = unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX) == 1
            && libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_ON_HEAP) == 1
    };
    if done { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// What glibc lets that threshold be.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGEST_ON_HEAP: i32 = 32 << 20;

/// The same, where nobody can be told.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_heap() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Let the system ask the network card for so many microseconds when it would wait for this
/// socket, or for one that is accepted from it.
#[cfg(target_os = "linux")]
pub fn busy_poll(socket: BorrowedFd<'_>, us: u32) -> io::Result<()> {
    let us = i32::try_from(us).unwrap_or(i32::MAX);
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointer is to a local of the length that is said, and is only read.
    #[expect(unsafe_code, reason = "std has no name for this option")]
    let result = unsafe {
        let value = (&raw const us).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BUSY_POLL, value, len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// For how many microseconds it is.
#[cfg(all(test, target_os = "linux"))]
pub fn busy_poll_of(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut us = 0_i32;
    let mut len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointers are to locals, the first of the length that the second says.
    #[expect(unsafe_code, reason = "std has no name for this option")]
    let result = unsafe {
        let value = (&raw mut us).cast();
        let fd = socket.as_raw_fd();
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, value, &raw mut len)
    };
    if result == 0 { Ok(us) } else { Err(io::Error::last_os_error()) }
}

/// The same for everything a poll waits for; systems before Linux 6.9 know only the sysctl.
#[cfg(target_os = "linux")]
pub fn busy_poll_all(poll: BorrowedFd<'_>, us: u32) -> io::Result<()> {
    let params = libc::epoll_params {
        busy_poll_usecs: us,
        busy_poll_budget: PACKETS_AT_ONCE,
        prefer_busy_poll: 0,
        __pad: 0,
    };
    // SAFETY: the request says eight bytes, which is what the local has, and they are only read.
    #[expect(unsafe_code, reason = "std has no name for this request")]
    let result = unsafe { libc::ioctl(poll.as_raw_fd(), libc::EPIOCSPARAMS, &raw const params) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the system takes from a card in one go when it asks for all sockets; its own default.
#[cfg(target_os = "linux")]
const PACKETS_AT_ONCE: u16 = 8;

/// Elsewhere than on Linux nobody can be asked.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{BorrowedFd, io};

    fn no<T>() -> io::Result<T> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where this thread may run.
    pub fn affinity() -> io::Result<Vec<usize>> {
        no()
    }

    /// Let this thread run on these cores only.
    pub fn pin(_: &[usize]) -> io::Result<()> {
        no()
    }

    /// Keep everything in memory.
    pub fn lock_memory() -> io::Result<()> {
        no()
    }

    /// Ask the network card for a while.
    pub fn busy_poll(_: BorrowedFd<'_>, _: u32) -> io::Result<()> {
        no()
    }

    /// The same for everything a poll waits for.
    pub fn busy_poll_all(_: BorrowedFd<'_>, _: u32) -> io::Result<()> {
        no()
    }
}

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{affinity, busy_poll, busy_poll_all, lock_memory, pin};

/// Bytes of the device that holds this folder: free to this process, and all of them.
pub fn space(folder: &Path) -> io::Result<(u64, u64)> {
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the name ends with a NUL, and the pointer is to a local of the right type.
    #[expect(unsafe_code, reason = "std has no name for free space")]
    let result = unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a call that succeeded has written all of it.
    #[expect(unsafe_code, reason = "written by the call above")]
    let found = unsafe { found.assume_init() };
    let piece = wide(found.f_frsize);
    Ok((piece.saturating_mul(wide(found.f_bavail)), piece.saturating_mul(wide(found.f_blocks))))
}

/// Microseconds that the bytes of a TCP connection are under way and back, smoothed by the system.
#[cfg(target_os = "linux")]
pub fn rtt_us(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut found = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the pointers are to locals, `len` is the length of the first, and the descriptor is
    // open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "std has no name for what TCP knows of a connection")]
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            found.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: numbers alone, all of them zero or written by the call.
    #[expect(unsafe_code, reason = "zeroed before, and written by the call above")]
    let found = unsafe { found.assume_init() };
    if found.tcpi_rtt == 0 { Err(io::ErrorKind::Unsupported.into()) } else { Ok(found.tcpi_rtt) }
}

/// Only where the system is known to tell.
#[cfg(not(target_os = "linux"))]
pub fn rtt_us(_: BorrowedFd<'_>) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Open what has this name in this folder and nowhere else: nothing is followed that it may lead
/// to. `how` is flags of `open`, `mode` is for what is made.
pub fn open_below(folder: BorrowedFd<'_>, name: &str, how: i32, mode: u32) -> io::Result<OwnedFd> {
    let name = one_name(name)?;
    let how = how | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name ends with a NUL, and the descriptor is open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "std opens paths, not names in a folder")]
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), how, mode) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call that succeeded made it, and nobody else knows it.
    #[expect(unsafe_code, reason = "made by the call above")]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Make a folder of this name in this one.
pub fn make_below(folder: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<()> {
    let name = one_name(name)?;
    // SAFETY: the name ends with a NUL, and the descriptor is open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "std makes folders by paths")]
    let result = unsafe { libc::mkdirat(folder.as_raw_fd(), name.as_ptr(), mode as libc::mode_t) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Give what has a name in one folder another in another. What has that is not replaced.
pub fn link_below(
    (folder, name): (BorrowedFd<'_>, &str),
    (to_folder, to): (BorrowedFd<'_>, &str),
) -> io::Result<()> {
    let (name, to) = (one_name(name)?, one_name(to)?);
    let (from, into) = (folder.as_raw_fd(), to_folder.as_raw_fd());
    // SAFETY: both names end with a NUL, and both descriptors are open for as long as they are
    // borrowed.
    #[expect(unsafe_code, reason = "std links paths")]
    let result = unsafe { libc::linkat(from, name.as_ptr(), into, to.as_ptr(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Take a name of a file out of a folder.
pub fn remove_below(folder: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = one_name(name)?;
    // SAFETY: the name ends with a NUL, and the descriptor is open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "std removes by paths")]
    let result = unsafe { libc::unlinkat(folder.as_raw_fd(), name.as_ptr(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A name, and no path.
fn one_name(name: &str) -> io::Result<CString> {
    if name.contains('/') || matches!(name, "" | "." | "..") {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(CString::new(name)?)
}

/// Acknowledge what comes at once: until the system decides otherwise again, which it does soon.
#[cfg(target_os = "linux")]
pub fn acknowledge_now(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer is to a local whose length is told, and is only read; the descriptor is
    // open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "std has no name for this option")]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_QUICKACK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Elsewhere the system decides.
#[cfg(not(target_os = "linux"))]
pub fn acknowledge_now(_: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

/// Some systems have narrower fields.
fn wide(field: impl Into<u64>) -> u64 {
    field.into()
}

/// Microseconds on the clock that systemd compares with.
#[must_use]
pub fn monotonic_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local of the right type, written before it is read.
    #[expect(unsafe_code, reason = "std keeps this number to itself")]
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let whole = u64::try_from(time.tv_sec).unwrap_or_default().saturating_mul(1_000_000);
    if result == 0 { whole + u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000 } else { 0 }
}

/// The descriptors behind the standard streams, so many of them, that were passed on to this
/// process. They are taken once: nobody else may have them.
pub fn inherited(count: usize) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(io::Error::other("they were taken before"));
    }
    let mut all = Vec::with_capacity(count);
    for fd in (3..).take(count) {
        // SAFETY: `fcntl` takes numbers and answers for one that is no descriptor; nobody here
        // closes what was open before the program.
        #[expect(unsafe_code, reason = "std has no name for descriptors that were passed on")]
        let set = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        if set < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open, and who passed it on gave it to us alone; it is taken once.
        #[expect(unsafe_code, reason = "std has no name for descriptors that were passed on")]
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        all.push(fd);
    }
    Ok(all)
}

/// Keep these signals from interrupting any thread, and read them from a descriptor instead. To
/// be called before the first thread is started, because threads inherit what is blocked.
#[cfg(target_os = "linux")]
pub fn signals(wanted: &[i32]) -> io::Result<File> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` makes the local a valid set before anything else looks at it; the
    // other calls get that set and numbers; the descriptor is new and ours alone.
    #[expect(unsafe_code, reason = "std has no name for signals")]
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in wanted {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), core::ptr::null_mut());
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_NONBLOCK | libc::SFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from(OwnedFd::from_raw_fd(fd)))
    }
}

/// A clock that becomes readable at a moment, finer than the milliseconds of a wait.
#[cfg(target_os = "linux")]
pub fn alarm() -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers; the descriptor is new and ours alone.
    #[expect(unsafe_code, reason = "std has no name for timers")]
    unsafe {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        let fd = libc::timerfd_create(libc::CLOCK_MONOTONIC, flags);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Let it ring once, so many nanoseconds from now (1 at least); what it was set to is forgotten.
#[cfg(target_os = "linux")]
pub fn set_alarm(alarm: BorrowedFd<'_>, nanos: u64) -> io::Result<()> {
    let nanos = nanos.max(1);
    let mut when = MaybeUninit::<libc::itimerspec>::zeroed();
    // SAFETY: all bits zero is a valid `itimerspec`; the call only reads it, and the descriptor
    // is open for as long as it is borrowed.
    #[expect(unsafe_code, reason = "std has no name for timers")]
    let result = unsafe {
        let value = &mut when.assume_init_mut().it_value;
        value.tv_sec = (nanos / 1_000_000_000) as libc::time_t;
        value.tv_nsec = (nanos % 1_000_000_000) as libc::c_long;
        libc::timerfd_settime(alarm.as_raw_fd(), 0, when.as_ptr(), core::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A moment (seconds since 1970) as this machine's time zone and language spell it, by the letters
/// of `strftime`. Empty when it takes more than 256 bytes, or when there is no such moment.
#[must_use]
pub fn local_time(format: &std::ffi::CStr, seconds: i64) -> Vec<u8> {
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    let mut text = [0u8; 256];
    #[cfg_attr(target_env = "musl", allow(deprecated, reason = "the width of time_t is musl's"))]
    let at: libc::time_t = seconds as _;
    // SAFETY: both pointers are to locals; `localtime_r` fills the second before it returns it,
    // and nothing is read when it returns null.
    #[expect(unsafe_code, reason = "std knows no time zones")]
    let filled = unsafe { !libc::localtime_r(&raw const at, parts.as_mut_ptr()).is_null() };
    if !filled {
        return Vec::new();
    }
    // SAFETY: the text has the length that is said, the format ends with a NUL, and the parts were
    // filled above; on success that many bytes were written.
    #[expect(unsafe_code, reason = "std spells no time")]
    let len = unsafe {
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), parts.as_ptr())
    };
    text.get(..len).unwrap_or_default().to_vec()
}

/// Dial from an address of this machine. Waits for as long as the system does.
pub fn dial_from(
    own: std::net::IpAddr,
    to: std::net::SocketAddr,
) -> io::Result<std::net::TcpStream> {
    dial_with(own, to, 0)
}

/// The same without waiting: the socket says by and by what became of it.
pub fn dial_later_from(
    own: std::net::IpAddr,
    to: std::net::SocketAddr,
) -> io::Result<std::net::TcpStream> {
    dial_with(own, to, libc::SOCK_NONBLOCK)
}

fn dial_with(
    own: std::net::IpAddr,
    to: std::net::SocketAddr,
    how: libc::c_int,
) -> io::Result<std::net::TcpStream> {
    use std::net::SocketAddr;
    use std::os::fd::{FromRawFd, OwnedFd};

    let domain = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: `socket` takes numbers; a descriptor it returns is ours and open.
    #[expect(unsafe_code, reason = "std cannot bind before it connects")]
    let socket = unsafe {
        let fd = libc::socket(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | how, 0);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let call = |how: SocketCall, address: SocketAddr| -> io::Result<()> {
        let (name, len) = spelled(address);
        // SAFETY: the name is a local of the size that is said, and is only read.
        #[expect(unsafe_code, reason = "std cannot bind before it connects")]
        let result = unsafe { how(socket.as_raw_fd(), (&raw const name).cast(), len) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    call(libc::bind, SocketAddr::new(own, 0))?;
    match call(libc::connect, to) {
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
        other => other?,
    }
    Ok(std::net::TcpStream::from(socket))
}

type SocketCall =
    unsafe extern "C" fn(libc::c_int, *const libc::sockaddr, libc::socklen_t) -> libc::c_int;

/// An address as the system spells it, and how long it is.
fn spelled(address: std::net::SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: a storage of zeros is a valid one, of no family.
    #[expect(unsafe_code, reason = "the type has private padding")]
    let mut storage: libc::sockaddr_storage = unsafe { core::mem::zeroed() };
    let len = match address {
        std::net::SocketAddr::V4(v4) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: a storage is large enough and aligned for every kind of address.
            #[expect(unsafe_code, reason = "addresses of several kinds share a storage")]
            unsafe {
                (&raw mut storage).cast::<libc::sockaddr_in>().write(name);
            }
            size_of::<libc::sockaddr_in>()
        }
        std::net::SocketAddr::V6(v6) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            #[expect(unsafe_code, reason = "addresses of several kinds share a storage")]
            unsafe {
                (&raw mut storage).cast::<libc::sockaddr_in6>().write(name);
            }
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, len as libc::socklen_t)
}
