//! The pages as a whole: their names are those of the docs, and Prometheus' own tool takes them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use outpost::agent::Agent;

use super::samples::ask;
use super::{hub_metrics, metered, registered, site};
use crate::raw_agent::within;

#[tokio::test]
async fn the_api_has_the_same_page_for_operators_only() {
    let site = site().await;
    assert_eq!(ask(site.world.hub.local_addr(), "/metrics").await.0, 401);
    let token = std::fs::read_to_string(site.world.folder.path().join("admin.token")).unwrap();
    let url = format!("http://{}/metrics", site.world.hub.local_addr());
    let call = move || {
        let bearer = format!("Bearer {}", token.trim());
        let mut answer = ureq::get(url).header("Authorization", bearer).call().unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.body_mut().read_to_string().unwrap())
    };
    let (kind, page) = within(tokio::task::spawn_blocking(call)).await.unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(page.contains("\noutpost_hub_sessions 0\n"), "{page}");
    site.world.hub.shutdown().await;
}

/// A page with as many samples as an agent and a hub have, and both pages.
async fn pages() -> [String; 2] {
    let site = site().await;
    let agent = Agent::start(metered(&site)).await.unwrap();
    registered(&agent, 1).await;
    let agent_page = ask(agent.metrics_addr().unwrap(), "/metrics").await.1;
    let hub_page = ask(hub_metrics(&site), "/metrics").await.1;
    site.end(agent).await;
    [agent_page, hub_page]
}

/// The table of docs/metrics.md that a page's help and types are.
fn table(page: &str) -> String {
    let mut table = "| name | type | meaning |\n|---|---|---|\n".to_owned();
    let mut help = "";
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text;
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|text| text.split_once(' '))
        {
            let (helped, text) = help.split_once(' ').unwrap();
            assert_eq!(helped, name);
            writeln!(table, "| `{name}` | {kind} | {text} |").unwrap();
        }
    }
    table
}

#[tokio::test]
async fn the_tables_of_the_docs_have_every_name_that_is_served_and_no_other() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let docs = std::fs::read_to_string(path).unwrap();
    for page in pages().await {
        let expected = table(&page);
        assert!(
            docs.contains(&format!("\n\n{expected}\n")),
            "docs/metrics.md should have this table:\n\n{expected}"
        );
    }
}

#[tokio::test]
#[ignore = "needs promtool; scripts/test runs it"]
async fn promtool_finds_nothing_to_say_about_either_page() {
    for page in pages().await {
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        assert!(output.status.success() && said == ["", ""], "{said:?}\n{page}");
    }
}
