//! `hub import`: takes a bundle in, through the hub's API or in the folder of a stopped hub, and writes the ack file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::age::{self, Decrypt, identities};
use crate::hub::import::{self, ImportError, Spool};
use crate::hub::store::{Creation, FolderLock, Store};
use crate::hub::view;
use crate::outbox::bundle::Acks;
use crate::secret::Secret;

use super::exit::{CliError, Exit};
use super::hub_agent::{Found, Place, store_error};
use super::new_file::{NewFile, wrong};
use super::progress::{Counted, Progress};
use super::{Global, print_line};

/// Bytes read from the bundle at once.
const READ_BYTES: usize = 256 * 1024;
/// An identity file is some lines.
const IDENTITY_BYTES_MAX: usize = 64 * 1024;

/// Take in a bundle that `outpost outbox export` wrote
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle; - for stdin
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Write what the hub has now here, for `outpost outbox ack`
    #[arg(long, value_name = "F")]
    pub ack_out: PathBuf,
    /// The age identity that opens an encrypted bundle
    #[arg(long, value_name = "F")]
    pub identity: Option<PathBuf>,
    /// Which hub; --data takes the folder of a stopped one
    #[command(flatten)]
    pub place: Place,
}

/// Imports.
///
/// # Errors
/// 77 for a bundle that is not this hub's or does not verify, 1 for one that is damaged or comes too early, 73 for a folder
/// that a running hub works in.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let bundle = open(&args.bundle, args.identity.as_deref())?;
    may_replace(&args.ack_out)?;
    let mut ack_file = NewFile::create(&args.ack_out)?;
    let mut summary = match args.place.find()? {
        Found::Remote(remote) => remote.post_reader("/v1/bundles", bundle)?,
        Found::Folder(data) => import_into(&data, bundle)?,
    };
    let acks = summary.as_object_mut().and_then(|summary| summary.remove("acks"));
    let acks = acks.as_ref().and_then(Value::as_str).and_then(|acks| STANDARD.decode(acks).ok());
    let acks =
        acks.ok_or_else(|| CliError::new(Exit::Failed, "the hub's answer has no acks; is it an older one?"))?;
    ack_file.write_all(&acks).map_err(|error| wrong(&args.ack_out, &error))?;
    ack_file.keep()?;
    tell(&summary, &args.ack_out, global)
}

fn tell(summary: &Value, ack_out: &Path, global: &Global) -> Result<(), CliError> {
    if global.json {
        return print_line(&summary.to_string());
    }
    let number = |key: &str| summary.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (records, gaps, known) = (number("records"), number("gaps"), number("known"));
    let agent = summary.get("agent").and_then(Value::as_str).unwrap_or("?");
    let line = if records == 0 && gaps == 0 {
        format!("nothing new: all {known} numbers of this bundle of {agent} were here before")
    } else {
        format!("{records} records and {gaps} gaps of {agent} are stored; {known} numbers were here before")
    };
    print_line(&format!(
        "{line}. The acks are in {}. Carry them back, then: outpost outbox ack FILE",
        ack_out.display()
    ))
}

/// An ack file may be written anew; anything else stays.
fn may_replace(path: &Path) -> Result<(), CliError> {
    let mut begin = [0; 8];
    let acks = File::open(path)
        .and_then(|mut file| file.read_exact(&mut begin))
        .is_ok_and(|()| Acks::begins(&begin));
    if acks { Ok(()) } else { NewFile::refuse_existing(path) }
}

/// The bundle in the clear, read as it is decrypted.
fn open(path: &Path, identity: Option<&Path>) -> Result<Box<dyn Read + Send>, CliError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => CliError::new(Exit::Failed, format!("{}: {error}", path.display())),
        _ => CliError::new(Exit::Io, format!("the bundle {}: {error}", path.display())),
    };
    let (source, length): (Box<dyn Read + Send>, Option<u64>) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().ok().map(|metadata| metadata.len());
        (Box::new(file), length)
    };
    let counted = Counted::new(source, Progress::new("read", length));
    let mut reader = BufReader::with_capacity(READ_BYTES, counted);
    let begin = reader.fill_buf().map_err(failed)?;
    if begin.starts_with(age::ARMOR) {
        let message = format!("{} is in ASCII armor: decrypt it with `age -d` first", path.display());
        return Err(CliError::new(Exit::Failed, message));
    }
    if !begin.starts_with(age::MAGIC) {
        return Ok(Box::new(reader));
    }
    let Some(identity) = identity else {
        let message =
            format!("{} is encrypted; name the age identity that opens it with --identity F", path.display());
        return Err(CliError::new(Exit::Failed, message));
    };
    let identities = read_identities(identity)?;
    match Decrypt::new(reader, &identities) {
        Ok(reader) => Ok(Box::new(reader)),
        // A wrong identity is a refusal, as a wrong key is.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(CliError::new(
            Exit::Refused,
            format!("{} with {}: {error}", path.display(), identity.display()),
        )),
        Err(error) => Err(failed(error)),
    }
}

fn read_identities(path: &Path) -> Result<Vec<age::Identity>, CliError> {
    let unreadable =
        |error: io::Error| CliError::new(Exit::Io, format!("the identity {}: {error}", path.display()));
    let file = File::open(path).and_then(|file| Secret::read(file, IDENTITY_BYTES_MAX));
    let text = file.map_err(unreadable)?.into_text();
    identities(text.unwrap_or_default().expose())
        .map_err(|error| CliError::new(Exit::Failed, format!("the identity {}: {error}", path.display())))
}

/// Into the folder of a hub that does not run.
fn import_into(data: &Path, mut bundle: Box<dyn Read + Send>) -> Result<Value, CliError> {
    // Before the lock makes a folder where none is.
    if !data.join("hub.db").exists() {
        return Err(store_error(crate::hub::store::StoreError::NoHub(data.to_owned())));
    }
    let _lock = FolderLock::take(data).map_err(store_error)?;
    let mut spool = Spool::create(data).map_err(|error| import_error(&error))?;
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let count = bundle.read(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => CliError::new(Exit::Failed, error),
            _ => CliError::new(Exit::Io, format!("the bundle: {error}")),
        })?;
        if count == 0 {
            break;
        }
        spool.push(bytes.get(..count).unwrap_or_default()).map_err(|error| import_error(&error))?;
    }
    super::runtime()?.block_on(async {
        let (store, writer) = Store::open(data, Creation::Refused).await.map_err(store_error)?;
        let imported = import::import(&store, spool).await;
        store.close().await;
        if let Err(error) = writer.await {
            tracing::error!(%error, "the store's writer failed");
        }
        store.close_pool().await;
        imported.map(|imported| view::json(&view::import(&imported))).map_err(|error| import_error(&error))
    })
}

fn import_error(error: &ImportError) -> CliError {
    let exit = match error.code() {
        (403, _) => Exit::Refused,
        (503, _) => Exit::TempFail,
        _ => Exit::Failed,
    };
    CliError::new(exit, error)
}
