//! A connection that breaks again and again, or hangs: a proxy before the server
//! that cuts each connection after so many bytes from the phone, holds what comes
//! after so many in all, and counts what it let through.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The proxy. It ends with the process; connections that it has end by
/// themselves.
#[derive(Debug)]
pub struct Cutting {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    cuts: AtomicU64,
    stopped: AtomicBool,
    /// Who wants to hear when so many bytes have gone up.
    waiting: Mutex<Option<(u64, Sender<()>)>>,
    /// After so many bytes in all nothing goes on.
    held_at: Mutex<Option<u64>>,
    let_on: Condvar,
}

impl Counts {
    fn waiting(&self) -> MutexGuard<'_, Option<(u64, Sender<()>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_at(&self) -> MutexGuard<'_, Option<u64>> {
        self.held_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while connections hang; whether this one did.
    fn hung(&self) -> bool {
        let mut hung = false;
        let is_held =
            |at: &mut Option<u64>| at.is_some_and(|at| at <= self.up.load(Ordering::SeqCst));
        let held = self.let_on.wait_while(self.held_at(), |at| {
            hung |= is_held(at);
            is_held(at)
        });
        drop(held);
        hung
    }

    fn tell(&self) {
        let mut waiting = self.waiting();
        let up = self.up.load(Ordering::SeqCst);
        if let Some((_, whom)) = waiting.take_if(|(at, _)| *at <= up) {
            // Whoever does not wait any more does not want to know.
            let _ = whom.send(());
        }
    }
}

impl Cutting {
    /// A proxy to `server` (host and port) that cuts after `every` bytes.
    ///
    /// # Errors
    /// No socket from the system.
    pub fn before(server: &str, every: usize) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let (server, shared) = (server.to_owned(), counts.clone());
        std::thread::spawn(move || {
            for phone in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (server, counts) = (server.clone(), shared.clone());
                std::thread::spawn(move || carry(phone, &server, every, &counts));
            }
        });
        Ok(Self { address, counts })
    }

    /// Bytes that went from the phone to the server.
    pub fn bytes_up(&self) -> u64 {
        self.counts.up.load(Ordering::SeqCst)
    }

    /// Tells `whom` once, as soon as `bytes` have gone up in all; whoever was to
    /// be told before is not.
    pub fn tell_at(&self, bytes: u64, whom: Sender<()>) {
        *self.counts.waiting() = Some((bytes, whom));
        self.counts.tell();
    }

    /// From so many bytes in all, connections hang.
    pub fn hold_at(&self, bytes: u64) {
        *self.counts.held_at() = Some(bytes);
    }

    /// Those that hang are lost, and new ones are carried as before.
    pub fn let_on(&self) {
        *self.counts.held_at() = None;
        self.counts.let_on.notify_all();
    }

    /// Connections that were cut.
    pub fn cuts(&self) -> u64 {
        self.counts.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.counts.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for somebody.
        let _ = TcpStream::connect(self.address);
    }
}

/// Carries one connection until either side ends it or it is cut.
fn carry(mut phone: TcpStream, server: &str, every: usize, counts: &Counts) {
    // While the server is down the phone finds nobody.
    let Ok(mut up) = TcpStream::connect(server) else {
        return;
    };
    let (Ok(mut answers), Ok(mut to_phone)) = (up.try_clone(), phone.try_clone()) else {
        return;
    };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut to_phone);
        let _ = to_phone.shutdown(Shutdown::Both);
    });
    let mut room = every;
    let mut buffer = vec![0; 16 * 1024];
    while room > 0 {
        let wanted = room.min(buffer.len());
        let Ok(read @ 1..) = phone.read(&mut buffer[..wanted]) else {
            let _ = up.shutdown(Shutdown::Both);
            return;
        };
        if counts.hung() || up.write_all(&buffer[..read]).is_err() {
            break;
        }
        counts.up.fetch_add(read as u64, Ordering::SeqCst);
        counts.tell();
        room -= read;
    }
    if room == 0 {
        counts.cuts.fetch_add(1, Ordering::SeqCst);
    }
    let _ = phone.shutdown(Shutdown::Both);
    let _ = up.shutdown(Shutdown::Both);
}
