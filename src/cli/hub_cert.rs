//! `hub cert ...`: an authority of the hub's own, and certificates for the hub and its agents.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::hub::authority::{self, CertError, ClientRequest, Host, Issued, Origin, Server, ServerRequest};
use crate::hub::config::DATA_DEFAULT;
use crate::id::AgentName;
use crate::limit;
use crate::obs::clock;

use super::exit::{CliError, Exit};
use super::{Global, print_line, shell};

/// What to make.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Init(Init),
    Issue(Issue),
}

/// Make a certificate for the hub, and at first the authority that agents know it by; run again to renew it
#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// The hub's folder [default: ./outpost-hub]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A name or address that agents dial, besides localhost; may be repeated [default: those of the present certificate,
    /// else this machine's name]
    #[arg(long = "host", value_name = "NAME|IP")]
    pub hosts: Vec<String>,
    /// How long it is good, in days
    #[arg(long, value_name = "N", default_value_t = limit::SERVER_CERT_DAYS, value_parser = days())]
    pub days: u32,
}

/// Make a certificate that an agent shows to a hub with `[tls] client_ca`
#[derive(Debug, clap::Args)]
pub(super) struct Issue {
    /// The agent
    pub name: AgentName,
    /// The hub's folder [default: ./outpost-hub]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where NAME.pem and NAME.key go [default: tls/agents in the hub's folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How long it is good, in days [default: as long as the authority]
    #[arg(long, value_name = "N", value_parser = days())]
    pub days: Option<u32>,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(limit::CA_DAYS))
}

/// Makes it.
///
/// # Errors
/// 74 where a file cannot be read or written, 73 for an authority that cannot be used, else 1.
pub(super) fn run(command: &Command, global: &Global) -> Result<(), CliError> {
    match command {
        Command::Init(args) => init(args, global),
        Command::Issue(args) => issue(args, global),
    }
}

fn init(args: &Init, global: &Global) -> Result<(), CliError> {
    let hosts: Result<Vec<Host>, CertError> = args.hosts.iter().map(|host| host.parse()).collect();
    let request = ServerRequest {
        data: &folder(args.data.as_deref()),
        hosts: hosts.map_err(cert_error)?,
        days: args.days,
        now: clock::wall_now(),
    };
    let Server { issued, hosts, authority } = authority::init(request).map_err(cert_error)?;
    let hosts: Vec<String> = hosts.iter().map(Host::to_string).collect();
    if global.json {
        let mut line = described(&issued);
        line.insert("hosts".to_owned(), json!(hosts));
        line.insert("authority".to_owned(), json!(if authority == Origin::New { "new" } else { "kept" }));
        return print_line(&serde_json::Value::Object(line).to_string());
    }
    let (ca, certificate) = (issued.ca.display(), issued.certificate.display());
    let begin = match authority {
        Origin::New => format!("a new authority is in {ca}, good until {}", date(issued.ca_expires_at)),
        Origin::Kept => format!("the authority in {ca} is kept; a hub that runs takes the new certificate"),
    };
    print_line(&format!("{begin} (SHA-256 {})", hex::encode(issued.ca_sha256)))?;
    print_line(&format!(
        "{certificate} is for {}, good until {}; run this again before",
        hosts.join(", "),
        date(issued.expires_at)
    ))?;
    let data = args.data.as_ref().map_or(String::new(), |data| format!(" --data {}", shell::path(data)));
    let (certificate, key) = (shell::path(&issued.certificate), shell::path(&issued.key));
    print_line(&format!("  outpost hub run{data} --tls-cert {certificate} --tls-key {key}"))
}

fn issue(args: &Issue, global: &Global) -> Result<(), CliError> {
    let request = ClientRequest {
        data: &folder(args.data.as_deref()),
        name: &args.name,
        out: args.out.as_deref(),
        days: args.days,
        now: clock::wall_now(),
    };
    let issued = authority::issue(&request).map_err(cert_error)?;
    if global.json {
        let mut line = described(&issued);
        line.insert("name".to_owned(), json!(args.name.as_str()));
        return print_line(&serde_json::Value::Object(line).to_string());
    }
    let (certificate, ca) = (issued.certificate.display(), issued.ca.display());
    print_line(&format!(
        "{certificate} lets {} in until {}, where the hub's config has `[tls] client_ca = \"{ca}\"`. Carry it and its key to the machine, then:",
        args.name,
        date(issued.expires_at)
    ))?;
    let [ca, certificate, key] = [&issued.ca, &issued.certificate, &issued.key].map(|path| shell::path(path));
    print_line(&format!(
        "  outpost agent run --hub URL --ca {ca} --client-cert {certificate} --client-key {key}"
    ))
}

fn described(issued: &Issued) -> serde_json::Map<String, serde_json::Value> {
    let fields = [
        ("cert", json!(issued.certificate)),
        ("key", json!(issued.key)),
        ("expires_at_ms", json!(issued.expires_at.saturating_mul(1000))),
        ("ca", json!(issued.ca)),
        ("ca_sha256", json!(hex::encode(issued.ca_sha256))),
        ("ca_expires_at_ms", json!(issued.ca_expires_at.saturating_mul(1000))),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn date(seconds: i64) -> String {
    authority::date(seconds)
}

fn folder(data: Option<&Path>) -> PathBuf {
    data.map_or_else(|| PathBuf::from(DATA_DEFAULT), Path::to_owned)
}

/// With its exit code.
pub(super) fn cert_error(error: CertError) -> CliError {
    let exit = match &error {
        CertError::Host(_) | CertError::TooManyHosts(_) => Exit::Usage,
        CertError::File { .. } | CertError::Present(_) | CertError::Pem(_) => Exit::Io,
        CertError::Damaged { .. }
        | CertError::Incomplete { .. }
        | CertError::Exposed(_)
        | CertError::Expired(_)
        | CertError::NoAuthority(_) => Exit::Folder,
        CertError::Clock(_) | CertError::Behind { .. } | CertError::Making(_) => Exit::Failed,
    };
    CliError::new(exit, error)
}
