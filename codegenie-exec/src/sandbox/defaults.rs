//! What is protected without being named.

use super::SandboxPolicy;
use std::collections::BTreeSet;
#[cfg(feature = "executor")]
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
#[cfg(feature = "executor")]
use std::sync::LazyLock;

/// What a host runs on its own behalf when it works on a tree: an agent that may change them could
/// leave a command for the host to run. All of `.git`, since several files in it, and files that are
/// not yet there, lead git to other configuration and hooks.
pub(crate) const HOST_EXECUTED: &[&str] = &[
    ".git",
    // Names repositories to fetch. `.gitattributes` and `.github` are not here: what they name runs where a host
    // has set it up, or on other machines, and people do have them edited.
    ".gitmodules",
    ".hg",
    ".jj",
    ".svn",
    ".bzr",
    "_darcs",
    "CVS",
    ".husky",
    ".pre-commit-config.yaml",
    ".pre-commit-config.yml",
    ".githooks",
    ".overcommit.yml",
    "lefthook.yml",
    "lefthook.yaml",
    ".lefthook.yml",
    ".lefthook.yaml",
    ".vscode",
    ".idea",
    ".zed",
    ".fleet",
    ".devcontainer",
    ".devcontainer.json",
    ".gitpod.yml",
    ".gitpod.yaml",
    ".helix",
    ".nova",
    ".theia",
    ".vs",
    ".run",
    ".project",
    ".cproject",
    ".externalToolBuilders",
    ".settings",
    ".kak",
    ".openhands",
    ".envrc",
    ".direnv",
    ".mise.toml",
    ".mise.local.toml",
    "mise.toml",
    "mise.local.toml",
    ".mise",
    ".rtx.toml",
    ".tool-versions",
    ".autoenv",
    ".autoenv.zsh",
    ".exrc",
    ".vimrc",
    ".gvimrc",
    ".nvimrc",
    ".nvim.lua",
    ".exrc.lua",
    ".local.vimrc",
    ".ideavimrc",
    ".kakrc",
    ".nanorc",
    ".lvimrc",
    ".vim",
    ".emacs",
    ".emacs.d",
    ".dir-locals.el",
    ".dir-locals-2.el",
    // Read by debuggers and interpreters from where they are started.
    ".gdbinit",
    ".lldbinit",
    ".gdbearlyinit",
    ".pdbrc",
    ".perldb",
    ".byebugrc",
    ".rdebugrc",
    ".radare2rc",
    ".rizinrc",
    ".proverc",
    ".valgrindrc",
    ".latexmkrc",
    "latexmkrc",
    ".irbrc",
    ".pryrc",
    ".ghci",
    ".ocamlinit",
    ".octaverc",
    ".iex.exs",
    ".erlang",
    ".sbclrc",
    ".eclrc",
    ".clisprc",
    ".racketrc",
    ".guile",
    ".tclshrc",
    ".wishrc",
    ".utoprc",
    ".gnuplot",
    ".jshellrc",
    ".mongorc.js",
    ".mongoshrc.js",
    ".duckdbrc",
    ".pythonrc",
    ".pythonrc.py",
    ".ipython",
    ".jupyter",
    ".julia",
    ".Renviron",
    ".Rprofile",
    ".sqliterc",
    ".psqlrc",
    // Names the compiler that editors start, which may lie in the tree.
    "rust-toolchain",
    "rust-toolchain.toml",
    ".cargo/config",
    ".cargo/config.toml",
    // Names the package manager's own program.
    ".yarnrc",
    // Agents' own settings, which name commands too.
    ".claude",
    ".codex",
    ".cursor",
    ".gemini",
    ".qwen",
    ".windsurf",
    ".cline",
    ".roo",
    ".kiro",
    ".amazonq",
    ".continue",
    ".opencode",
    "opencode.json",
    "opencode.jsonc",
    ".crush.json",
    "crush.json",
    ".aider.conf.yml",
    ".mcp.json",
    // Start-up files, where a workspace is somebody's home directory.
    ".bashrc",
    ".bash_aliases",
    ".bashrc.d",
    ".zshrc.d",
    ".profile.d",
    ".oh-my-zsh",
    ".bash_profile",
    ".bash_login",
    ".bash_logout",
    ".profile",
    ".shrc",
    ".fishrc",
    ".zshrc",
    ".zshenv",
    ".zprofile",
    ".zlogin",
    ".zlogout",
    ".login",
    ".logout",
    ".cshrc",
    ".tcshrc",
    ".kshrc",
    ".mkshrc",
    ".xprofile",
    ".xinitrc",
    ".xsession",
    ".xsessionrc",
    ".pam_environment",
    ".inputrc",
    ".tmux.conf",
    ".tmuxinator.yml",
    ".tmuxp.yaml",
    ".tmuxp.yml",
    ".screenrc",
    ".curlrc",
    ".wgetrc",
    ".ackrc",
    ".mailcap",
    ".lessfilter",
    ".lesskey",
    ".mailrc",
    ".muttrc",
    ".procmailrc",
    ".forward",
    ".rhosts",
    ".shosts",
    ".k5login",
    ".xbindkeysrc",
    ".gitconfig",
    ".hgrc",
    "authorized_keys",
    ".config/autostart",
    ".config/environment.d",
    ".config/fish",
    ".config/direnv",
    ".config/git",
    ".config/helix",
    ".config/mise",
    ".config/nvim",
    ".config/nushell",
    ".config/powershell",
    ".config/systemd",
    ".config/zsh",
    ".local/bin",
    ".local/share/applications",
    ".local/share/systemd",
];

/// Endings of the names of files that editors open as a project, and obey.
const OBEYED_ENDINGS: &[&str] = &[".code-workspace", ".sublime-project", ".sublime-workspace"];

/// Whether a file's name has the ending of what editors open as a project, and obey.
pub(crate) fn is_obeyed(name: &str) -> bool {
    OBEYED_ENDINGS.iter().any(|ending| {
        let at = name.len().checked_sub(ending.len());
        at.and_then(|at| name.get(at..)).is_some_and(|last| last.eq_ignore_ascii_case(ending))
    })
}

/// What lies right below a folder and is run or obeyed by what a host opens that folder with.
pub(super) fn host_executed_in(folder: &Path) -> Vec<PathBuf> {
    let named = HOST_EXECUTED.iter().map(|name| folder.join(name)).filter(|path| path.exists());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let obeyed = entries.filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(is_obeyed));
    named.chain(obeyed.filter(|path| path.exists())).collect()
}

/// Where settings, programs and keys of a home directory lie, under names that nobody can list. Commands write their own
/// there, so a sandbox protects what of it is in [`HOST_EXECUTED`]; edits, and commands that name it, are not expected to.
#[cfg(any(feature = "executor", all(feature = "edit", target_os = "linux")))]
const HOST_DIRECTORIES: &[&str] = &[".config", ".local", ".cargo"];

/// What agents obey: instructions that people write and have written. A command that writes one is asked about, since the
/// next agent in the folder follows it; an edit shows what it writes, and a sandbox leaves them as they are.
#[cfg(feature = "executor")]
const INSTRUCTIONS: &[&str] = &[
    "AGENTS.md",
    "AGENTS.override.md",
    "AGENT.md",
    "CLAUDE.md",
    "CLAUDE.local.md",
    "GEMINI.md",
    "QWEN.md",
    "CRUSH.md",
    "WARP.md",
    ".cursorrules",
    ".windsurfrules",
    ".clinerules",
    ".roorules",
    ".goosehints",
    ".junie",
    ".trae",
    ".augment",
    ".augment-guidelines",
    ".github/copilot-instructions.md",
    ".github/instructions",
    ".github/prompts",
];

/// What is protected wherever an edit, or a command by its text, would write it.
#[cfg(any(feature = "executor", all(feature = "edit", target_os = "linux")))]
pub(crate) fn protected() -> impl Iterator<Item = &'static str> {
    HOST_EXECUTED.iter().chain(CREDENTIALS).chain(HOST_DIRECTORIES).copied()
}

/// What a command is asked about that writes it.
#[cfg(feature = "executor")]
pub(crate) fn asked_about() -> impl Iterator<Item = &'static str> {
    protected().chain(INSTRUCTIONS.iter().copied())
}

/// Whether the text of a path leads to, or through, what is [`asked_about`].
#[cfg(feature = "executor")]
pub(crate) fn is_protected(path: &str) -> bool {
    static NAMES: LazyLock<ByFirst> = LazyLock::new(|| by_first(asked_about()));
    leads_through(path, &NAMES) || path.split('/').any(is_obeyed)
}

/// Whether a name that begins with the last part of a path may be [`asked_about`].
#[cfg(feature = "executor")]
pub(crate) fn may_begin_protected(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let begins = |name: &str| name.get(..last.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(last));
    !last.is_empty() && asked_about().flat_map(|name| name.split('/')).any(begins)
}

/// Whether the text of a path leads to, or through, one of [`CREDENTIALS`].
#[cfg(feature = "executor")]
pub(crate) fn is_credential(path: &str) -> bool {
    static NAMES: LazyLock<ByFirst> = LazyLock::new(|| by_first(CREDENTIALS.iter().copied()));
    // Most words are none, and all of those begin with a dot.
    path.contains('.') && leads_through(path, &NAMES)
}

/// By their first name, in lower case: what may follow it.
#[cfg(feature = "executor")]
type ByFirst = HashMap<String, Vec<&'static str>>;

#[cfg(feature = "executor")]
fn by_first(paths: impl Iterator<Item = &'static str>) -> ByFirst {
    let mut all = ByFirst::new();
    for path in paths {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        all.entry(first.to_ascii_lowercase()).or_default().push(rest);
    }
    all
}

/// Whether the names of one of `sought` follow each other in `path`, in whatever case.
#[cfg(feature = "executor")]
fn leads_through(path: &str, sought: &ByFirst) -> bool {
    const LONGEST: usize = 32;
    let names = |path: &'static str| path.split('/').filter(|name| !name.is_empty());
    let mut parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    while let Some(part) = parts.next() {
        if part.len() > LONGEST {
            continue;
        }
        let rests = sought.get(part.to_ascii_lowercase().as_str()).into_iter().flatten();
        for rest in rests {
            let mut here = parts.clone();
            if names(rest).all(|name| here.next().is_some_and(|part| part.eq_ignore_ascii_case(name))) {
                return true;
            }
        }
    }
    false
}

/// What holds keys and credentials below a home directory. None of it is seen inside, even where a
/// policy grants the home directory or a part of it, unless the policy names it itself.
pub(crate) const CREDENTIALS: &[&str] = &[
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
    ".config/git/credentials",
    ".config/containers/auth.json",
    ".config/rclone",
    ".claude/.credentials.json",
    ".codex/auth.json",
    ".pgpass",
    ".my.cnf",
    ".authinfo",
    ".authinfo.gpg",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".terraform.d/credentials.tfrc.json",
    ".boto",
    ".s3cfg",
    ".databrickscfg",
    ".yarnrc.yml",
    ".kaggle/kaggle.json",
    ".huggingface/token",
    ".cache/huggingface/token",
    ".cache/huggingface/stored_tokens",
    ".cloudflared",
    ".fly/config.yml",
    ".terraformrc",
    ".pulumi/credentials.json",
    ".snowsql/config",
    ".snowflake",
    ".dbt/profiles.yml",
    ".ngrok2",
    ".sentryclirc",
    ".aliyun/config.json",
    ".bluemix",
    ".jfrog",
    ".oci",
    ".gem/credentials",
    ".sbt/.credentials",
    ".ivy2/.credentials",
    ".composer/auth.json",
    ".config/composer/auth.json",
    ".m2/settings-security.xml",
    ".nuget/NuGet/NuGet.Config",
    ".rclone.conf",
    ".gsutil",
    ".config/glab-cli",
    ".config/doctl",
    ".config/heroku",
    ".config/netlify",
    ".config/stripe",
    ".config/solana",
    ".config/BraveSoftware",
    ".config/vivaldi",
    ".config/Bitwarden",
    ".thunderbird",
    ".bitcoin",
    ".electrum",
    ".ethereum/keystore",
    ".msmtprc",
    ".fetchmailrc",
    ".mbsyncrc",
    ".offlineimaprc",
    ".mylogin.cnf",
    ".claude.json",
    ".gemini/oauth_creds.json",
    ".qwen/oauth_creds.json",
    ".Xauthority",
    ".ICEauthority",
    ".node_repl_history",
    ".irb_history",
    ".sqlite_history",
    ".rediscli_history",
    ".local/share/fish/fish_history",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".psql_history",
    ".mysql_history",
    ".history",
];

/// How far [`nested_repositories`] looks.
const NESTED_DEPTH: usize = 4;
const NESTED_DIRECTORIES: usize = 4096;
const NESTED_FOUND: usize = 64;

/// The `.git` of repositories below the top of a workspace: submodules, vendored sources. The search is
/// bounded, so that a large tree costs milliseconds.
pub(super) fn nested_repositories(workspace: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut level = vec![workspace.to_path_buf()];
    let mut seen = 0;
    for _ in 0..NESTED_DEPTH {
        let mut below = Vec::new();
        for dir in level {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                // Not followed: what a link leads to is not in the workspace, or is found where it is.
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || entry.file_name() == ".git" {
                    continue;
                }
                seen += 1;
                let (path, git) = (entry.path(), entry.path().join(".git"));
                if git.symlink_metadata().is_ok_and(|meta| !meta.is_symlink()) {
                    found.push(git);
                }
                if seen >= NESTED_DIRECTORIES || found.len() >= NESTED_FOUND {
                    return found;
                }
                below.push(path);
            }
        }
        level = below;
    }
    found
}

/// What `policy`, whose paths are real, would show at this moment and is hidden by default.
pub(super) fn hidden(policy: &SandboxPolicy) -> Vec<PathBuf> {
    let granted: Vec<&PathBuf> = policy.readable().chain(policy.writable()).collect();
    let mut hidden = Vec::new();
    let own = own_home();
    for home in homes(own.as_deref()) {
        // Nothing of it is shown: the usual case, and this is asked at every start.
        if !granted.iter().any(|root| root.starts_with(&home) || home.starts_with(root)) {
            continue;
        }
        if Some(&home) != own.as_ref() {
            hide(&home, &granted, &mut hidden);
        }
        for held in CREDENTIALS.iter().filter_map(|name| home.join(name).canonicalize().ok()) {
            hide(&held, &granted, &mut hidden);
        }
    }
    hidden.retain(|path| !policy.hide.contains(path));
    hidden.sort();
    hidden.dedup();
    hidden
}

/// Hides `path` where it would be shown. What is named is granted on purpose, and of a directory in
/// which something is named the rest is hidden.
fn hide(path: &Path, granted: &[&PathBuf], hidden: &mut Vec<PathBuf>) {
    if granted.iter().any(|root| root.as_path() == path) {
        return;
    }
    if granted.iter().any(|root| root.starts_with(path)) {
        let shown_above = granted.iter().any(|root| path.starts_with(root));
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten().filter(|_| shown_above) {
            hide(&entry.path(), granted, hidden);
        }
    } else if granted.iter().any(|root| path.starts_with(root)) {
        hidden.push(path.to_path_buf());
    }
}

fn own_home() -> Option<PathBuf> {
    std::env::var_os("HOME").and_then(|home| PathBuf::from(home).canonicalize().ok())
}

/// The home directories of this machine's people.
fn homes(own: Option<&Path>) -> BTreeSet<PathBuf> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_users = users.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let (uid, home) = (fields.next()?.parse::<u32>().ok()?, fields.nth(2)?);
        // Below are daemons, whose homes are directories of the system.
        (uid == 0 || (1000..65_000).contains(&uid)).then(|| PathBuf::from(home))
    });
    let listed = std::fs::read_dir("/home").into_iter().flatten().flatten().map(|entry| entry.path());
    let paths =
        own.map(Path::to_path_buf).into_iter().chain([PathBuf::from("/root")]).chain(of_users).chain(listed);
    // A home that is the root, as daemons have, is nobody's.
    paths.filter_map(|path| path.canonicalize().ok()).filter(|path| path.parent().is_some()).collect()
}
