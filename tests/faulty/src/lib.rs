//! A disk that fails on purpose. Loaded before a program (`LD_PRELOAD`), it
//! counts what the program does to the files below some folders: writing,
//! flushing, cutting, renaming, removing. The one whose number was asked for
//! fails, in the way that was asked for; the program is the real one, and so are
//! its files.
//!
//! 1. `SHAODAO_FAULT_FOLDERS` names the folders, separated by colons.
//! 2. `SHAODAO_FAULT_COUNT` names a file that always holds the count so far.
//! 3. `SHAODAO_FAULT_AT` is the number, from 1; `SHAODAO_FAULT_HOW` the way:
//!    `error` (once), `full` (from there on, whatever needs room), `torn` (half of
//!    it is written, then the process dies), `kill` (it dies before).
//!
//! What can go wrong: a program that writes through mapped memory is not seen;
//! SQLite does so only for its index of the log, which nothing depends on.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{off_t, off64_t, size_t, ssize_t};

/// In which way something fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Error,
    Full,
    Torn,
    Kill,
}

struct Plan {
    folders: Vec<PathBuf>,
    count_file: Option<CString>,
    at: u64,
    how: How,
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static COUNT: AtomicU64 = AtomicU64::new(0);

fn plan() -> &'static Plan {
    PLAN.get_or_init(|| {
        let text = |name: &str| std::env::var(name).unwrap_or_default();
        let folders = text("SHAODAO_FAULT_FOLDERS");
        let folders = folders.split(':').filter(|folder| !folder.is_empty());
        Plan {
            folders: folders.map(PathBuf::from).collect(),
            count_file: std::env::var_os("SHAODAO_FAULT_COUNT")
                .and_then(|path| CString::new(path.as_bytes()).ok()),
            at: text("SHAODAO_FAULT_AT").parse().unwrap_or(u64::MAX),
            how: match text("SHAODAO_FAULT_HOW").as_str() {
                "full" => How::Full,
                "torn" => How::Torn,
                "kill" => How::Kill,
                _ => How::Error,
            },
        }
    })
}

/// What is done to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Needs room.
    Grows,
    /// Does not.
    Other,
}

/// What becomes of it.
enum Fate {
    Goes,
    Fails(c_int),
    /// Half of it is done, then the process dies.
    Torn,
}

fn fate(path: Option<&Path>, deed: Deed) -> Fate {
    let plan = plan();
    let watched = path.is_some_and(|path| plan.folders.iter().any(|it| path.starts_with(it)));
    if !watched {
        return Fate::Goes;
    }
    let nth = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    note(plan, nth);
    if nth < plan.at || (nth > plan.at && plan.how != How::Full) {
        return Fate::Goes;
    }
    match plan.how {
        How::Error => Fate::Fails(libc::EIO),
        How::Full if deed == Deed::Grows => Fate::Fails(libc::ENOSPC),
        How::Full => Fate::Goes,
        How::Torn => Fate::Torn,
        How::Kill => die(),
    }
}

/// The count so far, where the test can read it even after a kill.
fn note(plan: &Plan, nth: u64) {
    let Some(path) = &plan.count_file else {
        return;
    };
    let text = format!("{nth:020}");
    // SAFETY: a valid path and a valid buffer; the file is not a watched one.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600);
        if fd >= 0 {
            real_pwrite(fd, text.as_ptr().cast(), text.len(), 0);
            libc::close(fd);
        }
    }
}

fn die() -> ! {
    // SAFETY: plain system calls.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
        libc::_exit(137)
    }
}

fn path_of(fd: c_int) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

fn path_at(path: *const c_char) -> Option<PathBuf> {
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller of the system's function promises a C string.
    let path = unsafe { CStr::from_ptr(path) };
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    match path.is_absolute() {
        true => Some(path.to_owned()),
        false => Some(std::env::current_dir().ok()?.join(path)),
    }
}

fn fail(code: c_int) -> c_int {
    // SAFETY: the address is this thread's own.
    unsafe { *libc::__errno_location() = code };
    -1
}

/// The system's own function of this name.
macro_rules! real {
    ($name:literal, $type:ty) => {{
        static FOUND: OnceLock<usize> = OnceLock::new();
        let found = *FOUND.get_or_init(|| {
            // SAFETY: a constant, terminated name.
            unsafe { libc::dlsym(libc::RTLD_NEXT, concat!($name, "\0").as_ptr().cast()) as usize }
        });
        // SAFETY: the symbol has this type in the system's library.
        unsafe { std::mem::transmute::<usize, $type>(found) }
    }};
}

type Write = unsafe extern "C" fn(c_int, *const c_void, size_t) -> ssize_t;
type PWrite = unsafe extern "C" fn(c_int, *const c_void, size_t, off64_t) -> ssize_t;
type OfFd = unsafe extern "C" fn(c_int) -> c_int;
type Cut = unsafe extern "C" fn(c_int, off64_t) -> c_int;
type Rename = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
type OfPath = unsafe extern "C" fn(*const c_char) -> c_int;

unsafe fn real_pwrite(fd: c_int, from: *const c_void, count: size_t, at: off64_t) -> ssize_t {
    let real = real!("pwrite64", PWrite);
    unsafe { real(fd, from, count, at) }
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, from: *const c_void, count: size_t) -> ssize_t {
    let real = real!("write", Write);
    match fate(path_of(fd).as_deref(), Deed::Grows) {
        Fate::Goes => unsafe { real(fd, from, count) },
        Fate::Fails(code) => fail(code) as ssize_t,
        Fate::Torn => {
            unsafe { real(fd, from, count / 2) };
            die()
        }
    }
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(
    fd: c_int,
    from: *const c_void,
    count: size_t,
    at: off64_t,
) -> ssize_t {
    match fate(path_of(fd).as_deref(), Deed::Grows) {
        Fate::Goes => unsafe { real_pwrite(fd, from, count, at) },
        Fate::Fails(code) => fail(code) as ssize_t,
        Fate::Torn => {
            unsafe { real_pwrite(fd, from, count / 2, at) };
            die()
        }
    }
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(
    fd: c_int,
    from: *const c_void,
    count: size_t,
    at: off_t,
) -> ssize_t {
    unsafe { pwrite64(fd, from, count, at) }
}

/// A deed without parts: done, failed, or died before.
fn whole(path: Option<&Path>, deed: Deed, real: impl FnOnce() -> c_int) -> c_int {
    match fate(path, deed) {
        Fate::Goes => real(),
        Fate::Fails(code) => fail(code),
        Fate::Torn => die(),
    }
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    let real = real!("fsync", OfFd);
    whole(path_of(fd).as_deref(), Deed::Other, || unsafe { real(fd) })
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    let real = real!("fdatasync", OfFd);
    whole(path_of(fd).as_deref(), Deed::Other, || unsafe { real(fd) })
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate64(fd: c_int, length: off64_t) -> c_int {
    let real = real!("ftruncate64", Cut);
    whole(path_of(fd).as_deref(), Deed::Other, || unsafe {
        real(fd, length)
    })
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ftruncate(fd: c_int, length: off_t) -> c_int {
    unsafe { ftruncate64(fd, length) }
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let real = real!("rename", Rename);
    whole(path_at(to).as_deref(), Deed::Other, || unsafe {
        real(from, to)
    })
}

/// Stands in for the system's.
///
/// # Safety
/// As the system's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let real = real!("unlink", OfPath);
    whole(path_at(path).as_deref(), Deed::Other, || unsafe {
        real(path)
    })
}
