//! Keys, logins and what the audit says of them.

use super::*;
use crate::id::{InstanceId, KeyId, SessionId};
use crate::obs::random;
use crate::wire::key::{AgentKey, KeyFile};
use crate::wire::message::SignatureMode;

/// A key that stands beside those the agent has.
async fn issue(world: &World, text: &str) -> KeyFile {
    let row = world.store.agent(&name(text)).await.unwrap();
    let key_id = keys::fresh_id().unwrap();
    let key = AgentKey::new(random::bytes());
    let mut transaction = world.store.write().await.unwrap();
    world.store.put_key(&mut transaction, &row, &key_id, &key).await.unwrap();
    transaction.commit().await.unwrap();
    KeyFile { hub_id: world.store.hub_id(), agent_id: row.id, key_id, key }
}

async fn log_in(world: &World, text: &str, key_id: &KeyId) -> Result<Welcome, Denied> {
    let agent = &world.store.agent(&name(text)).await.unwrap();
    let (session, instance) = (SessionId::from_bytes([1; 16]), InstanceId::from_bytes([2; 16]));
    let login = Login { agent, key_id, session, instance, hostname: "h", agent_version: "v" };
    world.store.log_in(login).await.unwrap()
}

async fn opens(world: &World, key: &KeyFile) -> Result<(), Denied> {
    world.store.authenticate(&key.bearer()).await.unwrap().map(|_| ())
}

async fn actions(world: &World, text: &str) -> Vec<String> {
    let rows = world.store.audit(Some(&name(text)), 0, 1000).await.unwrap();
    rows.into_iter().map(|row| row.action).collect()
}

#[tokio::test]
async fn the_first_register_with_a_key_deletes_those_before_it() {
    let world = World::new().await;
    let first = world.store.add_agent(&name("edge-2"), None).await.unwrap().key_file;
    assert_eq!(log_in(&world, "edge-2", &first.key_id).await, Ok(Welcome::In));
    let second = issue(&world, "edge-2").await;
    assert_eq!(log_in(&world, "edge-2", &first.key_id).await, Ok(Welcome::In));
    assert_eq!((opens(&world, &first).await, opens(&world, &second).await), (Ok(()), Ok(())));
    let third = issue(&world, "edge-2").await;
    assert_eq!(log_in(&world, "edge-2", &second.key_id).await, Ok(Welcome::In));
    assert_eq!(opens(&world, &first).await, Err(Denied::KeyUnknown));
    assert_eq!(opens(&world, &third).await, Ok(()), "it was issued later");
    assert_eq!(log_in(&world, "edge-2", &first.key_id).await, Err(Denied::KeyUnknown));
    // A second Register with the same key is none that proves anything new.
    assert_eq!(log_in(&world, "edge-2", &second.key_id).await, Ok(Welcome::In));
    let expected = ["agent_added", "key_issued", "key_issued", "key_issued", "key_deleted", "key_rotated"];
    assert_eq!(actions(&world, "edge-2").await, expected);
}

#[tokio::test]
async fn a_key_whose_time_is_over_opens_nothing() {
    let world = World::new().await;
    let key = world.store.add_agent(&name("edge-2"), None).await.unwrap().key_file;
    for (expires_at, expected) in [(now() + 60_000, Ok(())), (now() - 1, Err(Denied::KeyUnknown))] {
        sqlx::query("update agent_keys set expires_at = $1")
            .bind(expires_at)
            .execute(&world.store.pool)
            .await
            .unwrap();
        assert_eq!(opens(&world, &key).await, expected);
    }
}

#[tokio::test]
async fn a_revoked_agent_is_told_so_and_stores_nothing() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a"])).await.unwrap();
    let row = world.store.revoke_agent(&name("edge-1")).await.unwrap();
    assert_eq!(row.state, AgentState::Revoked);
    for previous in [0, 1] {
        assert!(matches!(world.store(world.batch(LOGS, previous, &["b"])).await, Err(StoreError::Revoked)));
    }
    assert_eq!(log_in(&world, "edge-1", &"k1".parse().unwrap()).await, Err(Denied::Revoked));
    let instances = world.store.instance_rows(row.agent).await.unwrap();
    assert!(instances.is_empty(), "nothing is stored of a login that is refused");
    assert_eq!(world.mark(LOGS).await, 1);
    let unknown = world.store.revoke_agent(&name("nobody")).await;
    assert!(matches!(unknown, Err(StoreError::NoAgent(_))), "{unknown:?}");
}

#[tokio::test]
async fn the_signature_mode_of_an_agent_is_kept() {
    let world = World::new().await;
    for (text, signature) in
        [("a", None), ("b", Some(SignatureMode::None)), ("c", Some(SignatureMode::Required))]
    {
        let with = Particulars { public_key: None, signature };
        world.store.add_agent_with(&name(text), with).await.unwrap();
        assert_eq!(world.store.agent(&name(text)).await.unwrap().signature, signature);
    }
}
