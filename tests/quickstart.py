#!/usr/bin/env python3
"""Keeps the README true: runs every ```console block and compares what it shows with what comes.

A line that begins with `$ ` is a command, the lines below it are its output. All blocks run in one
empty folder, in order. `sojourn up …` stays in the background until the end; the lines shown below
it are its first ones. What differs from run to run (times, ids, durations, byte counts) is
normalised on both sides; a line `…` stands for any number of lines.

    tests/quickstart.py            compare
    tests/quickstart.py --write    put the real output into the README
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BINARY = pathlib.Path(os.environ.get("SOJOURN_BIN", HERE.parent / "target/release/sojourn"))
PORTS = (8080, 8090, 8070)
COMMAND_SECONDS_MAX = 60
READY_SECONDS_MAX = 30
BLOCK = re.compile(r"```console\n(.*?)```", re.S)

# In this order; each pair is a pattern and what stands for it.
VOLATILE = [
    (re.compile(r"\x1b\[[0-9;]*m"), ""),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
    (re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\b,?"), "<day>"),
    (re.compile(r"\b\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*( \d{4})?"), "<date>"),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?(\.\d+)?\b"), "<clock>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b"), "<id>"),
    (re.compile(r"\b[a-z]?[0-9a-f]*[0-9][0-9a-f]*[a-f][0-9a-f]*\b(?<=\w{6})"), "<id>"),
    (re.compile(r"\b[dpav][0-9a-f]{1,32}(-[0-9a-f]+)*\b"), "<id>"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|µs|s|min|h|MB|KB|B|MiB|GiB)\b"), "<amount>"),
    (re.compile(r"\b(today|tomorrow|yesterday)\b"), "<day>"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"[-─━]{3,}"), "---"),
]


def normal(line):
    for pattern, stand_in in VOLATILE:
        line = pattern.sub(stand_in, line)
    return line.strip()


def blocks(text):
    """[(command, shown lines)] of each block."""
    for match in BLOCK.finditer(text):
        steps = []
        for line in match.group(1).rstrip("\n").split("\n"):
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif steps and steps[-1][0].endswith("\\") and not steps[-1][1]:
                steps[-1] = (steps[-1][0] + "\n" + line, [])
            elif steps:
                steps[-1][1].append(line)
        yield match, steps


def matches(shown, came):
    """Whether the lines that came are those shown, `…` standing for any number."""
    if not shown:
        return not came
    if shown[0].strip() == "…":
        return any(matches(shown[1:], came[i:]) for i in range(len(came) + 1))
    return bool(came) and normal(shown[0]) == normal(came[0]) and matches(shown[1:], came[1:])


def lines(text):
    found = [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")]
    while found and not found[-1]:
        found.pop()
    return found


class Shell:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sojourn-readme-")
        self.background = []
        # The README says `sojourn`; a folder of its own holds it, whatever the binary is called.
        tools = pathlib.Path(self.folder.name) / ".bin"
        tools.mkdir()
        (tools / "sojourn").symlink_to(BINARY)
        self.home = pathlib.Path(self.folder.name) / "here"
        self.home.mkdir()
        self.environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "100", "TZ": "UTC", "USER": "you"}

    def run(self, command):
        if re.match(r"sojourn (up|demo)\b", command):
            return self.keep_running(command)
        done = subprocess.run(command, shell=True, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX)
        time.sleep(0.6)  # as a person would: the next command comes a moment later
        return lines(done.stdout + done.stderr)

    def keep_running(self, command):
        log = self.home.parent / f"background-{len(self.background)}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(command, shell=True, cwd=self.home, env=self.environment, stdout=out, stderr=out, start_new_session=True)
        self.background.append((process, log))
        end = time.monotonic() + READY_SECONDS_MAX
        size, still = -1, 0
        while time.monotonic() < end and still < 8:  # its greeting is over when it has been silent for a while
            time.sleep(0.25)
            still = still + 1 if log.stat().st_size == size and size > 0 else 0
            size = log.stat().st_size
        return lines(log.read_text(errors="replace"))

    def close(self):
        for process, _ in self.background:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(self.folder.name, ignore_errors=True)


def busy(port):
    with socket.socket() as s:
        s.settimeout(0.5)
        return s.connect_ex(("127.0.0.1", port)) == 0


def main():
    write = "--write" in sys.argv
    text = README.read_text(encoding="utf-8")
    taken = [p for p in PORTS if busy(p)]
    if taken:
        print(f"the quick start needs the ports it shows; in use: {taken}\n0 passed, 1 failed")
        return 1
    shell, passed, failed, replaced = Shell(), 0, 0, []
    try:
        for match, steps in blocks(text):
            body = ""
            for command, shown in steps:
                came = shell.run(command)
                body += f"$ {command}\n" + "".join(line + "\n" for line in came)
                if matches(shown, came):
                    passed += 1
                elif not write:
                    failed += 1
                    print(f"FAILED $ {command}")
                    print("  the README shows:", *(f"    {normal(line)}" for line in shown), sep="\n")
                    print("  what came:", *(f"    {normal(line)}" for line in came), sep="\n")
            replaced.append((match.span(1), body))
    finally:
        shell.close()
    if write:
        for (start, end), body in reversed(replaced):
            text = text[:start] + body + text[end:]
        README.write_text(text, encoding="utf-8")
        print(f"{len(replaced)} blocks written")
        return 0
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
