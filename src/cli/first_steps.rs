//! What a hub's first start tells its user: commands that work as they are, on the machine and in the folder of the hub.

use std::path::{Path, PathBuf};

use crate::hub::{Hub, token};

use super::{shell, way};

/// The agent of the commands.
const AGENT: &str = "edge-1";

/// Of whom this hub wants a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nobody,
    /// They have a listener of their own.
    Agents,
    Everybody,
}

/// What the commands depend on.
struct FirstSteps {
    url: String,
    agent_url: String,
    data: PathBuf,
    /// The hub's own authority, where its certificate comes of it.
    ca: Option<PathBuf>,
    asked: Asked,
    /// Whether that authority makes the certificates that are asked for as well.
    issues_clients: bool,
}

/// The lines for this hub.
pub(super) fn lines(hub: &Hub) -> Vec<String> {
    let ca = hub.own_authority();
    let asked = match hub.client_ca() {
        None => Asked::Nobody,
        Some(_) if hub.agent_addr() == hub.local_addr() => Asked::Everybody,
        Some(_) => Asked::Agents,
    };
    let steps = FirstSteps {
        url: hub.url(),
        agent_url: hub.agent_url(),
        data: hub.data().to_owned(),
        issues_clients: ca.as_deref().zip(hub.client_ca()).is_some_and(|(ca, asked)| is_same(ca, asked)),
        ca,
        asked,
    };
    steps.lines()
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

impl FirstSteps {
    fn lines(&self) -> Vec<String> {
        let token = token::path(&self.data);
        let mut lines =
            vec![format!("The admin token is in {}. Next, on another terminal:", token.display())];
        let (certificate, key) = self.client_files();
        if self.asked != Asked::Nobody && self.issues_clients && !certificate.exists() {
            lines.push(format!("  outpost hub cert issue {AGENT} --data {}", shell::path(&self.data)));
        }
        let shown = match (self.asked, self.issues_clients) {
            (Asked::Nobody, _) | (_, false) => String::new(),
            (Asked::Agents | Asked::Everybody, true) => {
                format!(" --client-cert {} --client-key {}", shell::path(&certificate), shell::path(&key))
            }
        };
        let operator = if self.asked == Asked::Everybody { shown.as_str() } else { "" };
        let token = shell::path(&token);
        let remote = format!("{} --token-file {token}{operator}", self.way(&self.url));
        lines.push(format!("  outpost hub agent add {AGENT} {remote}"));
        lines
            .push(format!("  outpost agent run {} --key-file {AGENT}.key{shown}", self.way(&self.agent_url)));
        lines.push(format!("  outpost records list --agent {AGENT} {remote}"));
        lines.extend(self.remarks());
        lines
    }

    /// `hub cert issue` writes them.
    fn client_files(&self) -> (PathBuf, PathBuf) {
        let folder = self.data.join("tls/agents");
        (folder.join(format!("{AGENT}.pem")), folder.join(format!("{AGENT}.key")))
    }

    fn way(&self, url: &str) -> String {
        way::to(url, self.ca.as_deref())
    }

    /// What only the user knows.
    fn remarks(&self) -> impl Iterator<Item = String> {
        let tls = self.url.starts_with("https:");
        let authority = (tls && self.ca.is_none()).then_some(
            "Where this system does not believe the authority of the hub's certificate, add --ca FILE to each.",
        );
        let whom = match self.asked {
            Asked::Nobody => None,
            Asked::Agents => Some("`agent run`"),
            Asked::Everybody => Some("each"),
        };
        let client = whom.filter(|_| !self.issues_clients).map(|whom| {
            format!(
                "This hub asks for a client certificate: add --client-cert FILE --client-key FILE to {whom}."
            )
        });
        authority.map(str::to_owned).into_iter().chain(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(url: &str) -> FirstSteps {
        FirstSteps {
            url: url.to_owned(),
            agent_url: url.to_owned(),
            data: PathBuf::from("./outpost-hub"),
            ca: None,
            asked: Asked::Nobody,
            issues_clients: false,
        }
    }

    fn said(steps: &FirstSteps) -> String {
        steps.lines().join("\n")
    }

    #[test]
    fn plain_text_is_allowed_as_far_as_the_address_needs_it() {
        assert!(!said(&steps("http://127.0.0.1:1")).contains("--allow-insecure"));
        assert!(
            said(&steps("http://10.0.0.5:1")).contains("--hub http://10.0.0.5:1 --allow-insecure --key-file")
        );
        assert!(said(&steps("http://203.0.113.5:1")).contains("--allow-insecure=any "));
        assert!(!said(&steps("https://203.0.113.5:1")).contains("--allow-insecure"));
    }

    #[test]
    fn what_the_hub_does_not_know_is_asked_for() {
        let tls = steps("https://hub.example:1");
        assert!(said(&tls).contains("add --ca FILE"), "{}", said(&tls));
        assert!(!said(&steps("http://127.0.0.1:1")).contains("--ca"));
        for (asked, whom) in [(Asked::Everybody, "each"), (Asked::Agents, "`agent run`")] {
            let steps = FirstSteps { asked, ..steps("https://hub.example:1") };
            let expected = format!("add --client-cert FILE --client-key FILE to {whom}.");
            assert!(said(&steps).contains(&expected), "{}", said(&steps));
        }
    }

    #[test]
    fn operators_show_a_certificate_only_where_they_share_the_agents_listener() {
        let own = |asked| {
            let ca = Some(PathBuf::from("./outpost-hub/tls/ca.pem"));
            FirstSteps { ca, asked, issues_clients: true, ..steps("https://hub.example:1") }.lines()
        };
        let showing = |lines: &[String]| lines.iter().filter(|line| line.contains("--client-key")).count();
        let (everybody, agents) = (own(Asked::Everybody), own(Asked::Agents));
        assert_eq!((showing(&everybody), showing(&agents), showing(&own(Asked::Nobody))), (3, 1, 0));
        assert_eq!(everybody[1], "  outpost hub cert issue edge-1 --data ./outpost-hub");
        assert!(
            agents[3].starts_with("  outpost agent run")
                && agents[3].contains("--ca ./outpost-hub/tls/ca.pem")
        );
    }
}
