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
