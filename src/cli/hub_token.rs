//! `hub token ...`: tokens for people and programs, through the hub's API or in its folder, as `hub agent` does it.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::store::NewToken;
use crate::hub::token::Scope;
use crate::hub::view;
use crate::id::TokenName;
use crate::limit;
use crate::secret::Secret;
use crate::time::{HubTime, millis};

use super::exit::CliError;
use super::hub_agent::{Place, Target, entries, text_of, within};
use super::{Global, issued, print_line};

/// `hub token`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the hub's tokens.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token and print it, this once
    Add(Add),
    /// List the tokens, without their secrets
    List {
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a token: it opens nothing any more
    Revoke {
        /// Its name
        name: TokenName,
        /// Which hub
        #[command(flatten)]
        place: Place,
    },
}

/// `hub token add`
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// 1 to 63 of a-z, 0-9 and `-`
    pub name: TokenName,
    /// What it may do: read, submit (and cancel) jobs, or admin (everything)
    #[arg(long)]
    pub scope: Scope,
    /// How long it is good [default: until it is revoked]
    #[arg(long, value_name = "D", value_parser = expires)]
    pub expires: Option<Duration>,
    /// Write it into this file, 0600, never overwritten, instead of on stdout
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which hub
    #[command(flatten)]
    pub place: Place,
}

fn expires(text: &str) -> Result<Duration, String> {
    within(text, limit::TOKEN_EXPIRY_MAX)
}

/// Does it.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    match &args.command {
        Command::Add(args) => add(args, global),
        Command::List { place } => {
            for token in list(&place.open()?)? {
                print_line(&if global.json { token.to_string() } else { line(&token) })?;
            }
            Ok(())
        }
        Command::Revoke { name, place } => {
            let answer = revoke(&place.open()?, name)?;
            let text = format!("{name} is revoked; it opens nothing any more");
            print_line(&if global.json { answer.to_string() } else { text })
        }
    }
}

fn add(args: &Add, global: &Global) -> Result<(), CliError> {
    let hub = args.place.open()?;
    let Some(path) = &args.out else {
        let made = make(&hub, args)?;
        let token = Secret::new(text_of(&made, "token")?);
        return print_line(if global.json { made.to_string() } else { token.expose().clone() }.as_str());
    };
    let mut made = issued::into_file(path, "token", || make(&hub, args))?;
    let shown = path.display().to_string();
    if let Some(made) = made.as_object_mut() {
        made.insert("token_file".to_owned(), json!(shown));
    }
    let text = format!("the token `{}` is in {shown}; use it with --token-file {shown}", args.name);
    print_line(&if global.json { made.to_string() } else { text })
}

fn make(hub: &Target, args: &Add) -> Result<Value, CliError> {
    match hub {
        Target::Database(hub) => {
            let new = NewToken { name: args.name.clone(), scope: args.scope, valid: args.expires };
            let (token, row) = hub.run(hub.store.add_token(new))?;
            Ok(view::json(&view::new_token(&token, &row)))
        }
        Target::Remote(remote) => {
            let expires = args.expires.map(millis);
            let body = json!({"name": args.name.as_str(), "scope": args.scope, "expires_ms": expires});
            remote.post("/v1/tokens", &body)
        }
    }
}

fn list(hub: &Target) -> Result<Vec<Value>, CliError> {
    match hub {
        Target::Database(hub) => {
            let rows = hub.run(hub.store.tokens())?;
            Ok(rows.iter().map(|row| view::json(&view::token_line(row))).collect())
        }
        Target::Remote(remote) => Ok(entries(&mut remote.get("/v1/tokens", &[])?, "tokens")),
    }
}

fn revoke(hub: &Target, name: &TokenName) -> Result<Value, CliError> {
    match hub {
        Target::Database(hub) => {
            let id = hub.run(hub.store.revoke_token(name))?;
            Ok(view::json(&view::token_revoked(name, id)))
        }
        Target::Remote(remote) => remote.delete(&format!("/v1/tokens/{name}")),
    }
}

/// Name, scope, its end, and who made it.
fn line(token: &Value) -> String {
    let text = |key: &str| token.get(key).and_then(Value::as_str).unwrap_or("?");
    let end = token.get("expires_at_ms").and_then(Value::as_u64);
    let end = end.map_or("no end".to_owned(), |end| HubTime(end).to_string());
    format!("{}\t{}\t{end}\t{}", text("name"), text("scope"), text("created_by"))
}
