//! What lies between one node and Redis: it can be cut while the others go on, or let through little at a time.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use outpost::obs::clock::boot_now;
use outpost::time::BootTime;

/// At a slow valve no connection waits for more than this of another, in bytes.
const PIECE: usize = 1024;

/// Until it is dropped.
pub(crate) struct Proxy {
    port: u16,
    valve: Arc<Valve>,
}

struct Valve {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    way: Way,
    /// Both ends of each connection there is.
    sockets: Vec<TcpStream>,
}

/// What becomes of bytes on their way to Redis.
#[derive(Clone, Copy)]
enum Way {
    Open,
    Cut,
    /// So many bytes a second, in pieces; `passed` of them since then.
    Slow {
        rate: u32,
        since: BootTime,
        passed: usize,
    },
    Stuck,
}

impl Proxy {
    /// Before the Redis at this port.
    pub(crate) fn before(redis: u16, way: Start) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // What waits here has not moved, as the node sees it.
        socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = match way {
            Start::Open => Way::Open,
            Start::Cut => Way::Cut,
        };
        let state = Mutex::new(State { way, sockets: Vec::new() });
        let valve = Arc::new(Valve { state, changed: Condvar::new() });
        let taken = Arc::clone(&valve);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                // Whoever is refused, or finds nobody, sees a connection that closes.
                let Ok(near) = near else { return };
                let Ok(far) = TcpStream::connect(("127.0.0.1", redis)) else { continue };
                taken.join(near, far);
            }
        });
        Self { port, valve }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Every connection ends, and none is made.
    pub(crate) fn cut(&self) {
        let mut state = self.valve.set(Way::Cut);
        for socket in state.sockets.drain(..) {
            let _gone = socket.shutdown(Shutdown::Both);
        }
    }

    /// Everything passes.
    pub(crate) fn heal(&self) {
        drop(self.valve.set(Way::Open));
    }

    /// From now on so many bytes a second pass to Redis, at the proxy's own pace.
    pub(crate) fn slow(&self, rate: u32) {
        drop(self.valve.set(Way::Slow { rate, since: boot_now(), passed: 0 }));
    }

    /// Nothing passes to Redis, and no connection ends.
    pub(crate) fn hold(&self) {
        drop(self.valve.set(Way::Stuck));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

/// How it begins.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    Open,
    Cut,
}

impl Valve {
    fn set(&self, way: Way) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap();
        state.way = way;
        self.changed.notify_all();
        state
    }

    fn join(self: &Arc<Self>, near: TcpStream, far: TcpStream) {
        let mut state = self.state.lock().unwrap();
        if matches!(state.way, Way::Cut) {
            return;
        }
        state.sockets.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
        let (back_from, back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        let valve = Arc::clone(self);
        std::thread::spawn(move || pump(near, far, |wanted| valve.pass(wanted)));
        std::thread::spawn(move || pump(back_from, back_to, |wanted| wanted));
    }

    /// How many of these bytes may pass now; waits for the first.
    fn pass(&self, wanted: usize) -> usize {
        let mut state = self.state.lock().unwrap();
        loop {
            match &mut state.way {
                Way::Open => return wanted,
                Way::Cut => return 0,
                Way::Stuck => state = self.changed.wait(state).unwrap(),
                Way::Slow { rate, since, passed } => {
                    let due = Duration::from_secs_f64(*passed as f64 / f64::from(*rate));
                    let Some(early) = due.checked_sub(boot_now().since(*since)) else {
                        let passing = PIECE.min(wanted);
                        *passed += passing;
                        return passing;
                    };
                    (state, _) = self.changed.wait_timeout(state, early).unwrap();
                }
            }
        }
    }
}

/// Until one end is gone, or nothing passes any more.
fn pump(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(usize) -> usize) {
    let mut buffer = [0; 16 * 1024];
    'open: while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut sent = 0;
        while sent < read {
            let passing = pass(read - sent);
            if passing == 0 || to.write_all(&buffer[sent..sent + passing]).is_err() {
                break 'open;
            }
            sent += passing;
        }
    }
    for end in [from, to] {
        let _gone = end.shutdown(Shutdown::Both);
    }
}
