"""Medians, spreads and same-round ratios as Markdown; what the machine is."""

import os
import platform
from statistics import median


def read(path, otherwise="?"):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return otherwise


def filesystem(path):
    """Type and mount point of the file system that a path is on."""
    path, best = os.path.realpath(path), ("", "?")
    for line in read("/proc/mounts", "").splitlines():
        _, mount, kind = line.split()[:3]
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, kind)
    return f"{best[1]} ({best[0]})"


def machine(folder):
    """What the figures depend on, as {name: text}."""
    models = {
        line.split(":", 1)[1].strip()
        for line in read("/proc/cpuinfo", "").splitlines()
        if line.startswith("model name")
    }
    autogroup = read("/proc/sys/kernel/sched_autogroup_enabled", "absent")
    return {
        "processors": str(len(os.sched_getaffinity(0))),
        "model": ", ".join(sorted(models)) or platform.machine(),
        "kernel": platform.release(),
        "data on": filesystem(folder),
        "autogroup": {"1": "on; all servers and wrk share one session", "0": "off"}.get(
            autogroup, autogroup
        ),
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def spread(values, digits):
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def ratio(mine, theirs):
    """The median of the ratios of the same round."""
    return f"{median(a / b for a, b in zip(mine, theirs)):.2f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" for _ in head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def lines_of(rounds):
    """Name -> (rounds, group): a line for each target, two for one whose threads are told apart."""
    lines = {}
    for name, measured in rounds.items():
        lines[name] = (measured, "all")
        if "hit" in measured[0]["cpu_us"]:
            lines[f"{name}, hit path only"] = (measured, "hit")
    return lines


def closed(rounds, references):
    """The closed loop: {target: [round]} as a table."""
    head = ["target", "CPU-µs/request", *(f"÷ {name}" for name in references)]
    head += ["requests/s", "p50 ms", "p99 ms", "errors"]
    cpu = {
        name: [one["cpu_us"][group] for one in measured]
        for name, (measured, group) in lines_of(rounds).items()
    }
    rows = []
    for name, (measured, _) in lines_of(rounds).items():
        row = [name, spread(cpu[name], 2)]
        row += [ratio(cpu[name], cpu[other]) if other in cpu else "" for other in references]
        row.append(spread([one["rate"] for one in measured], 0))
        row.append(spread([one["p50_us"] / 1000 for one in measured], 2))
        row.append(spread([one["p99_us"] / 1000 for one in measured], 2))
        row.append(str(sum(one["errors"] for one in measured)))
        rows.append(row)
    return table(head, rows)


def groups(rounds):
    """Where the processor time of targets with known threads went."""
    head = ["target", "workers", "journal threads", "settling and the rest", "together"]
    rows = []
    for name, measured in rounds.items():
        if "hit" not in measured[0]["cpu_us"]:
            continue
        used = [one["cpu_us"] for one in measured]
        rest = [one["all"] - one["hit"] for one in used]
        columns = [[one["workers"] for one in used], [one["journal"] for one in used], rest]
        columns.append([one["all"] for one in used])
        rows.append([name, *(spread(column, 2) for column in columns)])
    return table(head, rows) if rows else ""


def whole_lives(lives):
    """What a hit cost in all, settling included: {target: life}."""
    head = ["target", "hits", "CPU-µs/hit with all settling", "came to rest"]
    rows = []
    for name, life in lives.items():
        rested = "yes" if life["rested"] else "NO: too little"
        rows.append([name, str(life["answered"]), f"{life['cpu_us']:.2f}", rested])
    return table(head, rows)


def opened(rounds, references):
    """The open loop: {target: [round]} as a table."""
    head = ["target", "p50 ms", "p99 ms", *(f"÷ {name}" for name in references)]
    head += ["p99.9 ms", "max ms", "CPU-µs/request", "behind p99 ms", "lost", "doubtful"]
    at = {
        name: {key: [one["latency_us"][key] / 1000 for one in measured] for key in
               ("p50", "p99", "p99.9", "max")}
        for name, measured in rounds.items()
    }
    rows = []
    for name, measured in rounds.items():
        mine = at[name]
        row = [name, spread(mine["p50"], 2), spread(mine["p99"], 2)]
        for other in references:
            row.append(ratio(mine["p99"], at[other]["p99"]) if other in at else "")
        row += [spread(mine["p99.9"], 2), spread(mine["max"], 1)]
        row.append(spread([one["cpu_us"] for one in measured], 2))
        row.append(spread([one["behind_us"]["p99"] / 1000 for one in measured], 2))
        lost = (one[kind] for one in measured for kind in ("broken", "pending", "unsent"))
        row.append(str(sum(lost)))
        row.append(f"{sum(one['doubt'] is not None for one in measured)} of {len(measured)}")
        rows.append(row)
    return table(head, rows)
