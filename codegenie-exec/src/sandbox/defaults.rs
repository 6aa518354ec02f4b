//! What is protected without being named.

use super::SandboxPolicy;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a host runs on its own behalf when it works on a tree: an agent that may change them could
/// leave a command for the host to run. All of `.git`, since several files in it, and files that are
/// not yet there, lead git to other configuration and hooks.
pub(super) const HOST_EXECUTED: [&str; 17] = [
    ".git",
    ".vscode",
    ".idea",
    ".envrc",
    ".husky",
    // Agents' and editors' own settings, which name commands too.
    ".claude",
    ".cursor",
    ".mcp.json",
    ".zed",
    // Start-up files, where a workspace is somebody's home directory.
    ".bashrc",
    ".bash_profile",
    ".bash_logout",
    ".profile",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".gitconfig",
];

/// What holds keys and credentials below a home directory. None of it is seen inside, even where a
/// policy grants the home directory or a part of it, unless the policy names it itself.
const CREDENTIALS: [&str; 23] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker/config.json",
    ".config/gcloud",
    ".config/gh",
    ".config/hub",
    ".config/op",
    ".config/sops",
    ".git-credentials",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".password-store",
    ".local/share/keyrings",
    ".mozilla",
    ".config/chromium",
    ".config/google-chrome",
    ".vault-token",
];

/// What `policy`, whose paths are real, would show and is hidden by default.
pub(super) fn hidden(policy: &SandboxPolicy) -> Vec<PathBuf> {
    let granted: Vec<&PathBuf> = policy.read.iter().chain(policy.writable()).collect();
    let is_shown = |path: &Path| granted.iter().any(|root| path.starts_with(root));
    // What is named is granted on purpose: the thing itself, or something in it.
    let is_named = |path: &Path| granted.iter().any(|root| root.starts_with(path));
    let own = std::env::var_os("HOME").and_then(|home| PathBuf::from(home).canonicalize().ok());
    let mut hidden = Vec::new();
    for home in homes(own.as_deref()) {
        if Some(&home) != own.as_ref() && is_shown(&home) && !is_named(&home) {
            hidden.push(home);
            continue;
        }
        let held = CREDENTIALS.iter().filter_map(|name| home.join(name).canonicalize().ok());
        hidden.extend(held.filter(|path| is_shown(path) && !is_named(path)));
    }
    hidden.retain(|path| !policy.hide.contains(path));
    hidden
}

/// The home directories of this machine's people.
fn homes(own: Option<&Path>) -> BTreeSet<PathBuf> {
    let listed = std::fs::read_dir("/home").into_iter().flatten().flatten().map(|entry| entry.path());
    let paths = own.map(Path::to_path_buf).into_iter().chain([PathBuf::from("/root")]).chain(listed);
    // A home that is the root, as daemons have, is nobody's.
    paths.filter_map(|path| path.canonicalize().ok()).filter(|path| path.parent().is_some()).collect()
}
