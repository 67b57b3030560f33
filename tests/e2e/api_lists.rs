//! Lists in pages, filters, labels, and jobs for several agents.

use serde_json::{Value, json};

use crate::asked::{Answered, ask};
use crate::job_agent::JobAgent;
use crate::raw_agent::World;

const SPEC: &str = r#"{"kind": "exec", "payload": {"command": ["true"]}}"#;

async fn get(world: &World, path: &str) -> Value {
    let answer = ask(world, "GET", path, &[], "").await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
}

async fn add(world: &World, name: &str) {
    world.hub.store().add_agent(&name.parse().unwrap(), None).await.unwrap();
}

async fn label(world: &World, name: &str, labels: Value) -> Answered {
    ask(world, "PATCH", &format!("/v1/agents/{name}/labels"), &[], &labels.to_string()).await
}

async fn submit(world: &World, query: &str, key: &str, spec: &str) -> Answered {
    ask(world, "POST", &format!("/v1/jobs?{query}"), &[("Idempotency-Key", key)], spec).await
}

#[tokio::test]
async fn a_list_in_pages_has_everything_once_whatever_is_added_meanwhile() {
    let world = World::new().await;
    for number in 2..=7 {
        add(&world, &format!("edge-{number}")).await;
        world.submit().await;
    }
    let (mut agents, mut jobs, mut audit) = (Vec::new(), Vec::new(), Vec::new());
    for (path, key, name, found) in [
        ("/v1/agents?limit=3", "agents", "name", &mut agents),
        ("/v1/jobs?limit=2", "jobs", "job_id", &mut jobs),
        ("/v1/audit?limit=4", "entries", "action", &mut audit),
    ] {
        let mut cursor = String::new();
        loop {
            let page = get(&world, &format!("{path}{cursor}")).await;
            found.extend(texts(&page[key], name));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
            // Before and behind where the list is.
            if found.len() <= 4 {
                add(&world, &format!("a-{key}-{}", found.len())).await;
                world.submit().await;
            }
        }
    }
    let expected: Vec<_> = (1..=7).map(|number| format!("edge-{number}")).collect();
    assert_eq!(agents, expected, "what was there is there once, and what came before the place is not");
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), 6 + 1, "those that were there when the list was begun");
    let all = get(&world, "/v1/audit").await;
    assert_eq!(audit, texts(&all["entries"], "action"));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn agents_are_chosen_by_label_state_and_link() {
    let world = World::new().await;
    for name in ["edge-2", "edge-3", "edge-4"] {
        add(&world, name).await;
    }
    for (name, labels) in [
        ("edge-1", json!({"site": "eu-1", "role": "till"})),
        ("edge-2", json!({"site": "eu-2", "role": "till"})),
        ("edge-3", json!({"site": "eu-1"})),
    ] {
        let labelled = label(&world, name, labels.clone()).await;
        assert_eq!((labelled.status, &labelled.json()["labels"]), (200, &labels), "{labelled:?}");
    }
    world.hub.store().revoke_agent(&"edge-3".parse().unwrap()).await.unwrap();
    let _session = JobAgent::register(&world).await;
    for (query, expected) in [
        ("selector=site%3Deu-1", &["edge-1", "edge-3"][..]),
        ("selector=site+in+(eu-1,eu-2),role", &["edge-1", "edge-2"]),
        ("selector=!site", &["edge-4"]),
        ("selector=role!%3Dtill", &["edge-3", "edge-4"]),
        ("selector=site%3Deu-1&state=active", &["edge-1"]),
        ("state=revoked", &["edge-3"]),
        ("connected=true", &["edge-1"]),
        ("connected=false&state=active", &["edge-2", "edge-4"]),
    ] {
        let page = get(&world, &format!("/v1/agents?{query}")).await;
        assert_eq!(texts(&page["agents"], "name"), expected, "{query}");
    }
    let changed = label(&world, "edge-1", json!({"role": null, "site": "eu-9"})).await;
    assert_eq!(changed.json()["labels"], json!({"site": "eu-9"}));
    assert_eq!(get(&world, "/v1/agents/edge-1").await["labels"], json!({"site": "eu-9"}));
    let many: Value =
        (0..65).map(|number| (format!("l{number}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(label(&world, "edge-4", many).await.problem(), (409, "too_many_labels".to_owned()));
    assert_eq!(get(&world, "/v1/agents/edge-4").await["labels"], json!({}), "nothing was changed");
    world.hub.shutdown().await;
}

#[tokio::test]
async fn jobs_are_chosen_by_agent_label_group_and_time() {
    let world = World::new().await;
    add(&world, "edge-2").await;
    label(&world, "edge-2", json!({"site": "eu"})).await;
    let first = world.submit().await.to_string();
    let at = get(&world, &format!("/v1/jobs/{first}")).await["created_at_ms"].as_i64().unwrap();
    let group = submit(&world, "agents=edge-2,edge-1", "k", SPEC).await.json();
    let (name, ids) = (group["group"].as_str().unwrap(), texts(&group["jobs"], "job_id"));
    for (query, expected) in [
        ("agent=edge-1".to_owned(), vec![&ids[0], &first]),
        ("selector=site%3Deu".to_owned(), vec![&ids[1]]),
        ("selector=site%3Deu&agent=edge-1".to_owned(), vec![]),
        ("selector=site%3Dnowhere".to_owned(), vec![]),
        (format!("group={name}"), vec![&ids[1], &ids[0]]),
        (format!("group={}", "0".repeat(32)), vec![]),
        (format!("since_ms={at}&until_ms={}&agent=edge-1&limit=9", at + 3_600_000), vec![&ids[0], &first]),
        (format!("until_ms={at}"), vec![]),
        (format!("since_ms={}", at + 3_600_000), vec![]),
        ("status=queued&agent=edge-2".to_owned(), vec![&ids[1]]),
    ] {
        let page = get(&world, &format!("/v1/jobs?{query}")).await;
        assert_eq!(texts(&page["jobs"], "job_id").iter().collect::<Vec<_>>(), expected, "{query}");
    }
    world.hub.shutdown().await;
}

#[tokio::test]
async fn one_submission_to_several_agents_is_all_of_them_once_or_none() {
    let world = World::with(|config| config.quota.open_jobs = std::num::NonZeroU32::new(2)).await;
    for name in ["edge-2", "edge-3"] {
        add(&world, name).await;
        label(&world, name, json!({"role": "till"})).await;
    }
    let mut agent = JobAgent::register(&world).await;
    let taken = submit(&world, "agents=edge-2,%20edge-1,edge-1", "k1", SPEC).await;
    let group = taken.json();
    assert_eq!(
        (taken.status, texts(&group["jobs"], "agent")),
        (202, vec!["edge-1".to_owned(), "edge-2".to_owned()])
    );
    // Rung for, and offered as submitted.
    let offer = agent.offer().await;
    assert_eq!(
        (offer.spec.as_ref(), offer.job.to_string()),
        (SPEC.as_bytes(), texts(&group["jobs"], "job_id")[0].clone())
    );
    let again = submit(&world, "agents=edge-1,edge-2", "k1", SPEC).await;
    assert_eq!((again.status, &again.json()["group"]), (200, &group["group"]));
    for (query, spec) in [
        ("agents=edge-1,edge-2", r#"{"kind": "exec", "payload": {"command": ["false"]}}"#),
        ("agents=edge-1,edge-3", SPEC),
        ("selector=role", SPEC),
        ("agent=edge-1", SPEC),
    ] {
        let refusal = submit(&world, query, "k1", spec).await;
        assert_eq!(refusal.problem(), (409, "idempotency_key_reused".to_owned()), "{query}");
    }
    // A label that changed since makes no other submission of it.
    let chosen = submit(&world, "selector=role%3Dtill", "k2", SPEC).await.json();
    assert_eq!(texts(&chosen["jobs"], "agent"), ["edge-2", "edge-3"]);
    label(&world, "edge-3", json!({"role": null})).await;
    let again = submit(&world, "selector=role+in+(till)", "k2", SPEC).await;
    assert_eq!((again.status, again.json()["jobs"].as_array().unwrap().len()), (200, 2), "{again:?}");
    // The quota of one is the quota of all.
    let full = submit(&world, "agents=edge-1,edge-2,edge-3", "k3", SPEC).await;
    assert_eq!(full.problem(), (429, "too_many_jobs".to_owned()));
    assert_eq!(get(&world, "/v1/jobs?agent=edge-3").await["jobs"].as_array().unwrap().len(), 1);
    let free = submit(&world, "agents=edge-1,edge-3", "k3", SPEC).await;
    assert_eq!(free.status, 202, "the key stands for nothing yet: {free:?}");
    world.hub.store().revoke_agent(&"edge-2".parse().unwrap()).await.unwrap();
    let revoked = submit(&world, "agents=edge-2,edge-3", "k4", SPEC).await;
    assert_eq!(revoked.problem(), (409, "agent_revoked".to_owned()));
    let id = r#"{"kind": "exec", "job_id": "01938c5e-7b1a-7fff-bfff-ffffffffffff"}"#;
    assert_eq!(
        submit(&world, "agents=edge-1,edge-3", "k5", id).await.problem(),
        (400, "bad_spec".to_owned())
    );
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_repeated_submission_gives_the_same_job_whatever_has_become_of_its_agent() {
    let world = World::new().await;
    let own_id = r#"{"kind": "exec", "job_id": "01938c5e-7b1a-7fff-bfff-ffffffffffff"}"#;
    let group = submit(&world, "agents=edge-1", "g", SPEC).await.json();
    let first = submit(&world, "agent=edge-1", "k", SPEC).await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(ask(&world, "POST", "/v1/jobs?agent=edge-1", &[], own_id).await.status, 202);
    let again = async |what: &str| {
        let known = submit(&world, "agent=edge-1", "k", SPEC).await;
        assert_eq!(
            (known.status, &known.json()["job_id"]),
            (200, &first.json()["job_id"]),
            "{what}: {known:?}"
        );
        let by_id = ask(&world, "POST", "/v1/jobs?agent=edge-1", &[], own_id).await;
        assert_eq!(by_id.status, 200, "{what}: {by_id:?}");
        let known = submit(&world, "agents=edge-1", "g", SPEC).await;
        assert_eq!((known.status, &known.json()["group"]), (200, &group["group"]), "{what}: {known:?}");
        // With anything else the key stands for something else.
        for (query, spec) in [("agent=edge-2", SPEC), ("agent=edge-1", r#"{"kind": "exec"}"#)] {
            let refusal = submit(&world, query, "k", spec).await;
            assert_eq!(refusal.problem(), (409, "idempotency_key_reused".to_owned()), "{what} {query}");
        }
    };
    add(&world, "edge-2").await;
    again("active").await;
    let fresh = async |expected: (u16, &str)| {
        let refusal = submit(&world, "agent=edge-1", "other", SPEC).await;
        assert_eq!(refusal.problem(), (expected.0, expected.1.to_owned()));
    };
    world.hub.store().revoke_agent(&"edge-1".parse().unwrap()).await.unwrap();
    again("revoked").await;
    fresh((409, "agent_revoked")).await;
    world.hub.store().remove_agent(&"edge-1".parse().unwrap()).await.unwrap();
    again("removed").await;
    fresh((404, "no_agent")).await;
    // Another one by that name is asked for in the same words.
    add(&world, "edge-1").await;
    again("another").await;
    world.hub.shutdown().await;
}
