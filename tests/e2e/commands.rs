//! The hub's commands, with a running hub and without.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use outpost::cli::Global;
use outpost::cli::exit::{CliError, Exit};
use outpost::cli::hub_agent::{Args, Command, Place, run};
use outpost::cli::remote::RemoteArgs;
use outpost::wire::key::KeyFile;
use tracing::level_filters::LevelFilter;

use crate::raw_agent::{World, within};

async fn call(command: Command) -> Result<(), CliError> {
    let global = Global { config: None, json: true, level: LevelFilter::OFF };
    within(tokio::task::spawn_blocking(move || run(Args { command }, &global))).await.unwrap()
}

fn add(name: &str, key_out: &Path, place: &Place) -> Command {
    Command::Add {
        name: name.parse().unwrap(),
        key_out: Some(key_out.to_owned()),
        public_key: None,
        place: place.clone(),
    }
}

#[tokio::test]
async fn agents_are_added_through_the_api_and_in_the_database() {
    let mut world = World::new().await;
    let keys = tempfile::tempdir().unwrap();
    let remote = Place {
        data: None,
        remote: RemoteArgs {
            hub: Some(format!("http://{}", world.hub.local_addr())),
            token_file: Some(world.folder.path().join("admin.token")),
        },
    };
    let direct = Place { data: Some(world.folder.path().to_owned()), remote: RemoteArgs::default() };
    for (name, place) in [("edge-2", &remote), ("edge-3", &direct)] {
        let file = keys.path().join(name);
        call(add(name, &file, place)).await.unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        world.key = std::fs::read_to_string(&file).unwrap().parse::<KeyFile>().unwrap();
        let (_agent, marks) = world.register().await;
        assert_eq!(marks[0].acked, 0);
    }
    // Never overwritten, and the name that stands there already takes nothing with it.
    let file = keys.path().join("edge-2");
    let before = std::fs::read(&file).unwrap();
    assert_eq!(call(add("edge-4", &file, &remote)).await.unwrap_err().exit, Exit::Io);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let other = keys.path().join("other");
    assert_eq!(call(add("edge-2", &other, &remote)).await.unwrap_err().exit, Exit::Failed);
    assert!(!other.exists());
    // Removed in the API: its session ends, its key opens nothing.
    world.key = String::from_utf8(before).unwrap().parse().unwrap();
    let (mut agent, _) = world.register().await;
    let remove = Command::Remove { name: "edge-2".parse().unwrap(), place: remote };
    call(remove).await.unwrap();
    assert_eq!(agent.closed().await, (1008, "unknown_agent".to_owned()));
    assert_eq!(world.refusal(world.request(&[1; 32])).await, (401, "unknown_agent".to_owned()));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn commands_say_where_no_hub_is() {
    let folder = tempfile::tempdir().unwrap();
    let data = Some(folder.path().join("none"));
    let error =
        call(Command::List { place: Place { data, remote: RemoteArgs::default() } }).await.unwrap_err();
    assert_eq!(error.exit, Exit::Folder);
    assert!(error.message.contains("hub run"), "{error}");
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "x").unwrap();
    // Bound and dropped: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let remote = RemoteArgs { hub: Some(format!("http://{free}")), token_file: Some(token_file) };
    let error = call(Command::List { place: Place { data: None, remote } }).await.unwrap_err();
    assert_eq!(error.exit, Exit::Unavailable);
}
