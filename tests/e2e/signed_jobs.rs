//! The hub's part in signed jobs: it carries the signature as it came and makes nothing of it.

use outpost::wire::operator::OperatorSignature;
use serde_json::json;

use crate::job_agent::JobAgent;
use crate::raw_agent::World;

const SPEC: &str = r#"{"kind": "exec", "payload": {"command": ["true"]}}"#;

fn signature(byte: u8) -> OperatorSignature {
    OperatorSignature::from_bytes([byte; 64])
}

#[tokio::test]
async fn an_offer_carries_the_signature_that_was_submitted_also_after_a_restart() {
    let world = World::new().await;
    let headers = [("X-Outpost-Signature", signature(7).to_string())];
    let (status, job) = world.post_with("/v1/jobs?agent=edge-1", &headers, SPEC).await;
    assert_eq!(status, 202, "{job}");
    let (_, unsigned) = world.post("/v1/jobs?agent=edge-1", None, SPEC).await;
    let world = world.restart().await;
    let mut agent = JobAgent::register(&world).await;
    for (job, signature) in [(job, Some(signature(7))), (unsigned, None)] {
        let offer = agent.offer().await;
        assert_eq!(offer.job.to_string(), job["job_id"].as_str().unwrap());
        assert_eq!((&offer.spec[..], offer.signature), (SPEC.as_bytes(), signature));
        let (_, shown) = world.get(&format!("/v1/jobs/{}", offer.job)).await;
        assert_eq!(shown["signed"], signature.is_some(), "{shown}");
    }
    drop(agent);
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_header_that_is_no_signature_is_refused_and_nothing_is_submitted() {
    let world = World::new().await;
    let text = signature(7).to_string();
    for wrong in ["", "ops1.", &text[5..], &text[..text.len() - 1], &format!("{text}A")] {
        let headers = [("X-Outpost-Signature", wrong.to_owned())];
        let (status, answer) = world.post_with("/v1/jobs?agent=edge-1", &headers, SPEC).await;
        assert_eq!((status, &answer["error"]), (400, &json!("bad_request")), "{wrong}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains("X-Outpost-Signature"), "{answer}");
    }
    let (_, jobs) = world.get("/v1/jobs").await;
    assert_eq!(jobs["jobs"], json!([]));
    world.hub.shutdown().await;
}

#[tokio::test]
async fn a_submission_with_another_signature_is_another_one() {
    let world = World::new().await;
    let submit = async |key: &str, signature: Option<OperatorSignature>| {
        let signature = signature.map(|signature| ("X-Outpost-Signature", signature.to_string()));
        let headers: Vec<_> = [("Idempotency-Key", key.to_owned())].into_iter().chain(signature).collect();
        world.post_with("/v1/jobs?agent=edge-1", &headers, SPEC).await
    };
    assert_eq!(submit("k", Some(signature(7))).await.0, 202);
    assert_eq!(submit("k", Some(signature(7))).await.0, 200);
    for other in [Some(signature(8)), None] {
        let (status, answer) = submit("k", other).await;
        assert_eq!((status, &answer["error"]), (409, &json!("idempotency_key_reused")), "{answer}");
    }
    world.hub.shutdown().await;
}
