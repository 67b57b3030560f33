//! `outbox export|ack`: through a running agent's socket, else in the folder of a stopped one.

use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::age::{Encrypt, Recipient, Seed};
use crate::agent::bundle::{self, Acked, Begun, BundleFailure, Export, Exported};
use crate::agent::config::Config;
use crate::agent::identity;
use crate::agent::intake::client::{self, Piece, Request};
use crate::id::BundleId;
use crate::limit;
use crate::obs::random;
use crate::outbox::Outbox;
use crate::secret::Secret;

use super::exit::{CliError, Exit};
use super::folder::{self, Found, Place, not_understood};
use super::new_file::{NewFile, wrong};
use super::progress::Progress;
use super::terminal::note_line;
use super::{Global, print_line};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// What is exported, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The bundle; never overwritten. - for stdout.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Encrypts the bundle to an age recipient (age1...).
    #[arg(long, value_name = "RECIPIENT")]
    pub encrypt_to: Option<Recipient>,
    /// Where the agent is.
    #[command(flatten)]
    pub place: Place,
}

/// The acks that come back.
#[derive(Debug, clap::Args)]
pub(super) struct AckArgs {
    /// What `outpost hub import --ack-out` wrote.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the agent is.
    #[command(flatten)]
    pub place: Place,
}

/// Writes a bundle of everything that waits.
///
/// # Errors
/// 78 without the agent's key, 74 where the file cannot be written, 1 otherwise.
pub(super) fn export(args: &ExportArgs, global: &Global) -> Result<(), CliError> {
    let to_stdout = args.file == Path::new("-");
    if !to_stdout {
        NewFile::refuse_existing(&args.file)?;
    }
    let mut sink = Sink::new(&args.file, args.encrypt_to)?;
    let exported = match folder::find(&args.place, global)? {
        Found::Running(stream) => {
            let body = client::fetch(stream, &Request::OutboxExport {}, |piece| match piece {
                Piece::Begun(_) => Ok(()),
                Piece::Data(bytes) => sink.write(bytes),
            })
            .map_err(|error| folder::client_error(&error))?;
            serde_json::from_slice(&body).map_err(not_understood)?
        }
        Found::Stopped(config) => {
            folder::with_existing(&config, async |outbox| write_all(outbox, &config, &mut sink).await)?
        }
    };
    finish(sink, &exported, args, global)
}

async fn write_all(outbox: &Outbox, config: &Config, sink: &mut Sink) -> Result<Exported, CliError> {
    let identity = identity::load(&config.identity_files()).map_err(|error| failed(&error.into()))?;
    let state = crate::agent::restore(outbox, config.operator_keys.as_ref())
        .await
        .map_err(|error| folder::store_error(&error))?;
    let id = BundleId::from_bytes(random::bytes());
    let begun = Export::begin(outbox, &state, identity, id).await.map_err(|error| failed(&error))?;
    let (Begun { .. }, Some(mut export)) = begun else { return Ok(Exported::default()) };
    while let Some(bytes) = export.next().await.map_err(|error| failed(&error))? {
        sink.write(&bytes).map_err(|error| wrong(&sink.path, &error))?;
    }
    Ok(export.exported().clone())
}

fn finish(sink: Sink, exported: &Exported, args: &ExportArgs, global: &Global) -> Result<(), CliError> {
    let to_stdout = args.file == Path::new("-");
    let Exported { bundle, records, gaps, bytes } = exported;
    let empty = bundle.is_none();
    if !empty {
        sink.keep()?;
    }
    let file = (!empty).then(|| args.file.display().to_string());
    let line = if global.json {
        json!({"bundle": bundle, "records": records, "gaps": gaps, "bytes": bytes, "file": file}).to_string()
    } else if empty {
        "nothing waits in the outbox; no bundle was written".to_owned()
    } else {
        format!(
            "{records} records and {gaps} gaps are in {}. They stay in the outbox until their acks come back: at the hub, outpost hub import FILE --ack-out F, then here, outpost outbox ack F",
            args.file.display()
        )
    };
    if to_stdout {
        // The bundle itself is on stdout.
        note_line(&line);
        return Ok(());
    }
    print_line(&line)
}

/// Takes an ack file.
///
/// # Errors
/// 78 without the agent's key, 77 for a file that is not this agent's or does not verify, 1 otherwise.
pub(super) fn ack(args: &AckArgs, global: &Global) -> Result<(), CliError> {
    let unreadable =
        |error: io::Error| CliError::new(Exit::Io, format!("the ack file {}: {error}", args.file.display()));
    let mut acks = Vec::new();
    let most = limit::ACK_FILE_BYTES_MAX as u64;
    let file = std::fs::File::open(&args.file).map_err(unreadable)?;
    file.take(most.saturating_add(1)).read_to_end(&mut acks).map_err(unreadable)?;
    let acked: Acked = match folder::find(&args.place, global)? {
        Found::Running(stream) => folder::ask(stream, &Request::OutboxAck { acks: STANDARD.encode(&acks) })?,
        Found::Stopped(config) => folder::with_existing(&config, async |outbox| {
            let identity = identity::load(&config.identity_files()).map_err(|error| failed(&error.into()))?;
            bundle::ack(outbox, &identity, &acks).await.map_err(|error| failed(&error))
        })?,
    };
    if global.json {
        return print_line(&serde_json::to_value(&acked).unwrap_or(Value::Null).to_string());
    }
    if acked.records == 0 {
        return print_line("nothing new: everything in this ack file was acked before");
    }
    print_line(&format!("{} records are acked and leave the outbox", acked.records))
}

fn failed(error: &BundleFailure) -> CliError {
    CliError::new(folder::failure_exit(error.code()), error)
}

/// The file a bundle goes to, encrypted or not, and how far it is.
struct Sink {
    path: PathBuf,
    target: Target,
    progress: Progress,
}

enum Target {
    Plain(Output),
    Age(Box<Encrypt<Output>>),
}

/// A new file or stdout.
enum Output {
    File(BufWriter<NewFile>),
    Stdout(BufWriter<io::Stdout>),
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

impl Sink {
    fn new(path: &Path, recipient: Option<Recipient>) -> Result<Self, CliError> {
        let output = if path == Path::new("-") {
            Output::Stdout(BufWriter::with_capacity(WRITE_BYTES, io::stdout()))
        } else {
            Output::File(BufWriter::with_capacity(WRITE_BYTES, NewFile::create(path)?))
        };
        let target = match recipient {
            None => Target::Plain(output),
            Some(recipient) => {
                let seed = Seed {
                    file_key: Secret::new(random::bytes()),
                    ephemeral: Secret::new(random::bytes()),
                    nonce: random::bytes(),
                };
                let encrypt = Encrypt::new(output, &recipient, &seed).map_err(|error| wrong(path, &error))?;
                Target::Age(Box::new(encrypt))
            }
        };
        Ok(Self { path: path.to_owned(), target, progress: Progress::new("written", None) })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.progress.add(bytes.len() as u64);
        match &mut self.target {
            Target::Plain(output) => output.write_all(bytes),
            Target::Age(encrypt) => encrypt.write_all(bytes),
        }
    }

    /// Everything is written: the file gets its name.
    fn keep(mut self) -> Result<(), CliError> {
        let failed = |error: &io::Error| wrong(&self.path, error);
        let mut output = match self.target {
            Target::Plain(output) => output,
            Target::Age(encrypt) => encrypt.finish().map_err(|error| failed(&error))?,
        };
        output.flush().map_err(|error| failed(&error))?;
        self.progress.end();
        match output {
            Output::Stdout(_) => Ok(()),
            Output::File(file) => file.into_inner().map_err(|error| failed(error.error()))?.keep(),
        }
    }
}
