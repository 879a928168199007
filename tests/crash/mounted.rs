//! File systems of a test's own, that it may fill, break and freeze: on a loop device, and tmpfs.
//! Unmounted and detached whatever happens to the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::harness::{eventually, run};

/// Whether this process may mount. Where it may not, the test fails, unless the environment says
/// that this machine is not meant to run it.
pub(crate) fn may_mount(test: &str) -> bool {
    if run(Command::new("id").arg("-u")).1.trim() == "0" {
        return true;
    }
    let excused = std::env::var("CUPEL_NO_ROOT").is_ok_and(|value| value == "1");
    assert!(
        excused,
        "{test} mounts file systems and needs root; run it as root, or set CUPEL_NO_ROOT=1 to \
         leave it out"
    );
    eprintln!("!!! {test} WAS SKIPPED: it needs root, and CUPEL_NO_ROOT=1 is set !!!");
    false
}

/// Runs a tool that has to work; what it printed.
fn tool(name: &str, arguments: &[&str]) -> String {
    let (code, out, err) = run(Command::new(name).args(arguments));
    assert_eq!(code, 0, "{name} {arguments:?}: {err}");
    out
}

/// For when a test may be failing already.
fn try_tool(name: &str, arguments: &[&str]) {
    let (code, _, err) = run(Command::new(name).args(arguments));
    if code != 0 {
        eprintln!("{name} {arguments:?}: {err}");
    }
}

/// What is initialised later would be written while figures are taken.
const EXT4: &[&str] = &[
    "mkfs.ext4",
    "-q",
    "-F",
    "-m",
    "0",
    "-E",
    "lazy_itable_init=0,lazy_journal_init=0",
];

/// A file system of its own on a loop device.
pub(crate) struct Volume {
    own: tempfile::TempDir,
    device: String,
    /// Mounted here, as a server's data directory.
    pub(crate) at: PathBuf,
    mounted: bool,
}

impl Volume {
    /// An ext4, made and mounted.
    pub(crate) fn ext4(mebibytes: u64) -> Self {
        let own = tempfile::tempdir().unwrap();
        let image = own.path().join("image");
        Self::on(&image, mebibytes, EXT4, own)
    }

    /// A btrfs, made and mounted; `None` if this kernel has none, which is said.
    pub(crate) fn btrfs(test: &str, mebibytes: u64) -> Option<Self> {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap();
        if !known.contains("\tbtrfs\n") {
            eprintln!("!!! {test} WAS SKIPPED: this kernel knows no btrfs !!!");
            return None;
        }
        let own = tempfile::tempdir().unwrap();
        let image = own.path().join("image");
        Some(Self::on(&image, mebibytes, &["mkfs.btrfs", "-q"], own))
    }

    /// On a device that is a file of another, which must outlive it.
    pub(crate) fn within(outer: &Self, mebibytes: u64) -> Self {
        Self::on(
            &outer.at.join("image"),
            mebibytes,
            EXT4,
            tempfile::tempdir().unwrap(),
        )
    }

    fn on(image: &Path, mebibytes: u64, make: &[&str], own: tempfile::TempDir) -> Self {
        File::create(image)
            .unwrap()
            .set_len(mebibytes << 20)
            .unwrap();
        let image = image.to_str().unwrap();
        tool(make[0], &[&make[1..], &[image]].concat());
        let device = tool("losetup", &["--find", "--show", image]);
        let at = own.path().join("data");
        std::fs::create_dir(&at).unwrap();
        let mut made = Self {
            own,
            device: device.trim().to_owned(),
            at,
            mounted: false,
        };
        made.mount();
        made
    }

    fn path(&self) -> &str {
        self.at.to_str().unwrap()
    }

    pub(crate) fn mount(&mut self) {
        tool("mount", &[&self.device, self.path()]);
        self.mounted = true;
    }

    /// Nothing may use it any more.
    pub(crate) fn unmount(&mut self) {
        let path = self.path().to_owned();
        let unmounted = || run(Command::new("umount").arg(&path));
        eventually("unmounting", unmounted, |(code, ..)| *code == 0);
        self.mounted = false;
    }

    /// Writes everything back, as the kernel does every half minute.
    pub(crate) fn write_back(&self) {
        tool("sync", &["--file-system", self.path()]);
    }

    /// As ext4 does when it meets an error: it can only be read from now on.
    pub(crate) fn abort(&self) {
        tool("mount", &["-o", "remount,abort", self.path()]);
    }

    /// Whoever writes now is held up, in the kernel, until the guard is dropped: a hung disk.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        tool("fsfreeze", &["--freeze", self.path()]);
        Frozen(self)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            try_tool("umount", &["--lazy", self.path()]);
        }
        try_tool("losetup", &["--detach", &self.device]);
        let _kept_until_here = &self.own;
    }
}

/// A file system that takes nothing and says nothing.
pub(crate) struct Frozen<'a>(&'a Volume);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        try_tool("fsfreeze", &["--unfreeze", self.0.path()]);
    }
}

/// Cuts an ext4's power: from then on nothing reaches its disk, not even what its own log holds
/// in memory, and every write is answered with EIO. Ready beforehand, so that it takes no time.
pub(crate) struct Cutter(Child);

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    at = os.open(sys.argv[1], os.O_RDONLY)\n\
    print('ready', flush=True); sys.stdin.readline()\n\
    fcntl.ioctl(at, 0x8004587d, struct.pack('I', 2)); print('cut', flush=True)";

impl Cutter {
    pub(crate) fn of(disk: &Volume) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", SHUT_DOWN, disk.path()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut cutter = Self(command.spawn().unwrap());
        assert_eq!(cutter.hear(), "ready");
        cutter
    }

    fn hear(&mut self) -> String {
        let mut line = Vec::new();
        let out = self.0.stdout.as_mut().unwrap();
        // One byte at a time: nothing may be read ahead and lost.
        BufReader::with_capacity(1, out)
            .read_until(b'\n', &mut line)
            .unwrap();
        String::from_utf8(line).unwrap().trim().to_owned()
    }

    /// Cuts; a moment before it, and one after.
    pub(crate) fn cut(mut self) -> (Instant, Instant) {
        let before = Instant::now();
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        assert_eq!(self.hear(), "cut");
        let after = Instant::now();
        assert!(self.0.wait().unwrap().success());
        (before, after)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        // One that was never used holds the file system.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A tmpfs of its own, as a server's data directory.
pub(crate) struct Tmpfs {
    own: tempfile::TempDir,
    pub(crate) at: PathBuf,
}

impl Tmpfs {
    pub(crate) fn new(mebibytes: u64) -> Self {
        let own = tempfile::tempdir().unwrap();
        let at = own.path().join("data");
        std::fs::create_dir(&at).unwrap();
        let size = format!("size={mebibytes}m");
        tool(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", at.to_str().unwrap()],
        );
        Self { own, at }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        try_tool("umount", &["--lazy", self.at.to_str().unwrap()]);
        let _kept_until_here = &self.own;
    }
}

/// Fills what is left, to the last byte that a file can have; deleted, the file gives it back.
pub(crate) fn fill(at: &Path) -> PathBuf {
    let path = at.join("ballast");
    let mut file = File::create(&path).unwrap();
    for chunk in [1 << 20, 4_096, 1] {
        let chunk = vec![1; chunk];
        while file
            .write_all(&chunk)
            .and_then(|()| file.sync_data())
            .is_ok()
        {}
    }
    path
}

/// Bytes that are free there.
pub(crate) fn free_bytes(at: &Path) -> u64 {
    let out = tool("df", &["--output=avail", "-B1", at.to_str().unwrap()]);
    out.lines().last().unwrap().trim().parse().unwrap()
}
