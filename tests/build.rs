//! What the build script takes a commit from: it has to run again when there is another one.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../build/checkout.rs"]
mod checkout;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use checkout::Checkout;

fn git(folder: &Path, arguments: &str) {
    let identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.invalid"];
    let output = Command::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(identity)
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A checkout with one commit on a branch whose name has a folder in it.
fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), "init --quiet --initial-branch=work/build");
    std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    git(folder.path(), "add Cargo.toml");
    git(folder.path(), "commit --quiet --message=first");
    folder
}

/// When each path was changed last, as cargo looks: a folder with all below it.
fn changed(paths: &[PathBuf]) -> Vec<(PathBuf, SystemTime)> {
    let each = |path: &PathBuf| {
        let metadata = path.metadata().unwrap();
        let below: Vec<_> = match path.read_dir() {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_file) => Vec::new(),
        };
        let mut all = changed(&below);
        all.push((path.clone(), metadata.modified().unwrap()));
        all
    };
    paths.iter().flat_map(each).collect()
}

/// The build script would run again after this, and see another commit where there is one.
fn is_seen(folder: &Path, what: &str) -> String {
    let checkout = Checkout::of(folder).unwrap();
    let (watched, before) = (checkout.changes_with(), checkout.commit().unwrap());
    let then = changed(&watched);
    git(folder, what);
    let gone = watched.iter().any(|path| !path.exists());
    assert!(gone || changed(&watched) != then, "`git {what}` is not seen by {watched:?}");
    let after = Checkout::of(folder).unwrap().commit().unwrap();
    assert_eq!(after.len(), 12);
    if what.starts_with("commit") {
        assert_ne!(after, before);
    }
    after
}

const COMMIT: &str = "commit --quiet --allow-empty --message=next";

#[test]
fn a_commit_is_seen_on_a_branch_packed_or_not_and_away_from_any() {
    let folder = repository();
    let folder = folder.path();
    is_seen(folder, COMMIT);
    is_seen(folder, "pack-refs --all");
    // The branch is a line of a file now, and its own file comes with this.
    is_seen(folder, COMMIT);
    is_seen(folder, COMMIT);
    is_seen(folder, "checkout --quiet -b other");
    is_seen(folder, COMMIT);
    is_seen(folder, "checkout --quiet --detach");
    is_seen(folder, COMMIT);
    assert!(Checkout::of(folder).unwrap().committed_at().unwrap() > 1_700_000_000);
}

#[test]
fn a_commit_is_seen_in_a_linked_worktree() {
    let (folder, other) = (repository(), tempfile::tempdir().unwrap());
    let linked = other.path().join("linked");
    git(folder.path(), &format!("worktree add --quiet -b beside {}", linked.display()));
    is_seen(&linked, COMMIT);
    git(folder.path(), "pack-refs --all");
    is_seen(&linked, COMMIT);
}

#[test]
fn a_source_archive_has_no_commit_wherever_it_lies() {
    let archive = tempfile::tempdir().unwrap();
    std::fs::write(archive.path().join("Cargo.toml"), "").unwrap();
    assert!(Checkout::of(archive.path()).is_none());
    let folder = repository();
    let inside = folder.path().join("vendor");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("Cargo.toml"), "").unwrap();
    assert!(Checkout::of(&inside).is_none(), "a checkout of something else is around it");
}
