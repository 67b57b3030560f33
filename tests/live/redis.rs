//! A real Redis on a port that was free.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use outpost::obs::clock::boot_now;

use super::node::{DEADLINE, LOOK};

pub(crate) struct Redis {
    child: Child,
    /// Which one takes the port.
    option: &'static str,
    port: u16,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
}

impl Redis {
    /// With these arguments, too.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_on("--port", arguments)
    }

    /// That speaks nothing but TLS, and asks nobody for a certificate.
    pub(crate) fn start_with_tls(certificate: &Path, key: &Path, authority: &Path) -> Self {
        let [certificate, key, authority] = [certificate, key, authority].map(|path| path.to_str().unwrap());
        let files = ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", authority];
        let others = ["--port", "0", "--tls-auth-clients", "no"];
        Self::start_on("--tls-port", &[&files[..], &others].concat())
    }

    fn start_on(option: &'static str, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        // Somebody else may take the port in between: then another one is tried.
        let mut tries = 0;
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let child = spawn(option, port, &arguments, folder.path());
            let mut redis = Self { child, option, port, arguments: arguments.clone(), folder };
            if redis.answers() {
                return redis;
            }
            tries += 1;
            assert!(tries < 10, "no redis-server starts");
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL; what it knew is lost.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port again.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.option, self.port, &self.arguments, self.folder.path());
        assert!(self.answers(), "redis-server does not come back");
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// A connection of one's own, on which this command was said.
    pub(crate) fn say(&self, arguments: &[&str]) -> TcpStream {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut request = format!("*{}\r\n", arguments.len());
        for argument in arguments {
            request += &format!("${}\r\n{argument}\r\n", argument.len());
        }
        socket.write_all(request.as_bytes()).unwrap();
        socket
    }

    /// One command and what comes back at first.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let mut socket = self.say(arguments);
        let mut answer = [0; 4096];
        let count = socket.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }

    fn answers(&mut self) -> bool {
        let began = boot_now();
        while boot_now().since(began) < DEADLINE {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::park_timeout(LOOK);
        }
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn spawn(option: &str, port: u16, arguments: &[String], folder: &Path) -> Child {
    let mut command = Command::new("redis-server");
    command.args([
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        option,
        &port.to_string(),
        "--dir",
    ]);
    command.arg(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("redis-server: {error}; apt-get install redis-server"))
}
