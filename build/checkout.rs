//! The checkout that is built: which commit it is, of when, and what changes when it becomes another one.
//!
//! HEAD names a branch and so does not change with a commit. The branch is a file of its own, or a line in `packed-refs`
//! until the next commit makes the file; a repository may have its refs in `reftable` instead.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder whose files git has.
pub(crate) struct Checkout<'a> {
    folder: &'a Path,
}

impl<'a> Checkout<'a> {
    /// `None` where git is not there, or does not know this folder's files: a source archive may lie in the checkout of
    /// something else.
    pub(crate) fn of(folder: &'a Path) -> Option<Self> {
        let checkout = Self { folder };
        checkout.git(&["ls-files", "--error-unmatch", "Cargo.toml"])?;
        Some(checkout)
    }

    /// The commit, as far as it is told to people.
    pub(crate) fn commit(&self) -> Option<String> {
        self.git(&["rev-parse", "--short=12", "HEAD"])
    }

    /// When it was committed, in seconds since 1970.
    pub(crate) fn committed_at(&self) -> Option<u64> {
        self.git(&["log", "-1", "--format=%ct"])?.parse().ok()
    }

    /// What changes with each commit and each change of branch. All of it is there: a path that is not would mean a build
    /// each time.
    pub(crate) fn changes_with(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            ["HEAD", "packed-refs", "reftable"].into_iter().filter_map(|name| self.path_of(name)).collect();
        paths.retain(|path| path.exists());
        let branch = self.git(&["symbolic-ref", "--quiet", "HEAD"]);
        let file = branch.and_then(|branch| self.path_of(&branch));
        // Where the file is still to come, the folder it will be made in changes.
        paths.extend(
            file.iter().flat_map(|file| file.ancestors()).find(|path| path.exists()).map(PathBuf::from),
        );
        paths
    }

    /// Of something that git keeps; in a linked worktree the branches are elsewhere.
    fn path_of(&self, name: &str) -> Option<PathBuf> {
        Some(self.folder.join(self.git(&["rev-parse", "--git-path", name])?))
    }

    fn git(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git").current_dir(self.folder).args(arguments).output().ok()?;
        let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
        Some(text.trim().to_owned())
    }
}
