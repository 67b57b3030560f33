use tokio::time::Instant;

use crate::hub::Hub;
use crate::hub::config::Config;

use super::*;

async fn hub(folder: &tempfile::TempDir) -> Hub {
    let listen = "127.0.0.1:0".parse().unwrap();
    Hub::start(Config { data: folder.path().to_owned(), listen, ..Config::default() }).await.unwrap()
}

#[tokio::test]
async fn while_the_database_hangs_a_page_comes_without_its_figures_and_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&folder).await;
    let page = async || hub.shared.page().await.into_text();
    let of_the_database =
        ["outpost_hub_agents{", "outpost_hub_stored_bytes ", "outpost_hub_jobs{", "outpost_hub_job_orphans "];
    let has = |page: &str, name: &str| page.lines().any(|line| line.starts_with(name));
    let whole = page().await;
    for name in of_the_database {
        assert!(has(&whole, name), "{name} of {whole}");
    }
    let held = hub.shared.store.hang().await;
    // Nobody else has anything to do now: the time-out passes at once.
    tokio::time::pause();
    let began = Instant::now();
    let rest = page().await;
    let took = began.elapsed();
    tokio::time::resume();
    assert!((limit::METRICS_STORE_TIMEOUT..limit::METRICS_STORE_TIMEOUT * 2).contains(&took), "{took:?}");
    for name in of_the_database {
        assert!(!has(&rest, name), "{name} of {rest}");
    }
    // What is there without it, and the names of what is not.
    assert!(has(&rest, "outpost_hub_sessions 0") && has(&rest, "outpost_hub_records_received_total 0"));
    assert!(has(&rest, "# TYPE outpost_hub_stored_bytes gauge"), "{rest}");
    drop(held);
    assert!(has(&page().await, "outpost_hub_stored_bytes 0"), "it answers again");
    hub.shutdown().await;
}

#[tokio::test]
async fn a_hub_that_withheld_acks_is_not_ready_while_its_database_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&folder).await;
    hub.shared.store.doubt();
    let held = hub.shared.store.hang().await;
    tokio::time::pause();
    let Readiness::NotReady(why) = hub.shared.readiness().await else { panic!("it is ready") };
    assert!(why["message"].as_str().unwrap().contains("did not answer within"), "{why}");
    tokio::time::resume();
    drop(held);
    assert!(matches!(hub.shared.readiness().await, Readiness::Ready(_)));
    hub.shutdown().await;
}
