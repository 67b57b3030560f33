//! Compiles `proto/` into Rust. Pure Rust (protox), so no `protoc` is needed. Says which commit is built, and of when it is.

use std::error::Error;
use std::path::Path;

#[path = "build/checkout.rs"]
mod checkout;

use checkout::Checkout;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let checkout = Checkout::of(Path::new("."));
    for path in checkout.iter().flat_map(Checkout::changes_with) {
        println!("cargo:rerun-if-changed={}", path.display());
    }
    let commit = checkout.as_ref().and_then(Checkout::commit);
    println!("cargo:rustc-env=OUTPOST_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=OUTPOST_BUILD_SECONDS={}", build_seconds(checkout.as_ref()));
    let files = protox::compile(["outpost/v1/envelope.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).btree_map(["."]).compile_fds(files)?;
    Ok(())
}

/// Seconds since 1970 of what is built, the same whenever and wherever it is built: `SOURCE_DATE_EPOCH`, else the commit's.
/// 0, which says nothing, where neither is known.
fn build_seconds(checkout: Option<&Checkout<'_>>) -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.trim().parse().ok());
    given.or_else(|| checkout?.committed_at()).unwrap_or(0)
}
