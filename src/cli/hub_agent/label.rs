//! `hub agent label`: what selectors choose agents by.

use serde_json::{Value, json};

use crate::cli::Global;
use crate::cli::exit::{CliError, Exit};
use crate::hub::labels::LabelChanges;
use crate::id::AgentName;

use super::{Place, print, print_line};

/// `hub agent label`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its name
    pub name: AgentName,
    /// NAME=VALUE sets a label, NAME- takes one away
    #[arg(required = true, value_name = "LABEL", allow_hyphen_values = false)]
    pub changes: Vec<String>,
    /// Which hub
    #[command(flatten)]
    pub place: Place,
}

/// Changes labels, and prints what the agent has then.
///
/// # Errors
/// With cli.md's exit codes.
pub(super) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let changes = LabelChanges::of_words(&args.changes).map_err(|error| CliError::new(Exit::Usage, error))?;
    let agent = args.place.open()?.label(&args.name, &changes)?;
    if global.json {
        return print(&agent);
    }
    print_line(&format!("{}\t{}", args.name, text(&agent)))
}

/// An agent's labels in a line.
pub(super) fn text(agent: &Value) -> String {
    let labels = agent.get("labels").cloned().unwrap_or_else(|| json!({}));
    let words = labels.as_object().map(|labels| {
        let word = |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or("?"));
        labels.iter().map(word).collect::<Vec<_>>().join(",")
    });
    words.filter(|words| !words.is_empty()).unwrap_or_else(|| "-".to_owned())
}
