//! Keys, logins and what the audit says of them.

use super::*;
use crate::hub::store::News;
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
async fn a_damaged_entry_of_the_audit_hides_no_revocation_behind_it() {
    let world = World::new().await;
    let before = world.store.last_audited().await.unwrap();
    sqlx::query(
        "insert into audit (entry, at, action, subject, detail) values ($1, 1, 'agent_revoked', 'x', 'nobody')",
    )
    .bind(before + 1)
    .execute(&world.store.pool)
    .await
    .unwrap();
    let agent = world.store.add_agent(&name("edge-2"), None).await.unwrap().id;
    world.store.revoke_agent(&name("edge-2")).await.unwrap();
    let News { last, departures, .. } = world.store.news_after(before).await.unwrap();
    assert_eq!(departures, [(agent, Departure::Revoked)]);
    assert_eq!(last, world.store.last_audited().await.unwrap());
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

fn public(seed: u8) -> ed25519_dalek::VerifyingKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key()
}

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

async fn invite(world: &World, text: &str) -> [u8; 32] {
    world.store.invite_agent(&name(text), None, DAY).await.unwrap().invite.digest()
}

async fn enroll(world: &World, token: [u8; 32], seed: u8) -> Result<KeyFile, Uninvited> {
    world.store.enroll(token, &public(seed)).await.unwrap().map(|enrolled| enrolled.key_file)
}

#[tokio::test]
async fn an_invite_belongs_to_the_first_key_until_that_one_registered() {
    let world = World::new().await;
    let token = invite(&world, "edge-2").await;
    assert_eq!(enroll(&world, [7; 32], 5).await, Err(Uninvited::Unknown));
    let first = enroll(&world, token, 5).await.unwrap();
    assert_eq!(enroll(&world, token, 6).await, Err(Uninvited::Used), "another key");
    let second = enroll(&world, token, 5).await.unwrap();
    assert_eq!(first, second, "whoever repeats the request takes nothing away");
    assert_eq!(log_in(&world, "edge-2", &second.key_id).await, Ok(Welcome::In));
    assert_eq!(enroll(&world, token, 5).await, Err(Uninvited::Used), "it registered");
    assert_eq!(opens(&world, &second).await, Ok(()));
    let bound = world.store.agent(&name("edge-2")).await.unwrap().public_key;
    assert_eq!(bound, Some(public(5).into()));
    let expected = ["agent_invited", "invite_claimed", "key_issued", "agent_enrolled"];
    assert_eq!(actions(&world, "edge-2").await, expected);
    let other = invite(&world, "edge-3").await;
    assert_ne!(enroll(&world, other, 5).await.unwrap().key, first.key);
}

#[tokio::test]
async fn an_invite_whose_time_is_over_lets_nobody_in_but_who_claimed_it() {
    let world = World::new().await;
    let (open, claimed) = (invite(&world, "edge-2").await, invite(&world, "edge-3").await);
    enroll(&world, claimed, 5).await.unwrap();
    sqlx::query("update invites set expires_at = $1").bind(now()).execute(&world.store.pool).await.unwrap();
    assert_eq!(enroll(&world, open, 5).await, Err(Uninvited::Expired));
    assert!(enroll(&world, claimed, 5).await.is_ok());
    assert_eq!(world.store.agent(&name("edge-2")).await.unwrap().public_key, None);
}

#[tokio::test]
async fn an_invite_is_taken_back_by_a_newer_one_by_revocation_and_by_removal() {
    let world = World::new().await;
    let first = invite(&world, "edge-2").await;
    let second = invite(&world, "edge-2").await;
    assert_eq!(enroll(&world, first, 5).await, Err(Uninvited::Unknown));
    world.store.revoke_agent(&name("edge-2")).await.unwrap();
    assert_eq!(enroll(&world, second, 5).await, Err(Uninvited::Unknown));
    let third = invite(&world, "edge-2").await;
    world.store.remove_agent(&name("edge-2")).await.unwrap();
    assert_eq!(enroll(&world, third, 5).await, Err(Uninvited::Unknown));
}

#[tokio::test]
async fn a_revoked_agent_comes_back_as_the_same_one_and_its_old_keys_do_not() {
    let mut world = World::new().await;
    world.store(world.batch(LOGS, 0, &["a", "b"])).await.unwrap();
    let before = world.store.agent(&name("edge-1")).await.unwrap();
    world.store.revoke_agent(&name("edge-1")).await.unwrap();
    let token = invite(&world, "edge-1").await;
    assert_eq!(log_in(&world, "edge-1", &"k1".parse().unwrap()).await, Err(Denied::Revoked));
    let key = enroll(&world, token, 5).await.unwrap();
    assert_eq!(key.agent_id, before.id);
    assert_eq!(log_in(&world, "edge-1", &"k1".parse().unwrap()).await, Err(Denied::KeyUnknown));
    assert_eq!(log_in(&world, "edge-1", &key.key_id).await, Ok(Welcome::In));
    world.store(world.batch(LOGS, 2, &["c"])).await.unwrap();
    assert_eq!(world.texts().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn an_agent_that_is_not_revoked_keeps_its_key_until_the_new_one_is_used() {
    let world = World::new().await;
    let old = world.store.add_agent(&name("edge-2"), None).await.unwrap().key_file;
    log_in(&world, "edge-2", &old.key_id).await.unwrap();
    let token = invite(&world, "edge-2").await;
    let new = enroll(&world, token, 5).await.unwrap();
    assert_eq!(opens(&world, &old).await, Ok(()));
    log_in(&world, "edge-2", &new.key_id).await.unwrap();
    assert_eq!(opens(&world, &old).await, Err(Denied::KeyUnknown));
}

#[tokio::test]
async fn a_rotation_is_asked_for_until_a_new_key_was_registered_with() {
    let world = World::new().await;
    let old = world.store.add_agent(&name("edge-2"), None).await.unwrap().key_file;
    assert_eq!(log_in(&world, "edge-2", &old.key_id).await, Ok(Welcome::In));
    world.store.ask_for_rotation(&name("edge-2"), DAY).await.unwrap();
    // Each time the agent comes with the old key: what was agreed on before was lost.
    let mut agreed = Vec::new();
    for _ in 0..3 {
        assert_eq!(log_in(&world, "edge-2", &old.key_id).await, Ok(Welcome::Rotate));
        let key =
            KeyFile { key_id: keys::fresh_id().unwrap(), key: AgentKey::new(random::bytes()), ..old.clone() };
        let kept = world
            .store
            .keep_rotated(&world.store.agent(&name("edge-2")).await.unwrap(), &key.key_id, &key.key)
            .await
            .unwrap();
        assert_eq!(kept, Kept::Yes);
        agreed.push(key);
    }
    let [first, second, third] = agreed.as_slice() else { panic!() };
    for lost in [first, second] {
        assert_eq!(opens(&world, lost).await, Err(Denied::KeyUnknown));
    }
    assert_eq!(opens(&world, &old).await, Ok(()));
    assert_eq!(log_in(&world, "edge-2", &third.key_id).await, Ok(Welcome::In));
    assert_eq!(opens(&world, &old).await, Err(Denied::KeyUnknown));
    let late = world
        .store
        .keep_rotated(&world.store.agent(&name("edge-2")).await.unwrap(), &first.key_id, &first.key)
        .await
        .unwrap();
    assert_eq!(late, Kept::No, "nobody asks for one any more");
}

#[tokio::test]
async fn the_old_key_is_good_beside_an_unused_new_one_for_the_overlap() {
    let world = World::new().await;
    let old = world.store.add_agent(&name("edge-2"), None).await.unwrap().key_file;
    log_in(&world, "edge-2", &old.key_id).await.unwrap();
    let issued = world.store.issue_key(&name("edge-2"), DAY).await.unwrap().key_file;
    let access = world.store.access(world.store.agent(&name("edge-2")).await.unwrap().agent).await.unwrap();
    let left = access.keys[0].expires_at.unwrap() - now();
    assert!((86_390_000..=86_400_000).contains(&left), "{left}");
    assert_eq!(access.keys[1].expires_at, None);
    sqlx::query("update agent_keys set expires_at = 1 where expires_at is not null")
        .execute(&world.store.pool)
        .await
        .unwrap();
    assert_eq!(opens(&world, &old).await, Err(Denied::KeyUnknown));
    assert_eq!(opens(&world, &issued).await, Ok(()));
    world.store.revoke_agent(&name("edge-2")).await.unwrap();
    let revoked = world.store.issue_key(&name("edge-2"), DAY).await;
    assert!(matches!(revoked, Err(StoreError::NotActive(_))), "{revoked:?}");
}

#[tokio::test]
async fn an_unused_key_stays_where_the_overlap_of_all_used_ones_is_over() {
    let world = World::new().await;
    let old = world.store.add_agent(&name("edge-2"), None).await.unwrap().key_file;
    log_in(&world, "edge-2", &old.key_id).await.unwrap();
    // The agent holds this one; its link went before it could come back with it.
    let held = world.store.issue_key(&name("edge-2"), DAY).await.unwrap().key_file;
    sqlx::query("update agent_keys set expires_at = 1 where expires_at is not null")
        .execute(&world.store.pool)
        .await
        .unwrap();
    let next = world.store.issue_key(&name("edge-2"), DAY).await.unwrap().key_file;
    assert_eq!(opens(&world, &old).await, Err(Denied::KeyUnknown));
    assert_eq!((opens(&world, &held).await, opens(&world, &next).await), (Ok(()), Ok(())));
    assert_eq!(log_in(&world, "edge-2", &held.key_id).await, Ok(Welcome::In));
}

#[tokio::test]
async fn the_processes_of_an_agent_that_starts_again_and_again_are_bounded() {
    let world = World::new().await;
    let key_id = "k1".parse().unwrap();
    let agent = &world.store.agent(&name("edge-1")).await.unwrap();
    for number in 0..30 {
        let (session, instance) = (SessionId::from_bytes([1; 16]), InstanceId::from_bytes([number; 16]));
        let login = Login { agent, key_id: &key_id, session, instance, hostname: "h", agent_version: "v" };
        world.store.log_in(login).await.unwrap().unwrap();
        sqlx::query("update instances set last_seen = last_seen - 1000")
            .execute(&world.store.pool)
            .await
            .unwrap();
    }
    let (kept,): (i64,) =
        sqlx::query_as("select count(*) from instances").fetch_one(&world.store.pool).await.unwrap();
    assert_eq!(kept, limit::INSTANCES_PER_AGENT);
    let newest = world.store.instance_rows(agent.agent).await.unwrap();
    assert_eq!(newest.first().unwrap().instance, InstanceId::from_bytes([29; 16]));
}
