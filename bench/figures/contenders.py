"""The servers that are compared: how each is started, what it is asked for, what it has used.

Every server is a plain child of this process: no new session is made for any of them. Where the
kernel's autogroup is on, processor time is shared between sessions first and between the threads
of a session second, so a server in a session of its own would get another share than one beside
the load generator. In one session all targets stand alike.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import time
import urllib.request

from . import processes

DESTINATION = "https://www.example.com/spring/sale"
WANTED_HEADERS = {
    "Location": DESTINATION,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
TOKENS = 1000
# Odd, and without a pattern in its digits.
TOKEN_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251
START_SECONDS_MAX = 60
# A server rests when it has used less than this share of a processor for so long.
REST_SHARE = 0.03
REST_SECONDS = 2


class Contender:
    """A server; it is made first and started then, so that a failed start can be cleaned up."""

    def __init__(self, name, folder, options):
        self.name = name
        self.options = options
        self.folder = os.path.join(folder, re.sub(r"\W+", "-", name))
        os.makedirs(self.folder)
        self.process = None
        self.host = ""
        # Requests that were answered since it started.
        self.answered = 0
        # Processor seconds until it was ready.
        self.used_to_start = 0.0
        # As long and as random as Cupel's tokens, for servers that know none: a request's bytes
        # are read one by one.
        self.paths = [f"/c/{n * TOKEN_STEP % 16**48:048x}/1" for n in range(1, TOKENS + 1)]

    def spawn(self, command, **more):
        log = open(os.path.join(self.folder, "log"), "ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CUPEL_")}
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=log, env=environment, **more
        )

    def first_line(self, wanted):
        """The first match in the lines that the server prints."""
        for line in self.process.stdout:
            found = re.search(wanted, line)
            if found:
                return found
        raise RuntimeError(f"{self.name} did not start; see {self.folder}/log")

    def await_port(self):
        host, port = self.host.split(":")
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{self.name} does not listen; see {self.folder}/log")
                time.sleep(0.02)

    def check(self, headers):
        """Whether it gives the answer that all are to give."""
        connection = http.client.HTTPConnection(self.host, timeout=10)
        try:
            connection.request("GET", self.paths[0], headers=dict(headers))
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        got = {name: answer.headers.get(name) for name in WANTED_HEADERS}
        if answer.status != 302 or got != WANTED_HEADERS:
            raise RuntimeError(f"{self.name} answers {answer.status} {got}")

    def used(self):
        """Processor seconds so far, by group; `all` is the whole tree."""
        return {"all": processes.processor_seconds(processes.tree(self.process.pid))}

    def tidy(self):
        """Between rounds, while it is paused."""

    def pause(self):
        processes.pause(self.process.pid)
        self.tidy()

    def resume(self):
        processes.resume(self.process.pid)

    def stop(self):
        if self.process:
            processes.end(self.process)


class Nginx(Contender):
    """nginx that answers `return 302` and writes an access log."""

    def __init__(self, name, folder, options, log_options):
        super().__init__(name, folder, options)
        self.log_options = log_options
        self.log = os.path.join(self.folder, "access.log")

    def start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.host = f"127.0.0.1:{port}"
        headers = "".join(
            f"      add_header {header} {value};\n"
            for header, value in WANTED_HEADERS.items()
            if header != "Location"
        )
        temporary = "".join(
            f"  {kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = os.path.join(self.folder, "nginx.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(
                f"daemon off;\nworker_processes {self.options.workers};\n"
                f"pid {self.folder}/pid;\nerror_log {self.folder}/error.log;\n"
                "events { worker_connections 4096; }\n"
                f"http {{\n{temporary}"
                f"  access_log {self.log} combined{self.log_options};\n"
                "  keepalive_requests 1000000000;\n"
                f"  server {{\n    listen {self.host};\n    location / {{\n{headers}"
                f"      return 302 {DESTINATION};\n    }}\n  }}\n}}\n"
            )
        command = [self.options.nginx, "-e", f"{self.folder}/error.log"]
        self.spawn(command + ["-p", self.folder, "-c", configuration])
        self.await_port()

    def tidy(self):
        # Opened for appending, so that writing goes on at the new end.
        os.truncate(self.log, 0)


class Bare(Contender):
    """A reference server of this package."""

    def __init__(self, name, folder, options, mode):
        super().__init__(name, folder, options)
        self.mode = mode

    def start(self):
        workers = str(self.options.workers)
        command = [self.options.bare, "--mode", self.mode, "--workers", workers]
        self.spawn(command, stdout=subprocess.PIPE, text=True)
        self.host = self.first_line(r"http://(\S+)").group(1)
        self.await_port()


class Cupel(Contender):
    """Cupel on a directory of its own, with a campaign, a link and tokens."""

    def __init__(self, name, folder, options, binary):
        super().__init__(name, folder, options)
        self.binary = binary
        self.hit_threads = re.compile(options.hit_threads)
        self.data = os.path.join(self.folder, "data")
        self.control = self.key = ""

    def start(self):
        os.makedirs(self.data)
        with open(os.path.join(self.data, "cupel.toml"), "w", encoding="utf-8") as file:
            file.write("\n".join(self.options.cupel_config or []) + "\n")
        # Its output goes to a file: nobody reads it later, and a full pipe would hold it up.
        output = os.path.join(self.folder, "output")
        command = [self.binary, "serve", "--data", self.data]
        command += ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
        with open(output, "wb") as file:
            self.spawn(command, stdout=file)
        said = self._await_ready(output)
        self.host = re.search(r"public\s+http://(\S+)", said).group(1)
        self.control = re.search(r"control\s+(http://[^/\s]+)", said).group(1)
        self.await_port()
        with open(os.path.join(self.data, "admin.key"), encoding="utf-8") as file:
            self.key = file.read().strip()
        self.paths = self._mint()

    def _await_ready(self, output):
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until and self.process.poll() is None:
            with open(output, encoding="utf-8") as file:
                said = file.read()
            if re.search(r"^\s*ready\b", said, re.MULTILINE):
                return said
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not start; see {self.folder}/log")

    def _post(self, path, body):
        request = urllib.request.Request(
            f"{self.control}/api/v1{path}",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=60) as answer:
            return json.load(answer)

    def _mint(self):
        campaign = {"name": "Spring", "home_url": "https://www.example.com/"}
        campaign = self._post("/campaigns", campaign)["id"]
        link = self._post(f"/campaigns/{campaign}/links", {"url": DESTINATION})["number"]
        recipients = [f"reader-{n}@example.org" for n in range(1, TOKENS + 1)]
        minted = self._post(f"/campaigns/{campaign}/mint", {"recipients": recipients})
        return [f"/c/{message['token']}/{link}" for message in minted["messages"]]

    def drain(self, seconds):
        """Lets it settle what it has, until it rests. Returns whether it came to rest."""
        self.resume()
        until = time.monotonic() + seconds
        before = self.used()["all"]
        while time.monotonic() < until:
            time.sleep(REST_SECONDS)
            now = self.used()["all"]
            if now - before < REST_SHARE * REST_SECONDS:
                return True
            before = now
        return False

    def used(self):
        """Also `hit`: workers and the journal's threads. The rest is settling and housekeeping,
        which may lag behind the load and is then charged to a later round."""
        pid = self.process.pid
        threads = thread_groups(processes.thread_seconds(pid), self.hit_threads)
        return super().used() | threads


def thread_groups(threads, hit_threads):
    """Seconds of workers, of the journal's threads, and of both."""
    workers = sum(took for _, name, took in threads if hit_threads.search(name))
    journal = sum(took for _, name, took in threads if name.startswith("journal"))
    return {"workers": workers, "journal": journal, "hit": workers + journal}
