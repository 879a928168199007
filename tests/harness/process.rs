//! The binary as a process: how it is started, and what it said.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// Names the PostgreSQL server that everything is to be run on, without a database.
const ON_POSTGRES: &str = "CUPEL_TEST_POSTGRES";
/// The lowest port that is asked for. Those below have names that something may know.
const FIRST: u32 = 12_000;

/// Steps between where two test programs that run at once begin to look.
const APART: u32 = 32;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The binary under test.
pub fn cupel() -> Command {
    let binary = env!("CARGO_BIN_EXE_cupel");
    let Some(server) = std::env::var_os(ON_POSTGRES) else {
        return cupel_on_file();
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/on-postgres");
    let mut command = unnamed(Command::new(script));
    command.arg(binary).env(ON_POSTGRES, server);
    command
}

/// The same with its store in a file, for what is about that file.
pub fn cupel_on_file() -> Command {
    unnamed(Command::new(env!("CARGO_BIN_EXE_cupel")))
}

/// The PostgreSQL server that everything is run on, if it is.
pub fn postgres() -> Option<String> {
    std::env::var(ON_POSTGRES).ok()
}

/// Without what the environment would say to it.
fn unnamed(mut command: Command) -> Command {
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("CUPEL_"));
    ours.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
}

/// The binary where everybody may start it: a checkout may lie in a folder of its owner's. It goes
/// with the folder.
pub fn for_anybody() -> (TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("cupel");
    std::fs::copy(env!("CARGO_BIN_EXE_cupel"), &binary).unwrap();
    let mut command = unnamed(Command::new(binary));
    command.current_dir("/");
    (folder, command)
}

/// Flags for ports of the system's choice, where a test does not say otherwise.
pub fn free_ports(flags: &[&str]) -> Vec<&'static str> {
    let named = |flag: &&&str| !flags.contains(flag);
    let free = ["--listen", "--control"];
    let free = free.iter().filter(named);
    free.flat_map(|flag| [*flag, "127.0.0.1:0"]).collect()
}

/// Ports of loopback that nobody has and that the system gives to nobody: they lie below those it
/// chooses from. One that it chose once and took back may be the source of some connection a moment
/// later, and the server that was told of it then cannot start.
pub fn ports<const N: usize>() -> [u16; N] {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let end: u32 = range.split_whitespace().next().unwrap().parse().unwrap();
    let wide = end.checked_sub(FIRST).filter(|wide| *wide > 1_000);
    let wide = wide.expect("ports below those the system chooses from");
    let began = std::process::id().wrapping_mul(APART);
    let mut free = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed))
        .take(wide as usize)
        .map(|step| (FIRST + began.wrapping_add(step) % wide) as u16)
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    std::array::from_fn(|_| free.next().expect("a free port"))
}

pub fn log_file(data: &Path) -> Stdio {
    let path = data.with_extension("log");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    Stdio::from(file)
}

pub fn log(data: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(data.with_extension("log")) {
        file.read_to_string(&mut text).unwrap();
    }
    text
}

/// A server elsewhere that gives one answer, after doing something; returns its URL.
pub fn answer_once(body: String, before: impl FnOnce() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // The whole head is enough: a client sends on while it is answered.
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
        before();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        // What still comes is heard out, or the answer may be lost with it.
        lines.for_each(drop);
    });
    url
}

/// Runs a command to its end: exit code, standard output, standard error.
pub fn run(command: &mut Command) -> (i32, String, String) {
    let done = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap_or(-1),
        text(done.stdout),
        text(done.stderr),
    )
}
