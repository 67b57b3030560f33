//! Certificates on a disk that does not answer any more: one thread waits for it, whoever else wants them is told, and what
//! runs goes on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use outpost::agent::Agent;
use outpost::hub::config::Config;
use outpost::hub::{Hub, StartError};
use outpost::limit;
use outpost::net::meter::Metered;
use outpost::net::tls::client::{ClientTls, Settings};
use outpost::obs::clock::boot_now;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::hung_disk::HungDisk;
use crate::peer::{serial, within};
use crate::scene::Scene;

/// Threads of this process that wait for files.
fn waiting() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim() == "tls-files").count()
}

/// The error of a handshake; empty where it succeeds.
async fn dialled(tls: &ClientTls, hub: SocketAddr) -> String {
    let stream = Metered::new(TcpStream::connect(hub).await.unwrap());
    let done = within(tls.handshake("localhost", stream)).await;
    done.err().map_or_else(String::new, |error| error.to_string())
}

#[tokio::test]
#[ignore = "needs root and FUSE: scripts/test"]
async fn an_agents_dials_share_one_thread_that_waits_for_the_authority() {
    let (scene, disk) = (Scene::new().await, HungDisk::mount());
    let hub = scene.hub.local_addr();
    let ca_file = Some(disk.put("ca.pem", scene.authority.pem().as_bytes()));
    let tls = ClientTls::new(&Settings { ca_file, ..Settings::default() }).unwrap();
    assert_eq!(dialled(&tls, hub).await, "");
    disk.hang();
    let mut dials = JoinSet::new();
    for _ in 0..50 {
        let tls = tls.clone();
        dials.spawn(async move { dialled(&tls, hub).await });
    }
    while let Some(error) = dials.join_next().await {
        let error = error.unwrap();
        assert!(error.contains("ca.pem") && error.contains("no answer within 5 s"), "{error}");
        assert!(waiting() <= 1, "{} threads wait", waiting());
    }
    assert_eq!(waiting(), 1);
    disk.answer();
    assert_eq!(dialled(&tls, hub).await, "");
    scene.hub.shutdown().await;
}

/// The hub's own pair on this disk.
fn on(disk: &HungDisk, folder: &std::path::Path) -> [PathBuf; 2] {
    ["hub.pem", "hub.key"].map(|name| disk.put(name, &std::fs::read(folder.join(name)).unwrap()))
}

#[tokio::test]
#[ignore = "needs root and FUSE: scripts/test"]
async fn a_hub_whose_files_hang_goes_on_with_those_it_has_and_ends_in_time() {
    let disk = HungDisk::mount();
    let scene = Scene::with(|config: &mut Config, folder| {
        let files = config.tls.as_mut().unwrap();
        [files.cert, files.key] = on(&disk, folder);
    })
    .await;
    let (hub, peer) = (scene.hub.local_addr(), scene.peer());
    disk.hang();
    // Longer than two looks take.
    let (began, whole) = (boot_now(), limit::TLS_READ_TIMEOUT * 2 + Duration::from_secs(3));
    while boot_now().since(began) < whole {
        assert_eq!(serial(&peer.dial(hub).await.unwrap()), 1);
        assert!(waiting() <= 1, "{} threads wait", waiting());
    }
    assert_eq!(waiting(), 1);
    scene.authority.server(2).write(scene.folder.path(), "hub");
    on(&disk, scene.folder.path());
    disk.answer();
    within(async { while serial(&peer.dial(hub).await.unwrap()) != 2 {} }).await;
    disk.hang();
    within(async {
        while waiting() == 0 {
            tokio::task::yield_now().await
        }
    })
    .await;
    within(scene.hub.shutdown()).await;
}

#[tokio::test]
#[ignore = "needs root and FUSE: scripts/test"]
async fn neither_hub_nor_agent_starts_on_a_disk_that_hangs_and_both_say_so() {
    let disk = HungDisk::mount();
    let scene = Scene::new().await;
    let [cert, key] = on(&disk, scene.folder.path());
    let ca = disk.put("ca.pem", scene.authority.pem().as_bytes());
    disk.hang();
    let files = outpost::net::tls::server::Files { cert, key, client_ca: None };
    let data = scene.folder.path().join("other");
    let listen = "127.0.0.1:0".parse().unwrap();
    let started = within(Hub::start(Config { data, listen, tls: Some(files), ..Config::default() })).await;
    let Err(StartError::Tls(error)) = started else { panic!("it started") };
    assert!(error.to_string().contains("hub.pem, ") && error.to_string().contains("hang"), "{error}");
    let mut config = outpost::agent::config::Config::new(scene.folder.path().join("agent"));
    config.tls.ca_file = Some(ca);
    let Err(error) = within(Agent::start(config)).await else { panic!("it started") };
    assert!(error.to_string().contains("ca.pem") && error.to_string().contains("hang"), "{error}");
    scene.hub.shutdown().await;
}
