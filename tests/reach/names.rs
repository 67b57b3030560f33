//! Names that do not resolve, resolve to too much, or to something else each time; and addresses that say nothing.
//!
//! The tests that are ignored change `/etc/resolv.conf` and listen on the resolver's port: they run in a network and a
//! mount namespace that is nobody else's (`unshare --net --mount`), and fail everywhere else.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::dns::{Answer, Dns};
use crate::front::{Front, Manner};
use crate::site::{Site, wait_until};
use crate::world::Process;

/// The namespaces of everybody else, as /proc names them: what is changed here must not be theirs.
const OUTSIDE: &str = "OUTPOST_TEST_OUTSIDE";
/// What the kernel routes to this machine here, and is nobody's loopback.
const PUBLIC: &str = "203.0.113.7";
const PRIVATE: &str = "10.9.8.7";
/// What one lookup takes of a server that says nothing: 15 attempts of 5 s.
const LOOKUP: Duration = Duration::from_secs(75);

/// The namespace, made ready once for all tests in it.
fn dns() -> Arc<Dns> {
    static DNS: OnceLock<Arc<Dns>> = OnceLock::new();
    Arc::clone(DNS.get_or_init(|| {
        let outside = std::env::var(OUTSIDE).unwrap_or_default();
        for kind in ["net", "mnt"] {
            let own = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
            assert!(
                outside.contains(kind) && !outside.contains(&own),
                "run it as scripts/test does: {outside}"
            );
        }
        let folder = tempfile::tempdir().unwrap().keep();
        // See `LOOKUP`.
        fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:5 attempts:15\n")
            .unwrap();
        fs::write(folder.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
        shell(&format!(
            "ip link set lo up; ip address add {PUBLIC}/32 dev lo; ip address add {PRIVATE}/32 dev lo"
        ));
        for name in ["resolv.conf", "nsswitch.conf"] {
            shell(&format!("mount --bind {}/{name} /etc/{name}", folder.display()));
        }
        Dns::start()
    }))
}

fn shell(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The agent, with the hub under this name.
fn agent(site: &Site, name: &str) -> Process {
    let url = format!("http://{name}:{}", site.world.hub_address().port());
    site.agent(&format!("{}\nallow_insecure = \"any\"", Site::urls(&[&url])), "", &[])
}

#[test]
#[ignore = "wants a network and a mount namespace of its own: scripts/test"]
#[expect(clippy::disallowed_methods, reason = "a test measures in real time")]
fn a_dns_server_that_never_answers_takes_bounded_time_and_one_thread() {
    let dns = dns();
    dns.tell("silent.test", Answer::Silence);
    let mut site = Site::new();
    let begun = Instant::now();
    let mut process = agent(&site, "silent.test");
    let lookups = |process: &Process| {
        let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.trim() == "lookup").count()
    };
    assert!(wait_until(|| lookups(&process) == 1));
    site.emit(10);
    let error = site.wait_error("link", "cannot find the address of silent.test: no answer within 10 s");
    assert!(error["text"].as_str().unwrap().contains("this machine's DNS"), "{error}");
    let dials = || site.status()["counters"]["dials"].as_u64().unwrap();
    let seen = dials();
    assert!(wait_until(|| dials() > seen), "it is tried again");
    assert_eq!(lookups(&process), 1, "the lookup that hangs is shared");
    // It does not hold up the end either, which comes before its own.
    assert_eq!(process.terminate(), Some(0));
    assert!(begun.elapsed() < LOOKUP, "{:?}", begun.elapsed());
    let _agent = agent(&site, "silent.test");
    dns.addresses("silent.test", &["127.0.0.1"]);
    site.delivers();
}

#[test]
#[ignore = "wants a network and a mount namespace of its own: scripts/test"]
fn of_a_thousand_addresses_sixteen_are_tried() {
    let dns = dns();
    let address = |number: u32| IpAddr::from(Ipv4Addr::from_bits(0x7F01_0000 + number));
    let mut many: Vec<_> = (1..=1000).map(address).collect();
    dns.tell("many.test", Answer::Addresses(many.clone()));
    let mut site = Site::new();
    let _agent = agent(&site, "many.test");
    let error = site.wait_error("link", "; and 12 more");
    assert_eq!(error["text"].to_string().matches("Connection refused").count(), 4, "{error}");
    many[0] = Ipv4Addr::LOCALHOST.into();
    many.truncate(3);
    dns.tell("many.test", Answer::Addresses(many));
    site.delivers();
}

#[test]
#[ignore = "wants a network and a mount namespace of its own: scripts/test"]
fn a_name_is_asked_for_anew_at_each_dial() {
    let dns = dns();
    dns.addresses("moves.test", &["127.0.0.2"]);
    let mut site = Site::new();
    let _agent = agent(&site, "moves.test");
    let port = site.world.hub_address().port();
    site.wait_error("link", &format!("127.0.0.2:{port}: Connection refused"));
    let asked = dns.asked("moves.test");
    dns.addresses("moves.test", &["127.0.0.3"]);
    site.wait_error("link", &format!("127.0.0.3:{port}: Connection refused"));
    dns.addresses("moves.test", &["127.0.0.1"]);
    site.delivers();
    assert!(dns.asked("moves.test") >= asked + 2, "whatever time an answer may be kept");
}

#[test]
#[ignore = "wants a network and a mount namespace of its own: scripts/test"]
fn a_name_that_does_not_exist_is_named() {
    dns();
    let site = Site::new();
    let _agent = agent(&site, "missing.test");
    site.wait_error("link", "cannot find the address of missing.test: failed to lookup address");
}

#[test]
#[ignore = "wants a network and a mount namespace of its own: scripts/test"]
fn plain_text_to_a_public_address_is_refused_before_a_byte_is_sent() {
    let dns = dns();
    dns.addresses("public.test", &[PUBLIC]);
    let site = Site::new();
    let listener = TcpListener::bind((PUBLIC, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    for flags in ["", "--allow-insecure"] {
        for host in [PUBLIC, "public.test"] {
            let (code, said) =
                site.world.fail(&format!("agent run --hub ws://{host}:{port} --data edge {flags}"));
            assert_eq!(code, 78, "{said}");
            assert!(said.contains(&format!("plain text to `{host}` is not allowed")), "{said}");
        }
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
    assert_eq!(dns.asked("public.test"), 0, "nobody asked");
    // It could have been reached: allowed, it is.
    let _agent = site.agent("", &format!("--hub ws://public.test:{port} --allow-insecure=any"), &[]);
    assert!(wait_until(|| listener.accept().is_ok()));
}

#[test]
#[ignore = "wants a network and a mount namespace of its own: scripts/test"]
fn the_environment_s_proxy_is_taken_for_hubs_that_no_proxy_does_not_name() {
    dns();
    let mut site = Site::listening(PRIVATE);
    let hub = site.world.hub_address();
    let proxy = Front::before(hub, Manner::Honest);
    let flags = format!("--hub http://{hub} --allow-insecure");
    let url = proxy.url();
    let mut process = site.agent("", &flags, &[("all_proxy", &url), ("no_proxy", "10.0.0.0/8")]);
    site.delivers();
    process.kill();
    assert_eq!(proxy.asked(), Vec::<String>::new(), "the variable names the hub's network");
    let mut process = site.agent("", &flags, &[("HTTP_PROXY", &url)]);
    site.delivers();
    process.kill();
    assert_eq!(proxy.asked(), Vec::<String>::new(), "in capitals it is a request's header");
    let mut process = site.agent("proxy = \"none\"", &flags, &[("http_proxy", &url)]);
    site.delivers();
    process.kill();
    assert_eq!(proxy.asked(), Vec::<String>::new(), "the setting wins");
    let _agent = site.agent("", &flags, &[("http_proxy", &url), ("no_proxy", "11.0.0.0/8")]);
    site.delivers();
    assert!(proxy.asked()[0].starts_with(&format!("CONNECT {hub} HTTP/1.1\r\n")));
}

#[test]
#[ignore = "wants a network and a mount namespace of its own: scripts/test"]
fn of_many_addresses_one_that_lets_in_and_is_mute_holds_up_one_dial() {
    let dns = dns();
    // The resolver's own order (RFC 6724): what is nearer to 127.0.0.1 comes first.
    let (mute, hub) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 2, 0, 1));
    let mut site = Site::listening(&hub.to_string());
    let port = site.world.hub_address().port();
    let _mute = TcpListener::bind((mute, port)).unwrap();
    let refusing = (2..=15).map(|last| Ipv4Addr::new(127, 1, 0, last));
    let all = [mute].into_iter().chain(refusing).chain([hub]);
    dns.tell("mute.test", Answer::Addresses(all.map(IpAddr::from).collect()));
    let _agent = agent(&site, "mute.test");
    site.wait_error("link", &format!("mute.test:{port} at {mute}:{port} is too slow"));
    site.delivers();
    assert_eq!(site.status()["counters"]["dials"], 2);
}

/// Listens at an address, and lets nobody in: its queue is full.
fn deaf(address: SocketAddr) -> Option<(Socket, Vec<Socket>)> {
    let listener = Socket::new(Domain::IPV6, Type::STREAM, None).ok()?;
    listener.bind(&address.into()).ok()?;
    listener.listen(0).ok()?;
    let fill = || {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&address.into());
        socket
    };
    Some((listener, (0..4).map(|_| fill()).collect()))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test measures in real time")]
fn a_host_whose_ipv6_address_says_nothing_is_reached_over_ipv4_in_time() {
    let mut site = Site::new();
    let port = site.world.hub_address().port();
    let Some(_deaf) = deaf(SocketAddr::new("::1".parse().unwrap(), port)) else {
        println!("left out: this machine has no IPv6 loopback");
        return;
    };
    let begun = Instant::now();
    let _agent = site.agent(&Site::urls(&[&format!("http://localhost:{port}")]), "", &[]);
    assert!(wait_until(|| site.status()["state"] == "connected"));
    // In the first dial, and before the address that says nothing is given up.
    assert!(begun.elapsed() < outpost::limit::CONNECT_TIMEOUT, "{:?}", begun.elapsed());
    assert_eq!(site.status()["counters"]["dials"], 1);
    site.delivers();
}

#[test]
fn a_host_whose_ipv6_address_lets_in_and_hangs_up_is_reached_over_ipv4() {
    let mut site = Site::new();
    let port = site.world.hub_address().port();
    let address = SocketAddr::new("::1".parse().unwrap(), port);
    let Ok(listener) = TcpListener::bind(address) else {
        println!("left out: this machine has no IPv6 loopback");
        return;
    };
    // It ends with the test's process.
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let _agent = site.agent(&Site::urls(&[&format!("http://localhost:{port}")]), "", &[]);
    site.wait_error("link", &format!("the connection to localhost:{port} at {address} ended"));
    site.delivers();
}
