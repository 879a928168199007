//! The real proxies, with the very files of `contrib/`: only ports and paths are replaced.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::authority::Authority;

/// A proxy and its file.
pub(crate) struct Proxy {
    file: &'static str,
    program: &'static str,
    /// Arguments before the file and after it.
    arguments: (&'static [&'static str], &'static [&'static str]),
    /// What stands in the file, and what it becomes: `{http}`, `{https}`, `{cupel}`, `{tls}`, the
    /// directory of certificates, and `{own}`, one for what the proxy writes.
    replaced: &'static [(&'static str, &'static str)],
}

pub(crate) const NGINX: Proxy = Proxy {
    file: "contrib/nginx/nginx.conf",
    program: "nginx",
    arguments: (&["-g", "daemon off; pid nginx.pid;", "-p"], &["-c"]),
    replaced: &[
        (
            "http {\n",
            "http {\n    client_body_temp_path {own}/b; proxy_temp_path {own}/p;\n    \
             fastcgi_temp_path {own}/f; uwsgi_temp_path {own}/u; scgi_temp_path {own}/s;\n",
        ),
        ("listen 80;", "listen 127.0.0.1:{http};"),
        ("listen [::]:80;", ""),
        (
            "listen 443 ssl http2;\n",
            "listen 127.0.0.1:{https} ssl http2;\n",
        ),
        ("listen [::]:443 ssl http2;", ""),
        ("127.0.0.1:8080", "{cupel}"),
        ("/etc/nginx/tls", "{tls}"),
    ],
};

pub(crate) const NGINX_STREAM: Proxy = Proxy {
    file: "contrib/nginx/stream.conf",
    replaced: &[
        ("listen 443;", "listen 127.0.0.1:{https};"),
        ("listen [::]:443;", ""),
        ("127.0.0.1:8443", "{cupel}"),
    ],
    ..NGINX
};

pub(crate) const HAPROXY: Proxy = Proxy {
    file: "contrib/haproxy/haproxy.cfg",
    program: "haproxy",
    arguments: (&["-C"], &["-db", "-f"]),
    replaced: &[
        ("bind :80\n", "bind 127.0.0.1:{http}\n"),
        ("bind :443 ", "bind 127.0.0.1:{https} "),
        ("127.0.0.1:8080", "{cupel}"),
        ("/etc/haproxy/tls/t.example.com.pem", "{tls}/both.pem"),
    ],
};

pub(crate) const HAPROXY_PROTOCOL: Proxy = Proxy {
    file: "contrib/haproxy/proxy-protocol.cfg",
    ..HAPROXY
};

pub(crate) const CADDY: Proxy = Proxy {
    file: "contrib/caddy/Caddyfile",
    program: "caddy",
    arguments: (&["run", "--adapter", "caddyfile", "--config"], &[]),
    replaced: &[
        (
            "{\n\tadmin off\n",
            "{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n\tdefault_bind 127.0.0.1\n",
        ),
        ("t.example.com {", "localhost:{https} {"),
        ("127.0.0.1:8080", "{cupel}"),
        ("/etc/caddy/tls", "{tls}"),
    ],
};

/// A proxy that runs.
pub(crate) struct Behind {
    child: Child,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) authority: Authority,
    own: tempfile::TempDir,
}

impl Behind {
    /// In front of the Cupel at `cupel`.
    pub(crate) fn start(proxy: &Proxy, cupel: SocketAddr) -> Self {
        Self::start_with(proxy, cupel, |text| text)
    }

    /// The same, with a file that was changed once more.
    pub(crate) fn start_with(
        proxy: &Proxy,
        cupel: SocketAddr,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let own = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let leaf = authority.issue("proxy.example");
        leaf.write(own.path());
        let both = format!("{}{}", leaf.chain, leaf.key);
        std::fs::write(own.path().join("both.pem"), both).unwrap();
        let [http, https] = free();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(proxy.file);
        let mut text = std::fs::read_to_string(&file).unwrap();
        let directory = own.path().to_str().unwrap();
        for (written, becomes) in proxy.replaced {
            assert!(text.contains(written), "{}: no {written:?}", proxy.file);
            let becomes = becomes
                .replace("{http}", &http.port().to_string())
                .replace("{https}", &https.port().to_string())
                .replace("{cupel}", &cupel.to_string())
                .replace("{tls}", directory)
                .replace("{own}", directory);
            text = text.replace(written, &becomes);
        }
        let path = own.path().join("proxy.conf");
        std::fs::write(&path, change(text)).unwrap();
        let log = std::fs::File::create(own.path().join("log")).unwrap();
        let mut command = Command::new(proxy.program);
        let (before, after) = proxy.arguments;
        command.args(before);
        if !after.is_empty() {
            command.arg(directory).args(after);
        }
        let child = command
            .arg(&path)
            .env("HOME", directory)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut behind = Self {
            child,
            https,
            http,
            authority,
            own,
        };
        behind.wait();
        behind
    }

    fn wait(&mut self) {
        let until = Instant::now() + crate::harness::PATIENCE;
        while TcpStream::connect(self.https).is_err() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < until, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        let mut file = std::fs::File::open(self.own.path().join("log")).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the proxy's log:\n{}", self.log());
        }
        // Its workers go with it, which they would not after a SIGKILL.
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let ended = asked.and_then(|_| self.child.wait());
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// Addresses that are free: proxies cannot say which they were given.
pub(crate) fn free<const N: usize>() -> [SocketAddr; N] {
    crate::harness::ports().map(|port| ([127, 0, 0, 1], port).into())
}
