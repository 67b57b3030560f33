//! `outpost agent keygen --out F`: an Ed25519 identity in F (0600) and its public half in F.pub.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use crate::obs::{folder, random};
use crate::wire::identity::{public_to_line, seed_to_line};

use super::Global;
use super::exit::{CliError, Exit};
use super::terminal::{print_line, print_lines};

/// Makes an Ed25519 identity for an agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write; the public key goes to the same name with .pub. Neither is ever overwritten.
    #[arg(long, value_name = "F")]
    pub out: PathBuf,
}

/// Writes both files.
///
/// # Errors
/// Where one exists or cannot be written.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let key = SigningKey::from_bytes(&random::bytes());
    let mut public = OsString::from(&args.out);
    public.push(".pub");
    let public = PathBuf::from(public);
    if public.exists() {
        return Err(exists(&public));
    }
    write_new(&args.out, seed_to_line(&key).expose(), 0o600)?;
    let line = public_to_line(&key.verifying_key());
    write_new(&public, &line, 0o644)?;
    if global.json {
        let files = serde_json::json!({
            "identity_file": args.out, "public_key_file": public, "public_key": line,
        });
        return print_line(&files.to_string());
    }
    let (identity, public) = (args.out.display(), public.display());
    print_lines([
        format!("identity {identity} (keep it secret), public key {public}"),
        format!("bind it with: outpost hub agent add NAME --public-key {public}"),
    ])
}

fn exists(path: &Path) -> CliError {
    CliError::new(
        Exit::Io,
        format!("{} exists and is not overwritten; choose another --out or move it away", path.display()),
    )
}

fn write_new(path: &Path, line: &str, mode: u32) -> Result<(), CliError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(path)),
        Err(error) => {
            return Err(CliError::new(Exit::Io, format!("cannot write {}: {error}", path.display())));
        }
    };
    file.write_all(line.as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all())
        .and_then(|()| folder::sync_name(path))
        .map_err(|error| CliError::new(Exit::Io, format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::wire::identity::{public_from_line, seed_from_line};

    #[test]
    fn a_pair_is_written_once_and_never_again() {
        let folder = tempfile::tempdir().unwrap();
        let global = Global { config: None, json: true, level: None };
        let args = Args { out: folder.path().join("id") };
        run(&args, &global).unwrap();
        let seed = std::fs::read_to_string(&args.out).unwrap();
        let public = std::fs::read_to_string(folder.path().join("id.pub")).unwrap();
        let key = seed_from_line(&seed).unwrap();
        assert_eq!(public_from_line(&public).unwrap(), key.verifying_key());
        assert_eq!(std::fs::metadata(&args.out).unwrap().permissions().mode() & 0o777, 0o600);
        let again = run(&args, &global).unwrap_err();
        assert!(again.message.contains("not overwritten"), "{again}");
        std::fs::remove_file(folder.path().join("id.pub")).unwrap();
        assert!(run(&args, &global).is_err());
        assert_eq!(std::fs::read_to_string(&args.out).unwrap(), seed);
    }
}
