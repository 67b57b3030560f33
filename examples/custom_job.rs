//! An agent with a kind of job of its own.
//!
//! `cargo run --example custom_job -- HUB_URL KEY_FILE DATA_FOLDER` runs it until Ctrl-C. Then, for an agent edge-1:
//! `echo '{"kind": "countdown", "payload": {"from": 5}}' | outpost job submit --agent edge-1 --wait --spec -`

use std::error::Error;
use std::time::Duration;

use outpost::agent::Agent;
use outpost::agent::config::Config;
use outpost::exec::{InvalidPayload, JobContext, JobHandler, Outcome};
use outpost::job::JobSpec;
use outpost::wire::job::OutputStream;
use serde::Deserialize;

struct Countdown;

#[derive(Deserialize)]
struct Payload {
    from: u16,
}

impl JobHandler for Countdown {
    // A job whose payload is not right is rejected before it is accepted.
    fn check(&self, spec: &JobSpec) -> Result<(), InvalidPayload> {
        let payload = Payload::deserialize(&spec.payload);
        payload.map(|_| ()).map_err(|error| InvalidPayload::new("payload", error.to_string()))
    }

    async fn run(&self, job: JobContext) -> Outcome {
        tokio::select! {
            counted = count(&job) => counted.unwrap_or_else(|error| Outcome::failed(error.to_string())),
            reason = job.cancelled() => Outcome::stopped(reason),
        }
    }
}

async fn count(job: &JobContext) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
    let Payload { from } = job.payload()?;
    for left in (1..=from).rev() {
        job.log(OutputStream::Stdout, format!("{left} left")).await?;
        job.progress(Some(1.0 - f32::from(left) / f32::from(from)), "counting down").await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    job.artifact("summary.txt", format!("counted down from {from}\n")).await?;
    Ok(Outcome::succeeded().with_payload("lift-off"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [hub, key, data] = arguments()?;
    let mut config = Config::new(data).with_hub(&hub, None)?;
    config.key_file = key.into();
    let agent = Agent::builder(config).handler("countdown", Countdown).start().await?;
    tokio::signal::ctrl_c().await?;
    agent.shutdown().await?;
    Ok(())
}

fn arguments() -> Result<[String; 3], &'static str> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    arguments.try_into().map_err(|_| "usage: custom_job HUB_URL KEY_FILE DATA_FOLDER")
}
