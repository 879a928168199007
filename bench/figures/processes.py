"""Processes as the kernel shows them: trees, processor time, pausing. Linux only."""

import os
import signal
import time

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(path):
    """(name, state, parent, seconds of user and system time), or None when it has gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A name may hold anything, parentheses too: the last one ends it.
    before, after = text.rsplit(")", 1)
    fields = after.split()
    name = before.split("(", 1)[1]
    return name, fields[0], int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS


def tree(root):
    """A process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            found = _stat(f"/proc/{entry}/stat")
            if found:
                children.setdefault(found[2], []).append(int(entry))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def processor_seconds(pids):
    """User and system time of processes, with their threads that have ended."""
    stats = [_stat(f"/proc/{pid}/stat") for pid in pids]
    return sum(found[3] for found in stats if found)


def thread_seconds(pid):
    """[(thread id, name, seconds)] of a process's living threads."""
    threads = []
    try:
        entries = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return threads
    for entry in entries:
        found = _stat(f"/proc/{pid}/task/{entry}/stat")
        if found:
            threads.append((int(entry), found[0], found[3]))
    return threads


def pause(root):
    """Stops a whole tree, and returns when the kernel says that it has stopped."""
    pids = tree(root)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + 5
    while any((found := _stat(f"/proc/{pid}/stat")) and found[1] not in "TZ" for pid in pids):
        if time.monotonic() > until:
            raise RuntimeError(f"process {root} and its children do not stop")
        time.sleep(0.002)


def resume(root):
    """Lets a stopped tree go on."""
    for pid in tree(root):
        os.kill(pid, signal.SIGCONT)


def end(process):
    """Ends a tree in order, and at once if it does not end in order."""
    if process.poll() is not None:
        return
    pids = tree(process.pid)
    resume(process.pid)
    process.terminate()
    try:
        process.wait(20)
    except Exception:  # whatever it was, nothing may be left running
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
