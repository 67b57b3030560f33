//! Compiles `proto/` into Rust. Pure Rust (protox), so no `protoc` is needed. Says which commit is built, and of when it is.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // In a linked worktree `.git` is a file, and a path that is not there would mean a build each time.
    if let Some(head) = git(&["rev-parse", "--git-path", "HEAD"]) {
        println!("cargo:rerun-if-changed={head}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    println!("cargo:rustc-env=OUTPOST_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=OUTPOST_BUILD_SECONDS={}", build_seconds());
    let files = protox::compile(["outpost/v1/envelope.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).btree_map(["."]).compile_fds(files)?;
    Ok(())
}

/// Seconds since 1970 of what is built, the same whenever and wherever it is built: `SOURCE_DATE_EPOCH`, else the commit's.
/// 0, which says nothing, where neither is known.
fn build_seconds() -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let seconds = given.or_else(|| git(&["log", "-1", "--format=%ct"]));
    seconds.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// What git says; `None` outside a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}
