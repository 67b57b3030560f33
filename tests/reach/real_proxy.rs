//! squid and tinyproxy, as Debian has them, on a port that was free.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::site::{PASSWORD, USER, wait_until};
use crate::world::{Process, World};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Squid,
    Tinyproxy,
}

/// Who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    Nobody,
    Password,
}

pub(crate) struct RealProxy {
    pub(crate) port: u16,
    folder: PathBuf,
    _process: Process,
}

impl RealProxy {
    /// Starts one, which lets connections to the port `hub` through.
    pub(crate) fn start(world: &World, kind: Kind, guard: Guard, hub: u16) -> Self {
        let folder = world.path("proxy");
        std::fs::create_dir_all(&folder).unwrap();
        // squid gives root up, and still has its files to read and its log to write.
        for path in [world.path("."), folder.clone()] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        }
        // Somebody else may be faster at a port that was free.
        let started = (0..5).find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let (program, flag, conf) = match kind {
                Kind::Squid => ("/usr/sbin/squid", "-Nf", squid(&folder, guard, port)),
                Kind::Tinyproxy => ("/usr/bin/tinyproxy", "-dc", tinyproxy(&folder, guard, port, hub)),
            };
            std::fs::write(folder.join("conf"), conf).unwrap();
            let mut command = Command::new(program);
            command.arg(flag).arg(folder.join("conf")).current_dir(&folder);
            let process = world.spawn(command, "proxy/output");
            let up = wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
            up.then_some(Self { port, folder: folder.clone(), _process: process })
        });
        started.unwrap()
    }

    /// What it wrote of whom it served.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

fn squid(folder: &Path, guard: Guard, port: u16) -> String {
    let folder = folder.display();
    let access = match guard {
        Guard::Nobody => "http_access allow all".to_owned(),
        Guard::Password => {
            std::fs::write(format!("{folder}/users"), format!("{USER}:{}\n", hashed())).unwrap();
            format!(
                "auth_param basic program /usr/lib/squid/basic_ncsa_auth {folder}/users\nauth_param basic realm test\nacl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all"
            )
        }
    };
    format!(
        "http_port 127.0.0.1:{port}\n{access}\ncache deny all\nlogformat short %rm %ru %>Hs\naccess_log stdio:{folder}/log short\ncache_log {folder}/output\npid_filename none\nshutdown_lifetime 0 seconds\nvisible_hostname test\nmax_filedescriptors 1024\nnetdb_filename none\n"
    )
}

fn tinyproxy(folder: &Path, guard: Guard, port: u16, hub: u16) -> String {
    let folder = folder.display();
    let access = match guard {
        Guard::Nobody => String::new(),
        Guard::Password => format!("BasicAuth {USER} {PASSWORD}\n"),
    };
    format!(
        "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nConnectPort {hub}\nTimeout 600\nMaxClients 20\nLogFile \"{folder}/log\"\nLogLevel Connect\n{access}"
    )
}

/// As squid's helper reads it.
fn hashed() -> String {
    let mut openssl = Command::new("openssl")
        .args(["passwd", "-apr1", "-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let output = openssl.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
