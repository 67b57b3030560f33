//! Compiles `proto/` into Rust. Pure Rust (protox), so no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rustc-env=OUTPOST_COMMIT={}", commit());
    let files = protox::compile(["outpost/v1/envelope.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).btree_map(["."]).compile_fds(files)?;
    Ok(())
}

/// The commit that is built, or `unknown` outside a checkout.
fn commit() -> String {
    std::process::Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
