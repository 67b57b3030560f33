//! Whole parts over real sockets: port 0, a folder of their own, no sleeps.

#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[cfg(feature = "hub")]
mod admission;
#[cfg(all(feature = "agent", feature = "hub"))]
mod agent_credential;
#[cfg(feature = "agent")]
mod agent_jobs;
mod agent_link;
#[cfg(feature = "agent")]
mod agent_socket;
#[cfg(feature = "agent")]
mod agent_tls;
#[cfg(feature = "hub")]
mod api_access;
#[cfg(feature = "hub")]
mod api_every;
#[cfg(feature = "hub")]
mod api_follow;
#[cfg(feature = "hub")]
mod api_lists;
mod app_bundle;
mod app_follow;
#[cfg(feature = "hub")]
mod apps;
#[cfg(feature = "hub")]
mod asked;
#[cfg(all(feature = "agent", feature = "hub"))]
#[allow(dead_code, reason = "tests/tls uses the rest of it")]
#[path = "../tls/authority.rs"]
mod authority;
#[cfg(feature = "hub")]
mod bad_input;
#[cfg(feature = "hub")]
mod copies;
#[cfg(feature = "hub")]
mod delivery;
#[cfg(feature = "hub")]
mod departure;
#[cfg(feature = "hub")]
mod embedded;
#[cfg(all(feature = "agent", feature = "hub"))]
mod front;
#[cfg(feature = "agent")]
mod hand_hub;
#[cfg(feature = "hub")]
mod job_agent;
#[cfg(feature = "hub")]
mod job_cli;
#[cfg(feature = "hub")]
mod jobs;
#[cfg(all(feature = "agent", feature = "hub"))]
mod metrics;
#[cfg(feature = "agent")]
mod operator;
#[cfg(feature = "hub")]
mod quota;
#[cfg(feature = "hub")]
#[allow(dead_code, reason = "tests/attack uses the rest of it")]
mod raw_agent;
#[cfg(feature = "hub")]
mod raw_http;
#[cfg(feature = "hub")]
mod refusal;
#[cfg(feature = "hub")]
mod relay;
#[cfg(all(feature = "agent", feature = "hub"))]
mod relay_agent;
#[cfg(feature = "hub")]
mod signed_jobs;
#[cfg(feature = "hub")]
mod signed_upgrade;
#[cfg(all(feature = "agent", feature = "hub"))]
mod site;
#[cfg(feature = "hub")]
mod stranded;
#[cfg(feature = "hub")]
mod token;
#[cfg(feature = "hub")]
mod upgrade;
