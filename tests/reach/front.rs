//! What stands before the hub: a proxy, a portal or the hub's own address, made by hand and in the manner it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use socket2::{Domain, Socket, Type};

/// What it does with the next who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// A tunnel for who asks for one, the hub for who asks it.
    Honest,
    /// The same for one, then it hangs up.
    HonestOnce,
    /// These bytes, whatever is asked; then it hangs up.
    Says(&'static str),
    /// Header after header, for as long as anybody listens.
    Endless,
    /// Hangs up at once.
    HangsUp,
}

/// Ends with the test's process.
pub(crate) struct Front {
    pub(crate) port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    hub: SocketAddr,
    manner: Mutex<Manner>,
    asked: Mutex<Vec<String>>,
    open: Mutex<Vec<TcpStream>>,
}

/// Where nobody listens, and nobody else can as long as the socket is there.
pub(crate) fn closed() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

impl Front {
    pub(crate) fn before(hub: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            hub,
            manner: Mutex::new(manner),
            asked: Mutex::default(),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let inner = Arc::clone(&serving);
                // A peer that hangs up ends the thread, and is none of ours.
                std::thread::spawn(move || inner.serve(stream));
            }
        });
        Self { port, inner }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Takes another manner, and hangs up on everybody.
    pub(crate) fn turn(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap() = manner;
        for stream in self.inner.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The heads of all requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.inner.asked.lock().unwrap().clone()
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let manner = {
            let mut manner = self.manner.lock().unwrap();
            let next = if *manner == Manner::HonestOnce { Manner::HangsUp } else { *manner };
            std::mem::replace(&mut *manner, next)
        };
        if manner == Manner::HangsUp {
            return Ok(());
        }
        self.open.lock().unwrap().push(stream.try_clone()?);
        let head = head(&mut stream)?;
        self.asked.lock().unwrap().push(head.clone());
        match manner {
            Manner::Honest | Manner::HonestOnce => self.pass(stream, &head),
            Manner::Says(answer) => {
                stream.write_all(answer.as_bytes())?;
                stream.shutdown(Shutdown::Write)?;
                // Until the other end has read it.
                std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
            }
            Manner::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    stream.write_all(b"X-More: of the same\r\n")?;
                }
            }
            Manner::HangsUp => Ok(()),
        }
    }

    fn pass(&self, mut stream: TcpStream, head: &str) -> std::io::Result<()> {
        let mut hub = match head.strip_prefix("CONNECT ") {
            Some(rest) => {
                let hub = TcpStream::connect(rest.split(' ').next().unwrap())?;
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
                hub
            }
            None => {
                let mut hub = TcpStream::connect(self.hub)?;
                hub.write_all(head.as_bytes())?;
                hub
            }
        };
        let (mut up, mut down) = (stream.try_clone()?, hub.try_clone()?);
        let thread = std::thread::spawn(move || {
            let _ = std::io::copy(&mut up, &mut down);
            let _ = down.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut hub, &mut stream);
        let _ = stream.shutdown(Shutdown::Both);
        let _ = hub.shutdown(Shutdown::Both);
        thread.join().unwrap();
        Ok(())
    }
}

/// The first byte of TLS.
const HANDSHAKE: u8 = 0x16;

/// Reads up to the empty line, byte by byte: what follows belongs to the tunnel. Of TLS, its first byte.
fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.first() != Some(&HANDSHAKE) {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
