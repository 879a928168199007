"""What asks: wrk in a closed loop, cupel-load in an open one."""

import json
import os
import subprocess

LUA = """
local requests = {{
{requests}
}}
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end
function init()
  -- Threads begin at different tokens, so that they do not walk in step.
  at = number * math.floor(#requests / {threads})
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {{"requests": %d, "seconds": %f, "p50_us": %f, "p99_us": %f, "errors": %d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
WRK_THREADS = 2


def lua_string(text):
    """A text as Lua reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", "\\r").replace("\n", "\\n") + '"'


def prepare(contender, headers):
    """Writes the script of wrk and the list of cupel-load for a contender."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    requests = ",\n".join(
        lua_string(f"GET {path} HTTP/1.1\r\nHost: {contender.host}\r\n{lines}\r\n")
        for path in contender.paths
    )
    with open(os.path.join(contender.folder, "wrk.lua"), "w", encoding="utf-8") as file:
        file.write(LUA.format(requests=requests, threads=WRK_THREADS))
    with open(os.path.join(contender.folder, "urls"), "w", encoding="utf-8") as file:
        file.writelines(f"http://{contender.host}{path}\n" for path in contender.paths)


def closed_loop(contender, options, connections, seconds):
    """One round of wrk: what it reports, and the processor time that it cost the server."""
    command = [options.wrk, f"-t{WRK_THREADS}", f"-c{connections}", f"-d{seconds}s"]
    command += ["--timeout", "5s", "-s", os.path.join(contender.folder, "wrk.lua")]
    before = contender.used()
    done = subprocess.run(
        command + [f"http://{contender.host}/"], capture_output=True, text=True, check=True
    )
    after = contender.used()
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    if result["requests"] == 0:
        raise RuntimeError(f"{contender.name} answered nothing")
    contender.answered += result["requests"]
    result["rate"] = result["requests"] / result["seconds"]
    result["cpu_us"] = {
        group: (after[group] - before[group]) * 1e6 / result["requests"] for group in after
    }
    return result


def open_loop(contender, options, rate, seed):
    """One round of cupel-load at a fixed rate."""
    command = [options.load, "--urls", os.path.join(contender.folder, "urls"), "--json"]
    command += ["--rate", str(rate), "--seconds", str(options.seconds), "--seed", str(seed)]
    command += ["--connections", str(options.open_connections), "--headers", options.headers]
    before = contender.used()["all"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    contender.answered += result["answered"]
    result["cpu_us"] = (contender.used()["all"] - before) * 1e6 / result["answered"]
    return result
