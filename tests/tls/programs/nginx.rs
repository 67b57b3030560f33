//! nginx that ends TLS in front of a hub, with the configuration that docs/tls.md shows.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::authority::Authority;
use crate::world::{Process, World, numbered_lines, wait_for};

/// Where nginx's own connections to the hub come from.
const PROXY: &str = "127.0.0.2";
/// Another program may take a port that was free a moment ago.
const TRIES: usize = 5;

/// The `server` block of docs/tls.md.
fn documented() -> String {
    let docs = include_str!("../../../docs/tls.md");
    let lines = docs.lines().skip_while(|line| *line != "    server {");
    let mut block = String::new();
    for line in lines {
        block.push_str(line);
        block.push('\n');
        if line == "    }" {
            return block;
        }
    }
    panic!("docs/tls.md shows no server of nginx");
}

/// nginx in front of the world's hub, and its port.
fn start_nginx(world: &World) -> (Process, u16) {
    for _ in 0..TRIES {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = documented()
            .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
            .replace("/etc/outpost/", "")
            .replace(
                "http://127.0.0.1:8440;",
                &format!("http://{}; proxy_bind {PROXY};", world.hub_address()),
            );
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let folders = folders.map(|name| format!("{name}_temp_path {name};")).join(" ");
        let text = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{}}\n\
             http {{ access_log off; {folders}\n{server}}}\n"
        );
        std::fs::write(world.path("nginx.conf"), text).unwrap();
        let mut command = Command::new("nginx");
        let folder = world.path("");
        command.arg("-p").arg(&folder).args(["-c", "nginx.conf"]).current_dir(folder).stdin(Stdio::null());
        let _ = std::fs::remove_file(world.path("nginx.log"));
        let nginx = world.spawn(command, "nginx.log");
        let up = wait_for("nginx to listen or to end", || {
            let log = std::fs::read_to_string(world.path("nginx.log")).unwrap();
            // How nginx begins the line with which it gives up.
            let failed = log.contains("[emerg]");
            let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            if failed { Some(false) } else { listens().then_some(true) }
        });
        if up {
            return (nginx, port);
        }
    }
    panic!("nginx did not start: {}", std::fs::read_to_string(world.path("nginx.log")).unwrap());
}

#[test]
#[ignore = "needs nginx: scripts/test"]
fn an_agent_delivers_through_nginx_and_its_own_address_is_seen() {
    let mut world = World::new();
    let authority = Authority::new("a test's authority");
    authority.server(1).write(&world.path(""), "hub");
    std::fs::write(world.path("ca.pem"), authority.pem()).unwrap();
    std::fs::write(world.path("hub.toml"), format!("trusted_proxies = [\"{PROXY}\"]\n")).unwrap();
    let _hub = world.start_hub_with("--config hub.toml");
    world.add_agent("edge-1");
    let (_nginx, port) = start_nginx(&world);
    let _agent = world.run_agent_at(
        &format!("https://localhost:{port}"),
        "edge-1",
        "--key-file edge-1.key --ca ca.pem",
    );
    let lines = numbered_lines(1000);
    world.emit("edge-1", "logs", &lines);
    world.wait_drained("edge-1");
    assert_eq!(world.listed("edge-1", "logs"), lines);
    let address = world.show_agent("edge-1")["session"]["address"].as_str().unwrap().to_owned();
    assert!(address.starts_with("127.0.0.1"), "{address}");
}
