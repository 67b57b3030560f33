//! `job sign`: an operator's signature over a spec, made where the operator's key is. No hub is asked.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::job::{JobSpec, SpecError, Terms};
use crate::obs::{clock, secret_file};
use crate::time::HubTime;
use crate::wire::identity::{public_to_line, seed_from_line};
use crate::wire::operator::{OperatorSignature, Subject};

use super::exit::{CliError, Exit};
use super::new_file::NewFile;
use super::{Global, job_submit, print_line};

/// Sign a spec, for agents that run only what an operator signed
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The operator's key, as `outpost agent keygen --out F` writes one
    #[arg(long, value_name = "F")]
    pub key: PathBuf,
    /// The spec as JSON: a file, or - for stdin. The signature goes to SPEC.sig, never overwritten; of stdin to stdout
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
}

/// Checks the spec, signs its bytes as they are, and writes the signature.
///
/// # Errors
/// Where the key or the spec cannot be read, the spec leaves something open, or the signature cannot be written.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let key = read_key(&args.key)?;
    let bytes = job_submit::read(&args.spec)?;
    let terms = check(bytes.expose(), HubTime(clock::wall_now().0))
        .map_err(|error| CliError::new(Exit::Failed, format!("{}: {error}", args.spec.display())))?;
    let signature = OperatorSignature::sign(Subject::Job, &key, bytes.expose());
    let file = (args.spec.as_os_str() != "-").then(|| beside(&args.spec));
    if let Some(file) = &file {
        write(file, &signature)?;
    }
    let public = public_to_line(&key.verifying_key());
    if global.json {
        return print_line(
            &json!({"signature": signature.to_string(), "sig_file": file, "public_key": public,
                "job_id": terms.job.to_string(), "expires_at_ms": terms.until.0})
            .to_string(),
        );
    }
    match file {
        None => print_line(&signature.to_string()),
        Some(file) => print_line(&format!(
            "job {} is signed by {public} until {}; submit it with: outpost job submit --agent NAME --spec {} --sig {}",
            terms.job,
            terms.until,
            args.spec.display(),
            file.display()
        )),
    }
}

/// What is signed leaves nothing open and is good for 30 days from now at most.
fn check(bytes: &[u8], now: HubTime) -> Result<Terms, SpecError> {
    let spec = JobSpec::parse(bytes)?;
    let terms = Terms::of(&spec)?;
    spec.expires_at_ms(now.0).map(|_at| terms)
}

/// One that others can read is not used: what they sign with it is as good.
fn read_key(path: &Path) -> Result<SigningKey, CliError> {
    let wrong = |exit, error: &dyn std::fmt::Display| {
        CliError::new(exit, format!("the operator's key {}: {error}", path.display()))
    };
    let line = secret_file::read(path).map_err(|error| wrong(Exit::Io, &error))?;
    let key = seed_from_line(line.expose()).map_err(|error| wrong(Exit::Failed, &error))?;
    match secret_file::exposure(path) {
        None => Ok(key),
        Some(exposure) => Err(CliError::new(Exit::Refused, exposure)),
    }
}

fn beside(spec: &Path) -> PathBuf {
    let mut name = OsString::from(spec);
    name.push(".sig");
    PathBuf::from(name)
}

fn write(path: &Path, signature: &OperatorSignature) -> Result<(), CliError> {
    NewFile::refuse_existing(path)?;
    let mut file = NewFile::create(path)?;
    writeln!(file, "{signature}").map_err(|error| super::new_file::wrong(path, &error))?;
    file.keep()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const DAY: u64 = 24 * 3600 * 1000;

    fn checked(from: u64, until: u64) -> Result<Terms, String> {
        let spec = json!({"kind": "exec", "job_id": "01938c5e-7b1a-7fff-bfff-ffffffffffff",
            "hub_id": "0123456789abcdef0123456789abcdef", "agents": ["00000000000000000000000000000001"],
            "not_before_ms": from, "expires_at_ms": until});
        check(spec.to_string().as_bytes(), HubTime(NOW)).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_signed_for_longer_than_thirty_days_from_now() {
        assert_eq!(checked(NOW, NOW + 30 * DAY).unwrap().until, HubTime(NOW + 30 * DAY));
        assert!(checked(NOW + DAY, NOW + 30 * DAY + 1).unwrap_err().contains("30 days ahead"));
        assert!(checked(NOW - DAY, NOW).unwrap_err().contains("passed"));
    }
}
