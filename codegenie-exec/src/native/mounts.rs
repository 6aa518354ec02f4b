//! The steps that build the view inside the mount namespace.

use super::plan::{Arg, Plan, Purpose};
use super::sys::{
    AT_RECURSIVE, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH, MountAttr, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE,
};
use crate::sandbox::{Layer, Limits};
use crate::view::{Entry, Kind, View};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where the host's tree is while the view is built.
const HOST: &str = "/.host";
/// The empty file that masks files.
const MASK: &str = "/.mask";
/// Where an overlay's layers are while it is mounted.
const LOWER: &str = "/.lower";
const LAYERS: &str = "/.layers";
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// How the step that mounts an overlay is called, before its path.
pub(super) const OVERLAY_STAGE: &str = "mount the copy-on-write workspace";

/// Mounts of granted paths that the host has prepared, by path: descriptor numbers inside init.
pub(super) type Prepared = HashMap<PathBuf, i32>;

pub(super) fn attributes(writable: bool) -> MountAttr {
    let readonly = if writable { 0 } else { MOUNT_ATTR_RDONLY };
    MountAttr { attr_set: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | readonly, ..MountAttr::default() }
}

/// From the host's tree to the view: afterwards the host's tree is not reachable any more.
pub(super) fn enter_view(
    plan: &mut Plan,
    view: &View,
    prepared: &Prepared,
    limits: &Limits,
    terminals: bool,
) {
    plan.section(Purpose::Layer(Layer::MountNamespace), false);
    let mut builder = Builder { plan, made: BTreeSet::new(), limits, terminals };
    builder.pivot();
    builder.base();
    for entry in &view.entries {
        builder.entry(entry, view, prepared);
    }
    builder.leave_host();
}

struct Builder<'a> {
    plan: &'a mut Plan,
    /// Directories that exist in the view's own file systems.
    made: BTreeSet<PathBuf>,
    limits: &'a Limits,
    terminals: bool,
}

impl Builder<'_> {
    fn pivot(&mut self) {
        let plan = &mut *self.plan;
        let (root, none, tmpfs) = (plan.text("/"), plan.text("none"), plan.text("tmpfs"));
        // Any directory serves to mount the new root on: pivot_root takes it off again.
        let place = plan.text("/usr");
        let options = plan.text("mode=0755,size=1m,nr_inodes=4096");
        let private = libc::MS_REC | libc::MS_PRIVATE;
        plan.call(
            "make mounts private",
            libc::SYS_mount,
            &[none.into(), root.into(), 0.into(), private.into()],
        );
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        plan.call(
            "mount the new root",
            libc::SYS_mount,
            &[tmpfs.into(), place.into(), tmpfs.into(), flags.into(), options.into()],
        );
        plan.call("enter the new root", libc::SYS_chdir, &[place.into()]);
        let (here, old) = (plan.text("."), plan.text(&HOST[1..]));
        plan.call(
            "make the old root's place",
            libc::SYS_mkdirat,
            &[libc::AT_FDCWD.into(), old.into(), 0o700.into()],
        );
        plan.call("change the root", libc::SYS_pivot_root, &[here.into(), old.into()]);
        plan.call("enter the root", libc::SYS_chdir, &[root.into()]);
    }

    fn base(&mut self) {
        // For tmpfs a size of 0 is no limit at all.
        let tmp = format!("mode=1777,size={},nr_inodes=262144", self.limits.tmp_bytes.max(4096));
        self.directory(Path::new("/tmp"), 0o755);
        self.tmpfs("/tmp", &tmp);
        self.directory(Path::new("/tmp/home"), 0o700);
        // In the root's own file system, which is made read-only at the end.
        self.directory(Path::new("/dev"), 0o755);
        for name in DEVICES {
            let path = format!("/dev/{name}");
            self.file(&path);
            self.device(Path::new(&path));
        }
        for (link, target) in [
            ("/dev/fd", "/proc/self/fd"),
            ("/dev/stdin", "/proc/self/fd/0"),
            ("/dev/stdout", "/proc/self/fd/1"),
            ("/dev/stderr", "/proc/self/fd/2"),
        ] {
            self.link(Path::new(link), Path::new(target));
        }
        if self.terminals {
            self.private_terminals();
        }
        self.directory(Path::new("/dev/shm"), 0o755);
        self.tmpfs("/dev/shm", &tmp);
        self.directory(Path::new("/proc"), 0o755);
        let proc = self.plan.text("proc");
        let place = self.plan.text("/proc");
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
        self.plan.section(Purpose::Layer(Layer::PidNamespace), false);
        self.plan.call(
            "mount /proc",
            libc::SYS_mount,
            &[proc.into(), place.into(), proc.into(), flags.into()],
        );
        self.plan.section(Purpose::Layer(Layer::UserNamespace), false);
        self.forbid_nested_user_namespaces();
        self.plan.section(Purpose::Layer(Layer::MountNamespace), false);
        self.set_attributes("/proc", &MountAttr { attr_set: MOUNT_ATTR_RDONLY, ..MountAttr::default() });
        self.file(MASK);
    }

    /// A devpts of this sandbox's own.
    fn private_terminals(&mut self) {
        self.directory(Path::new("/dev/pts"), 0o755);
        let (devpts, place) = (self.plan.text("devpts"), self.plan.text("/dev/pts"));
        let options = self.plan.text("newinstance,ptmxmode=0666,mode=0620");
        let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
        self.plan.call(
            "mount private terminals",
            libc::SYS_mount,
            &[devpts.into(), place.into(), devpts.into(), flags.into(), options.into()],
        );
        self.link(Path::new("/dev/ptmx"), Path::new("pts/ptmx"));
        // Opening it gives the opener's own controlling terminal, which is never the host's.
        self.file("/dev/tty");
        let attr = MountAttr { attr_set: MOUNT_ATTR_NOSUID, ..MountAttr::default() };
        let tty = Path::new("/dev/tty");
        self.bind_host(tty, tty, &attr, false);
    }

    /// Bounds this user namespace's own count, which nobody inside may raise again.
    fn forbid_nested_user_namespaces(&mut self) {
        let (path, zero) = (self.plan.text("/proc/sys/user/max_user_namespaces"), self.plan.text("0"));
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        self.plan
            .call(
                "open the limit on user namespaces",
                libc::SYS_openat,
                &[libc::AT_FDCWD.into(), path.into(), flags.into()],
            )
            .store(0);
        self.plan.call(
            "forbid nested user namespaces",
            libc::SYS_write,
            &[Arg::Slot(0), zero.into(), 1.into()],
        );
        self.plan.call("close the limit", libc::SYS_close, &[Arg::Slot(0)]);
    }

    fn entry(&mut self, entry: &Entry, view: &View, prepared: &Prepared) {
        let path = entry.path.as_path();
        let inside_host = view.under_bind(path);
        match &entry.kind {
            Kind::Link(target) => {
                self.parents(path);
                self.link(path, target);
            }
            Kind::Copy(content) => {
                self.parents(path);
                self.copy(path, content);
            }
            Kind::Bind { writable, dir, .. } => {
                if !inside_host {
                    self.parents(path);
                    if *dir {
                        self.directory(path, 0o755);
                    } else {
                        self.file(path);
                    }
                }
                self.show_host(path, path, *writable, prepared, view.under_overlay(path));
            }
            Kind::Overlay { layers, writable } => {
                if !inside_host {
                    self.parents(path);
                    self.directory(path, 0o755);
                }
                self.overlay(path, layers, prepared);
                if !writable {
                    self.set_attributes(path, &attributes(false));
                }
            }
            Kind::Pin => {
                let shown = path.display().to_string();
                self.open_tree_at(path.as_os_str(), &shown, libc::AT_EMPTY_PATH as u64);
                self.attach(Arg::Slot(1), path, true);
                self.close_tree();
            }
            Kind::Mask { dir: true } => self.tmpfs(path, "mode=000,size=4k,nr_inodes=1"),
            Kind::Mask { dir: false } => {
                let source = self.plan.text(MASK);
                let target = self.plan.text(path);
                self.plan.call(
                    format!("mask {}", path.display()),
                    libc::SYS_mount,
                    &[source.into(), target.into(), 0.into(), libc::MS_BIND.into()],
                );
                self.set_attributes(path, &attributes(false));
            }
        }
    }

    /// Mounts an overlay, and takes its layers out of the view again: the overlay holds them itself.
    fn overlay(&mut self, path: &Path, layers: &Path, prepared: &Prepared) {
        for (place, source, writable) in [(LOWER, path, false), (LAYERS, layers, true)] {
            self.directory(Path::new(place), 0o700);
            self.show_host(source, Path::new(place), writable, prepared, false);
        }
        // Volatile: a commit syncs what it takes, so that the end of each command need not sync the
        // whole file system. Redirects and metadata-only copies are refused by who reads the layer.
        let options = format!(
            "userxattr,volatile,index=off,metacopy=off,redirect_dir=nofollow,lowerdir={LOWER},\
             upperdir={LAYERS}/upper,workdir={LAYERS}/work"
        );
        let (kind, target, options) =
            (self.plan.text("overlay"), self.plan.text(path), self.plan.text(&options));
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        self.plan.call(
            format!("{OVERLAY_STAGE} {}", path.display()),
            libc::SYS_mount,
            &[kind.into(), target.into(), kind.into(), flags.into(), options.into()],
        );
        for place in [LOWER, LAYERS] {
            let place = self.plan.text(place);
            self.plan.call(
                "take a layer out of the view",
                libc::SYS_umount2,
                &[place.into(), libc::MNT_DETACH.into()],
            );
        }
    }

    fn leave_host(&mut self) {
        let host = self.plan.text(HOST);
        self.plan.call("leave the host's tree", libc::SYS_umount2, &[host.into(), libc::MNT_DETACH.into()]);
        self.plan.call(
            "remove the old root's place",
            libc::SYS_unlinkat,
            &[libc::AT_FDCWD.into(), host.into(), libc::AT_REMOVEDIR.into()],
        );
        self.set_attributes("/", &MountAttr { attr_set: MOUNT_ATTR_RDONLY, ..MountAttr::default() });
    }

    fn parents(&mut self, path: &Path) {
        let ancestors: Vec<&Path> = path.ancestors().skip(1).collect();
        for ancestor in ancestors.into_iter().rev().filter(|a| *a != Path::new("/")) {
            self.directory(ancestor, 0o755);
        }
    }

    fn directory(&mut self, path: &Path, mode: i32) {
        if self.made.insert(path.to_path_buf()) {
            let text = self.plan.text(path);
            self.plan.call(
                format!("make {}", path.display()),
                libc::SYS_mkdirat,
                &[libc::AT_FDCWD.into(), text.into(), mode.into()],
            );
        }
    }

    fn file(&mut self, path: impl AsRef<Path>) {
        let path = path.as_ref();
        let text = self.plan.text(path);
        let mode = 0o100_000;
        self.plan.call(
            format!("make {}", path.display()),
            libc::SYS_mknodat,
            &[libc::AT_FDCWD.into(), text.into(), mode.into(), 0.into()],
        );
    }

    fn copy(&mut self, path: &Path, content: &[u8]) {
        let (text, bytes) = (self.plan.text(path), self.plan.bytes(content));
        let (what, length) = (format!("copy {}", path.display()), Arg::Value(content.len() as u64));
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
        self.plan
            .call(
                what.clone(),
                libc::SYS_openat,
                &[libc::AT_FDCWD.into(), text.into(), flags.into(), 0o444.into()],
            )
            .store(0);
        self.plan.call(what, libc::SYS_write, &[Arg::Slot(0), bytes.into(), length]);
        self.plan.call("close a copy", libc::SYS_close, &[Arg::Slot(0)]);
    }

    fn link(&mut self, path: &Path, target: &Path) {
        let (text, target) = (self.plan.text(path), self.plan.text(target));
        self.plan.call(
            format!("link {}", path.display()),
            libc::SYS_symlinkat,
            &[target.into(), libc::AT_FDCWD.into(), text.into()],
        );
    }

    fn tmpfs(&mut self, path: impl AsRef<Path>, options: &str) {
        let path = path.as_ref();
        let (tmpfs, text, options) = (self.plan.text("tmpfs"), self.plan.text(path), self.plan.text(options));
        let flags = libc::MS_NOSUID | libc::MS_NODEV;
        self.plan.call(
            format!("mount a private {}", path.display()),
            libc::SYS_mount,
            &[tmpfs.into(), text.into(), tmpfs.into(), flags.into(), options.into()],
        );
    }

    fn set_attributes(&mut self, path: impl AsRef<Path>, attr: &MountAttr) {
        let path = path.as_ref();
        let (text, attr) = (self.plan.text(path), attr_words(self.plan, attr));
        self.plan.call(
            format!("make {} read-only", path.display()),
            libc::SYS_mount_setattr,
            &[
                libc::AT_FDCWD.into(),
                text.into(),
                0.into(),
                attr.into(),
                (size_of::<MountAttr>() as u64).into(),
            ],
        );
    }

    /// Shows a path of the host's at `place`, as the host has prepared it or by copying its mount.
    fn show_host(
        &mut self,
        path: &Path,
        place: &Path,
        writable: bool,
        prepared: &Prepared,
        distrusted: bool,
    ) {
        match prepared.get(path) {
            Some(fd) => {
                self.attach((*fd).into(), place, distrusted);
                self.plan.call("close a prepared mount", libc::SYS_close, &[(*fd).into()]);
            }
            None => self.bind_host(path, place, &attributes(writable), distrusted),
        }
    }

    /// Copies a mount of the host's tree to a path of the view. The path was resolved when the
    /// policy was; a symbolic link that has come into it since is refused, not followed.
    fn bind_host(&mut self, path: &Path, place: &Path, attr: &MountAttr, distrusted: bool) {
        let shown = path.display().to_string();
        let flags = AT_RECURSIVE | libc::AT_EMPTY_PATH as u64;
        self.open_tree_at(&[HOST.as_ref(), path.as_os_str()].concat_os(), &shown, flags);
        let (empty, attr) = (self.plan.text(""), attr_words(self.plan, attr));
        self.plan.call(
            format!("restrict the mount of {shown}"),
            libc::SYS_mount_setattr,
            &[Arg::Slot(1), empty.into(), flags.into(), attr.into(), (size_of::<MountAttr>() as u64).into()],
        );
        self.attach(Arg::Slot(1), place, distrusted);
        self.close_tree();
    }

    /// Opens `source` without following links, into slot 0, and a copy of its mount, into slot 1.
    fn open_tree_at(&mut self, source: &OsStr, shown: &str, flags: u64) {
        let (source, empty) = (self.plan.text(source), self.plan.text(""));
        let how = self.plan.words(&[(libc::O_PATH | libc::O_CLOEXEC) as u64, 0, libc::RESOLVE_NO_SYMLINKS]);
        self.plan
            .call(
                format!("open {shown}"),
                libc::SYS_openat2,
                &[libc::AT_FDCWD.into(), source.into(), how.into(), 24.into()],
            )
            .store(0);
        let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags;
        self.plan
            .call(
                format!("copy the mount of {shown}"),
                libc::SYS_open_tree,
                &[Arg::Slot(0), empty.into(), flags.into()],
            )
            .store(1);
    }

    fn close_tree(&mut self) {
        self.plan.call("close a mount", libc::SYS_close, &[Arg::Slot(1)]);
        self.plan.call("close a path", libc::SYS_close, &[Arg::Slot(0)]);
    }

    /// Attaches a tree. Where earlier commands may have left a link in the way (`distrusted`), one is
    /// refused, so that protection does not land elsewhere.
    /// Copies the mount of one of the host's device nodes. Not nodev: these are what /dev is for.
    fn device(&mut self, path: &Path) {
        let source = self.plan.text([HOST.as_ref(), path.as_os_str()].concat_os());
        let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | libc::AT_SYMLINK_NOFOLLOW as u64;
        self.plan
            .call(
                format!("copy the mount of {}", path.display()),
                libc::SYS_open_tree,
                &[libc::AT_FDCWD.into(), source.into(), flags.into()],
            )
            .store(1);
        self.attach(Arg::Slot(1), path, false);
        self.plan.call("close a mount", libc::SYS_close, &[Arg::Slot(1)]);
    }

    fn attach(&mut self, tree: Arg, path: &Path, distrusted: bool) {
        let (empty, target) = (self.plan.text(""), self.plan.text(path));
        if distrusted {
            let how =
                self.plan.words(&[(libc::O_PATH | libc::O_CLOEXEC) as u64, 0, libc::RESOLVE_NO_SYMLINKS]);
            self.plan
                .call(
                    format!("open the place of {}", path.display()),
                    libc::SYS_openat2,
                    &[libc::AT_FDCWD.into(), target.into(), how.into(), 24.into()],
                )
                .store(2);
            let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
            self.plan.call(
                format!("attach {}", path.display()),
                libc::SYS_move_mount,
                &[tree, empty.into(), Arg::Slot(2), empty.into(), flags.into()],
            );
            self.plan.call("close a place", libc::SYS_close, &[Arg::Slot(2)]);
            return;
        }
        self.plan.call(
            format!("attach {}", path.display()),
            libc::SYS_move_mount,
            &[tree, empty.into(), libc::AT_FDCWD.into(), target.into(), MOVE_MOUNT_F_EMPTY_PATH.into()],
        );
    }
}

fn attr_words(plan: &mut Plan, attr: &MountAttr) -> u64 {
    plan.words(&[attr.attr_set, attr.attr_clr, attr.propagation, attr.userns_fd])
}

trait ConcatOs {
    fn concat_os(&self) -> std::ffi::OsString;
}

impl ConcatOs for [&OsStr; 2] {
    fn concat_os(&self) -> std::ffi::OsString {
        self.iter().copied().collect()
    }
}
