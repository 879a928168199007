//! Data directories: made private, or left alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;

use crate::harness::{Server, client, cupel, cupel_on_file, for_anybody, run};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_of_something_else_is_refused_and_stays_as_it_is() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().to_str().unwrap();
    set_mode(own.path(), 0o755);
    fs::write(own.path().join("thesis.tex"), "of somebody").unwrap();
    for command in [
        "serve --listen 127.0.0.1:0 --control 127.0.0.1:0",
        "keys create --name n --scope read",
    ] {
        let (code, out, err) = run(cupel().args(command.split(' ')).args(["--data", data]));
        assert_eq!((code, out.as_str()), (78, ""), "{err}");
        assert!(
            err.contains("thesis.tex") && err.contains("--data") && err.lines().count() == 1,
            "{err}"
        );
        assert_eq!(mode(own.path()), 0o755);
        assert_eq!(fs::read_dir(own.path()).unwrap().count(), 1);
    }
}

#[test]
fn what_a_failed_start_leaves_does_not_refuse_the_next() {
    let own = tempfile::tempdir().unwrap();
    fs::write(own.path().join("log"), "").unwrap();
    let socket = own.path().join("public.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let server = Server::start(own.path(), &[]);
    assert_eq!(server.get("/robots.txt").status(), 200);
}

#[test]
fn a_directory_of_ones_own_is_made_private() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::create_dir(data.join("lost+found")).unwrap();
    set_mode(&data, 0o755);
    let mut server = Server::start(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    server.stop();
    set_mode(&data, 0o750);
    let server = Server::start(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    drop(server);
}

/// As Kubernetes hands a volume to a group (fsGroup).
#[test]
fn a_directory_that_is_another_s_and_open_to_our_group_serves() {
    const GROUP: u32 = 65_532;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("needs root, to give a directory away");
        return;
    }
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    fs::create_dir(&data).unwrap();
    set_mode(own.path(), 0o755);
    chown(&data, None, Some(GROUP)).unwrap();
    set_mode(&data, 0o2775);
    let (_folder, mut command) = for_anybody();
    command
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .arg("--data")
        .arg(&data)
        .uid(GROUP)
        .gid(GROUP);
    let server = Server::spawn(command, &data, client());
    assert_eq!(server.get("/robots.txt").status(), 200);
    assert_eq!(mode(&data), 0o2775);
    let said = "others may open the data directory";
    assert!(server.log().contains(said), "{}", server.log());
}

/// Every file and directory below, with its mode.
fn modes(under: &Path, seen: &mut Vec<(PathBuf, u32)>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        seen.push((path.clone(), mode(&path)));
        if path.is_dir() {
            modes(&path, seen);
        }
    }
}

#[test]
fn what_it_makes_is_for_its_owner_alone_whatever_the_umask() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("data");
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 000; exec \"$@\"", "sh"])
        .arg(cupel_on_file().get_program())
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .arg("--data")
        .arg(&data);
    let server = Server::spawn(command, &data, client());
    server.post(
        "/short-links",
        serde_json::json!({"url": "https://a.example/", "code": "go"}),
    );
    assert_eq!(server.get("/go").status(), 302);
    let mut seen = Vec::new();
    modes(&data, &mut seen);
    assert!(seen.len() > 10, "{seen:?}");
    let open: Vec<_> = seen.iter().filter(|(_, mode)| mode & 0o077 != 0).collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn commands_work_on_the_directory_that_the_server_is_configured_with() {
    let own = tempfile::tempdir().unwrap();
    let data = own.path().join("real");
    let file = own.path().join("cupel.toml");
    fs::write(&file, format!("data = {:?}\n", data.to_str().unwrap())).unwrap();
    let elsewhere = own.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let create = |with: &mut dyn FnMut(&mut Command)| {
        let mut command = cupel_on_file();
        command
            .args(["keys", "create", "--name", "n", "--scope", "admin"])
            .current_dir(&elsewhere);
        with(&mut command);
        let (code, key, err) = run(&mut command);
        assert_eq!(code, 0, "{err}");
        key.trim().to_owned()
    };
    let by_file = own.path().join("data-file");
    fs::write(&by_file, format!("{}\n", data.display())).unwrap();
    let keys = [
        create(&mut |command| {
            command.arg("--config").arg(&file);
        }),
        create(&mut |command| {
            command.env("CUPEL_CONFIG", &file);
        }),
        create(&mut |command| {
            command.env("CUPEL_DATA_FILE", &by_file);
        }),
    ];
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let mut command = cupel_on_file();
    command
        .args(["serve", "--listen=127.0.0.1:0", "--control=127.0.0.1:0"])
        .arg("--config")
        .arg(&file);
    let server = Server::spawn(command, &data, client());
    for key in keys {
        assert_eq!(server.api_as(&key, Method::GET, "/keys", None).0, 200);
    }
}
