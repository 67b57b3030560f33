//! The environment of a job's process: an allow-list of the agent's own, and what the spec sets.
//!
//! Nothing else of the agent's environment reaches a job: it may hold keys. Pure: the agent's own is passed in.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::id::JobId;
use crate::job::Secrets;

/// Tells a job's processes from all others, also for the agent's next process.
pub(super) const JOB_VARIABLE: &str = "OUTPOST_JOB_ID";
/// Where the agent has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a job inherits.
const INHERITED: [&str; 8] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL"];

/// The variables a spec may set (`[jobs] env_allow`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvAllow(Vec<String>);

impl Default for EnvAllow {
    /// All but `OUTPOST_*` and `LD_*`.
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl EnvAllow {
    /// Names, and beginnings of names that end in `*`. `LD_*` variables are allowed by their whole name only,
    /// `OUTPOST_*` ones never.
    pub const fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// Why a spec may not set this variable.
    pub(super) fn refusal(&self, name: &str) -> Option<String> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Some("a variable's name is not empty and holds neither `=` nor NUL".to_owned());
        }
        if name.starts_with("OUTPOST_") {
            return Some("names that begin with OUTPOST_ are the agent's own".to_owned());
        }
        if name.starts_with("LD_") && !self.0.iter().any(|pattern| pattern == name) {
            return Some(
                "the agent's env_allow does not list this name, and a pattern does not cover LD_*".to_owned(),
            );
        }
        let allowed = self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => pattern == name,
        });
        (!allowed).then(|| format!("the agent's env_allow does not list it: {}", self.0.join(", ")))
    }
}

/// Whose home and shell a job finds, where it runs as somebody else than the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) home: OsString,
    pub(super) shell: OsString,
}

/// The whole environment: what is inherited, then the user's, then the spec's and its secrets, then the marker.
pub(super) fn environment(
    own: impl IntoIterator<Item = (OsString, OsString)>,
    person: Option<&Person>,
    spec: &BTreeMap<String, String>,
    secrets: &Secrets,
    job: JobId,
) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> =
        own.into_iter().filter(|(name, _value)| is_inherited(name)).collect();
    environment.entry("PATH".into()).or_insert_with(|| PATH.into());
    if let Some(Person { name, home, shell }) = person {
        let user = OsString::from(name);
        let own = [("HOME", home), ("USER", &user), ("LOGNAME", &user), ("SHELL", shell)];
        environment.extend(own.map(|(name, value)| (name.into(), value.clone())));
    }
    environment.extend(spec.iter().map(|(name, value)| (name.into(), value.into())));
    environment.extend(secrets.iter().map(|(name, value)| (name.into(), value.expose().into())));
    environment.insert(JOB_VARIABLE.into(), job.to_string().into());
    environment
}

fn is_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| INHERITED.contains(&name) || name.starts_with("LC_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobSpec;

    #[test]
    fn a_refused_name_says_why() {
        let all = EnvAllow::default();
        let some = EnvAllow::new(["APP_*", "LD_LIBRARY_PATH", "LD_*", "TOKEN"].map(str::to_owned).into());
        for (allow, name) in
            [(&all, "PATH"), (&all, "app"), (&some, "APP_X"), (&some, "APP_"), (&some, "TOKEN")]
        {
            assert_eq!(allow.refusal(name), None, "{name}");
        }
        assert_eq!(some.refusal("LD_LIBRARY_PATH"), None);
        let cases = [
            (&all, "", "not empty"),
            (&all, "A=B", "neither"),
            (&all, "A\0", "NUL"),
            (&all, "OUTPOST_JOB_ID", "the agent's own"),
            (&all, "LD_PRELOAD", "does not cover LD_*"),
            (&some, "LD_PRELOAD", "does not cover LD_*"),
            (&some, "TOKEN2", "does not list it: APP_*"),
            (&some, "APP", "does not list it"),
        ];
        for (allow, name, expected) in cases {
            let reason = allow.refusal(name).unwrap();
            assert!(reason.contains(expected), "{name}: {reason}");
        }
    }

    #[test]
    fn a_job_sees_the_allow_list_its_spec_and_its_id() {
        let own = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("HOME", "/root"),
            ("AWS_KEY", "x"),
            ("OUTPOST_JOB_ID", "old"),
        ];
        let own = own.map(|(name, value)| (name.into(), value.into()));
        let person = Person { name: "edge".to_owned(), home: "/home/edge".into(), shell: "/bin/sh".into() };
        let spec = BTreeMap::from([("SHELL".to_owned(), "/bin/dash".to_owned())]);
        let job = JobId::from_time(7, [0; 10]);
        let secrets =
            JobSpec::parse(br#"{"kind": "exec", "secrets": {"TOKEN": "hunter2"}}"#).unwrap().secrets;
        let found = environment(own, Some(&person), &spec, &secrets, job);
        let expected = [
            ("HOME", "/home/edge"),
            ("LC_ALL", "C"),
            ("LOGNAME", "edge"),
            (JOB_VARIABLE, &job.to_string()),
            ("PATH", "/bin"),
            ("SHELL", "/bin/dash"),
            ("TOKEN", "hunter2"),
            ("USER", "edge"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.into(), value.into())).into());
        let least = environment([], None, &BTreeMap::new(), &Secrets::default(), job);
        assert_eq!(least.get(OsStr::new("PATH")).unwrap(), PATH);
    }
}
