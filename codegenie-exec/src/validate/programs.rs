//! What is known of programs, as data.
//!
//! An entry says under which arguments a program does no more than read what its sandbox shows, or
//! work within the workspace. What is not here is asked about.

/// One program, or one of its subcommands.
pub(super) struct Known {
    /// The program's name, then fixed leading arguments.
    pub(super) prefix: &'static [&'static str],
    pub(super) class: Class,
    /// Options that take it out of its class: `-o` also stands for `-oFILE`, and inside of clusters
    /// such as `-no`; `--output` also for `--output=FILE` and for abbreviations that are long enough.
    pub(super) except: &'static [&'static str],
    /// How many operands it may have before it leaves its class (`uniq IN OUT` writes OUT).
    pub(super) operands: usize,
}

/// What a known use does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Only reads.
    Reads,
    /// Tells the same whatever files there are.
    Constant,
    /// Changes the workspace, or runs the workspace's own code.
    Works,
}

const MANY: usize = usize::MAX;

const fn reads(prefix: &'static [&'static str]) -> Known {
    Known { prefix, class: Class::Reads, except: &[], operands: MANY }
}

const fn constant(prefix: &'static [&'static str]) -> Known {
    Known { prefix, class: Class::Constant, except: &[], operands: 0 }
}

const fn works(prefix: &'static [&'static str]) -> Known {
    Known { prefix, class: Class::Works, except: &[], operands: MANY }
}

impl Known {
    const fn except(mut self, options: &'static [&'static str]) -> Self {
        self.except = options;
        self
    }
    const fn operands(mut self, most: usize) -> Self {
        self.operands = most;
        self
    }
}

const GIT_DIFF: &[&str] = &["--ext-diff", "--textconv", "--output", "-O"];

pub(super) static KNOWN: &[Known] = &[
    reads(&["ls"]),
    reads(&["cat"]),
    reads(&["head"]),
    reads(&["tail"]),
    reads(&["wc"]),
    reads(&["stat"]),
    reads(&["du"]),
    reads(&["df"]),
    reads(&["cmp"]),
    reads(&["comm"]),
    reads(&["cut"]),
    reads(&["tr"]),
    reads(&["nl"]),
    reads(&["tac"]),
    reads(&["rev"]),
    reads(&["paste"]),
    reads(&["join"]),
    reads(&["fold"]),
    reads(&["fmt"]),
    reads(&["column"]),
    reads(&["od"]),
    reads(&["hexdump"]),
    reads(&["strings"]),
    reads(&["md5sum"]),
    reads(&["sha1sum"]),
    reads(&["sha256sum"]),
    reads(&["sha512sum"]),
    reads(&["cksum"]),
    reads(&["b2sum"]),
    reads(&["basename"]),
    reads(&["dirname"]),
    reads(&["realpath"]),
    reads(&["readlink"]),
    // A shell computes the subscript of what they look up, and runs what stands in it.
    reads(&["test"]).except(&["-v", "-R"]),
    reads(&["["]).except(&["-v", "-R"]),
    reads(&["type"]),
    reads(&["which"]),
    reads(&["id"]),
    reads(&["whoami"]),
    reads(&["groups"]),
    reads(&["grep"]),
    reads(&["egrep"]),
    reads(&["fgrep"]),
    reads(&["jq"]).except(&["-f", "--from-file", "-L", "--rawfile", "--slurpfile"]),
    reads(&["diff"]).except(&["--paginate", "-l"]),
    reads(&["file"]).except(&["-C", "--compile"]),
    reads(&["tree"]).except(&["-o", "-R"]),
    reads(&["rg"]).except(&["--pre", "--hostname-bin", "-z", "--search-zip"]),
    reads(&["sort"]).except(&["-o", "--output", "--compress-program", "-T", "--temporary-directory"]),
    reads(&["uniq"]).operands(1),
    reads(&["find"]).except(&[
        "-exec",
        "-execdir",
        "-ok",
        "-okdir",
        "-delete",
        "-fprint",
        "-fprint0",
        "-fprintf",
        "-fls",
        "-files0-from",
    ]),
    reads(&["date"]).except(&["-s", "--set"]).operands(1),
    reads(&["pwd"]),
    reads(&["true"]),
    reads(&["false"]),
    reads(&["echo"]),
    reads(&["printf"]).except(&["-v"]),
    reads(&["seq"]),
    reads(&["sleep"]),
    constant(&["uname"]),
    constant(&["nproc"]),
    constant(&["git", "--version"]),
    constant(&["git", "version"]),
    constant(&["rustc", "--version"]),
    constant(&["cargo", "--version"]),
    constant(&["python3", "--version"]),
    constant(&["node", "--version"]),
    constant(&["gcc", "--version"]),
    constant(&["make", "--version"]),
    reads(&["git", "status"]),
    reads(&["git", "log"]).except(GIT_DIFF),
    reads(&["git", "diff"]).except(GIT_DIFF),
    reads(&["git", "show"]).except(GIT_DIFF),
    reads(&["git", "blame"]),
    reads(&["git", "ls-files"]),
    reads(&["git", "ls-tree"]),
    reads(&["git", "rev-parse"]),
    reads(&["git", "describe"]),
    reads(&["git", "shortlog"]),
    reads(&["git", "branch", "--list"]),
    reads(&["git", "branch"]).operands(0).except(&[
        "-d",
        "-D",
        "-m",
        "-M",
        "-c",
        "-C",
        "-u",
        "--edit-description",
    ]),
    works(&["git", "add"]).except(&["-i", "-p", "-e", "--interactive", "--patch", "--edit"]),
    works(&["git", "commit"]).except(&["-e", "--edit", "-t", "--template", "-S", "--gpg-sign"]),
    works(&["git", "init"]).except(&["--template", "--separate-git-dir"]),
    works(&["git", "checkout"]),
    works(&["git", "switch"]),
    works(&["git", "restore"]),
    works(&["git", "stash"]),
    works(&["mkdir"]),
    works(&["touch"]),
    works(&["cp"]),
    works(&["mv"]),
    works(&["ln"]),
    works(&["patch"]),
    works(&["tee"]),
    works(&["cargo", "build"]).except(&["--config", "-Z"]),
    works(&["cargo", "check"]).except(&["--config", "-Z"]),
    works(&["cargo", "test"]).except(&["--config", "-Z"]),
    works(&["cargo", "clippy"]).except(&["--config", "-Z", "--fix"]),
    works(&["cargo", "fmt"]),
    works(&["cargo", "metadata"]).except(&["--config", "-Z"]),
    works(&["pytest"]),
    works(&["python3", "-m", "pytest"]),
    works(&["python3", "-m", "unittest"]),
    works(&["npm", "test"]),
    works(&["go", "build"]),
    works(&["go", "test"]),
    works(&["go", "vet"]),
];

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
