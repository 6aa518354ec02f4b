//! Programs and variables that no use makes harmless.

/// Programs that end a machine, a disk or a person's trust: refused, whatever the arguments.
pub(super) static REFUSED: &[(&str, &str)] = &[
    ("sudo", "gains privileges"),
    ("su", "gains privileges"),
    ("doas", "gains privileges"),
    ("pkexec", "gains privileges"),
    ("mkfs", "formats a file system"),
    ("fdisk", "changes partitions"),
    ("parted", "changes partitions"),
    ("shutdown", "stops the machine"),
    ("reboot", "stops the machine"),
    ("halt", "stops the machine"),
    ("poweroff", "stops the machine"),
    ("insmod", "loads code into the kernel"),
    ("modprobe", "loads code into the kernel"),
];

/// Variables that a program may be given: what they change is how things look, and in which language. Which others some
/// program runs, loads or connects to is not to be known.
pub(super) fn export_is_harmless(name: &str, value: &str) -> bool {
    const NAMES: &[&str] = &[
        "BLOCKSIZE",
        "BLOCK_SIZE",
        "CARGO_TERM_COLOR",
        "CARGO_TERM_PROGRESS_WHEN",
        "CI",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLORTERM",
        "DEBIAN_FRONTEND",
        "DF_BLOCK_SIZE",
        "DU_BLOCK_SIZE",
        "FORCE_COLOR",
        "GIT_OPTIONAL_LOCKS",
        "GIT_TERMINAL_PROMPT",
        "GREP_COLOR",
        "GREP_COLORS",
        "JQ_COLORS",
        "LANG",
        "LANGUAGE",
        "LS_COLORS",
        "MANWIDTH",
        "NODE_ENV",
        "NO_COLOR",
        "POSIXLY_CORRECT",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
        "QUOTING_STYLE",
        "RUST_BACKTRACE",
        "RUST_LOG",
        "TIME_STYLE",
        "TZ",
    ];
    // Time zones and locales are looked up by their names, which could be paths.
    let plain = !value.contains("..") && !value.starts_with([':', '/', '~']);
    if name.starts_with("LC_") || NAMES.contains(&name) {
        return plain;
    }
    match name {
        // Shells compute with them.
        "COLUMNS" | "LINES" => value.bytes().all(|b| b.is_ascii_digit()),
        "TERM" => value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b)) && plain,
        // Without a pager.
        name if name == "PAGER" || name.ends_with("_PAGER") || name == "MANPAGER" => {
            matches!(value, "" | "cat")
        }
        // What separates words for `read`.
        "IFS" => value.is_empty(),
        _ => false,
    }
}

/// Variables that change what programs load or run.
pub(super) fn assignment_is_harmless(name: &str) -> bool {
    const PREFIXES: [&str; 22] = [
        "LD_", "GIT_", "BASH_", "PYTHON", "PERL", "RUBY", "NODE_", "JAVA", "JDK_", "GCC_", "CARGO", "RUST",
        "npm_", "SSH_", "LESS", "GREP_", "MAKE", "DYLD_", "XDG_", "GO", "OPENSSL_", "PYTEST",
    ];
    const NAMES: [&str; 31] = [
        "PATH",
        "ENV",
        "IFS",
        "PAGER",
        "MANPAGER",
        "EDITOR",
        "VISUAL",
        "BROWSER",
        "SHELL",
        "SHELLOPTS",
        "BASHOPTS",
        "PS4",
        "PROMPT_COMMAND",
        "CDPATH",
        "GLOBIGNORE",
        "HOME",
        "TMPDIR",
        "CC",
        "CXX",
        "LD",
        "AR",
        "TAR_OPTIONS",
        "RIPGREP_CONFIG_PATH",
        "GCONV_PATH",
        "LOCPATH",
        "NLSPATH",
        "TERMINFO",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "MALLOC_TRACE",
        "JQ_LIBRARY_PATH",
    ];
    !NAMES.contains(&name)
        && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && !name.ends_with("_PAGER")
}
