//! What a real agent presents to a real hub, attempt by attempt.

use ed25519_dalek::SigningKey;
use outpost::agent::config::{Config, JwtMode};
use outpost::agent::state::{LinkState, Status};
use outpost::agent::{Agent, identity};
use outpost::time::WallTime;
use outpost::wire::identity::seed_to_line;
use outpost::wire::key::AgentKey;

use crate::agent_link::status;
use crate::site::Site;

/// A hub that knows the front's address as its own.
async fn site() -> Site {
    Site::with(|config, url| config.public_urls = vec![url.to_owned()]).await
}

/// The same, and the agent gets an Ed25519 key that is bound.
async fn with_identity() -> Site {
    let mut site = site().await;
    let signing = SigningKey::from_bytes(&[7; 32]);
    let name = "edge-2".parse().unwrap();
    let public = Some(signing.verifying_key());
    site.world.key = site.world.hub.store().add_agent(&name, public).await.unwrap().key_file;
    let file = site.folder.path().join("agent.identity");
    std::fs::write(&file, seed_to_line(&signing).expose()).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).unwrap();
    site
}

fn registered(times: u64) -> impl Fn(&Status) -> bool {
    move |status| status.state == LinkState::Connected && status.counters.registrations == times
}

#[tokio::test]
async fn an_agent_presents_tokens_where_it_is_told_to_and_is_revoked_all_the_same() {
    let site = site().await;
    let config = Config { jwt: JwtMode::On, ..site.config() };
    let agent = Agent::start(config).await.unwrap();
    status(&agent, "connected and a token fetched", |status| {
        registered(1)(status) && status.counters.tokens == 1
    })
    .await;
    let before = site.world.counter("credentials", "token").await;
    site.front.cut();
    status(&agent, "connected again", registered(2)).await;
    assert_eq!(site.world.counter("credentials", "token").await, before + 1);
    site.world.hub.store().revoke_agent(&"edge-1".parse().unwrap()).await.unwrap();
    site.front.cut();
    let status = status(&agent, "revoked", |status| status.state == LinkState::Revoked).await;
    assert_eq!(status.last_error.unwrap().code, "revoked");
    site.end(agent).await;
}

#[tokio::test]
async fn a_token_that_is_refused_costs_one_attempt_and_is_not_presented_again() {
    let site = site().await;
    let config = Config { jwt: JwtMode::On, ..site.config() };
    let agent = Agent::start(config).await.unwrap();
    status(&agent, "a token", |status| registered(1)(status) && status.counters.tokens == 1).await;
    site.front.refuse_tokens();
    let dials = agent.status().await.unwrap().counters.dials;
    let bearers = site.world.counter("credentials", "bearer").await;
    site.front.cut();
    let now = status(&agent, "connected by the bearer", registered(2)).await;
    assert_eq!(now.counters.dials, dials + 2, "the token, and at once the bearer");
    assert_eq!(site.world.counter("credentials", "bearer").await, bearers + 1);
    site.front.cut();
    let now = status(&agent, "connected again", registered(3)).await;
    assert_eq!(now.counters.dials, dials + 3, "the token is gone once the hub proved to be the right one");
    site.end(agent).await;
}

#[tokio::test]
async fn no_token_is_asked_for_by_default() {
    let site = site().await;
    let agent = Agent::start(site.config()).await.unwrap();
    status(&agent, "connected", registered(1)).await;
    site.front.cut();
    let status = status(&agent, "connected again", registered(2)).await;
    assert_eq!(status.counters.tokens, 0);
    assert_eq!(site.world.get("/v1/status").await.1["counters"]["tokens_issued"], 0);
    site.end(agent).await;
}

#[tokio::test]
async fn an_agent_with_an_identity_signs_its_upgrades() {
    let site = with_identity().await;
    let agent = Agent::start(site.config()).await.unwrap();
    status(&agent, "connected", registered(1)).await;
    site.front.cut();
    let status = status(&agent, "connected again", registered(2)).await;
    assert_eq!(status.counters.dials, 2);
    site.end(agent).await;
}

#[tokio::test]
async fn an_agent_whose_clock_is_off_signs_again_with_the_hubs_time_and_knows_it_from_then_on() {
    let site = with_identity().await;
    let config = Config { wall_clock: || WallTime(60_000), ..site.config() };
    let agent = Agent::start(config).await.unwrap();
    let now = status(&agent, "connected", registered(1)).await;
    assert_eq!(now.counters.dials, 2, "once too early by its own clock, once by the hub's");
    assert_eq!(site.world.counter("auth_failed", "clock").await, 1);
    site.front.cut();
    let now = status(&agent, "connected again", registered(2)).await;
    assert_eq!(now.counters.dials, 3, "a verified hub told it the time");
    site.end(agent).await;
}

#[tokio::test]
async fn an_agent_whose_key_the_hub_does_not_know_comes_in_with_the_one_before() {
    let site = site().await;
    let config = site.config();
    let mut unknown = site.world.key.clone();
    unknown.key_id = "k9".parse().unwrap();
    unknown.key = AgentKey::new([9; 32]);
    identity::replace_key(&config.key_file, &site.world.key, &unknown).unwrap();
    let agent = Agent::start(config).await.unwrap();
    let now = status(&agent, "connected", registered(1)).await;
    assert_eq!(now.counters.dials, 2);
    assert_eq!(site.world.counter("auth_failed", "key_unknown").await, 1);
    site.end(agent).await;
}
