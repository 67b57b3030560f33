//! The database's files, and a disk without room.

use super::*;

#[tokio::test]
async fn the_database_is_its_owners_alone_whoever_made_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_store, _writer) = Store::open(folder.path(), Creation::Allowed).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.file_name());
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_says_so() {
    let world = World::new().await;
    sqlx::query("update _sqlx_migrations set version = 9999 where version = 1")
        .execute(&world.store.pool)
        .await
        .unwrap();
    let error = Store::open(world.folder.path(), Creation::Allowed).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Migrate(_)), "{error}");
    assert!(error.to_string().contains("a newer version of outpost"), "{error}");
}

/// As on a full disk: SQLite rolls back by itself, and the driver does not know.
#[tokio::test]
async fn a_database_that_had_no_room_works_again_when_it_has() {
    let mut world = World::new().await;
    for table in ["batches", "probe", "agents"] {
        let full = format!(
            "create trigger full_{table} before insert on {table} begin select raise(rollback, 'no room'); end"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(full)).execute(&world.store.pool).await.unwrap();
    }
    for _ in 0..2 * READERS_MAX {
        let refused = world.store(world.batch(LOGS, 0, &["a"])).await;
        assert!(
            matches!(&refused, Err(StoreError::CannotCommit(why)) if why.contains("no room")),
            "{refused:?}"
        );
        let unready = world.store.ready().await;
        assert!(
            matches!(&unready, Err(StoreError::CannotCommit(why)) if why.contains("no room")),
            "{unready:?}"
        );
        let added = world.store.add_agent(&name("edge-2"), None).await.map(|issued| issued.id);
        assert!(matches!(&added, Err(StoreError::Database(_))), "{added:?}");
    }
    for table in ["batches", "probe", "agents"] {
        let room = format!("drop trigger full_{table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(room)).execute(&world.store.pool).await.unwrap();
    }
    world.store.ready().await.unwrap();
    world.store(world.batch(LOGS, 0, &["a"])).await.unwrap();
    world.store.add_agent(&name("edge-2"), None).await.unwrap();
    assert_eq!(world.texts().await, ["a"]);
}
