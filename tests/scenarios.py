#!/usr/bin/env python3
"""Runs the conformance cases of tests/scenarios through `sojourn simulate`.

A case is a folder (`given/`) or an entry of `ours.py` that is written out as such a folder before
the run. What a case is and when it holds: tests/scenarios/README.md.

    tests/scenarios.py                 all cases
    tests/scenarios.py f0 j12          those whose name contains one of the words
    tests/scenarios.py --list          names and what they show
    tests/scenarios.py --write DIR     our cases as folders
"""

import argparse
import datetime
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE / "scenarios"
CACHE = pathlib.Path(os.environ.get("SOJOURN_CACHE", HERE / ".cache"))
CASE_SECONDS_MAX = 60
INSTANTS = ("at", "until")


def instant(text):
    """An RFC 3339 time as an instant; anything else stays what it is and so differs."""
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        return text


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def show(value):
    return value if isinstance(value, str) else json.dumps(value)


class Tags:
    """`profile_tag`: lines of one tag name one profile, lines of different tags different ones."""

    def __init__(self):
        self.of_tag = {}

    def agrees(self, tag, profile):
        known = self.of_tag.setdefault(tag, profile)
        others = [t for t, p in self.of_tag.items() if p == profile and t != tag]
        return known == profile and not others


def differences(expected, got, tags):
    """Fields that the expected line names and the decision does not carry, as readable text."""
    found = []
    for field, want in expected.items():
        if field == "who":
            values = [i.get("value") for i in got.get("identifiers", [])]
            if want not in values:
                found.append(f"who: expected {want}, the line has {values}")
        elif field == "profile_tag":
            if not tags.agrees(want, got.get("profile")):
                found.append(f"profile_tag {want}: profile {got.get('profile')}, so far {tags.of_tag}")
        elif field in INSTANTS:
            if instant(want) != instant(got.get(field)):
                found.append(f"{field}: expected {want}, got {got.get(field)}")
        elif want != got.get(field) and show(want) != show(got.get(field)):
            found.append(f"{field}: expected {show(want)}, got {show(got.get(field))}")
    return found


BRIEF = ("at", "journey", "run_key", "step", "channel", "endpoint", "outcome", "reason", "until", "zone")


def brief(line):
    who = ",".join(str(i.get("value")) for i in line.get("identifiers", []))
    return " ".join(f"{k}={line[k]}" for k in BRIEF if line.get(k) is not None) + f" who={who}"


def compare(expected, got):
    got = [g for g in got if not (g.get("outcome") == "defer" and g.get("reason") == "arbitration")]
    tags, problems = Tags(), []
    for number, want in enumerate(expected):
        if number >= len(got):
            problems.append(f"line {number + 1} is missing: {json.dumps(want)}")
            continue
        for text in differences(want, got[number], tags):
            problems.append(f"line {number + 1}: {text}")
    for number in range(len(expected), len(got)):
        problems.append(f"line {number + 1} is too many: {brief(got[number])}")
    if problems:
        problems.append("all decisions:")
        problems += ["  " + brief(g) for g in got] or ["  (none)"]
    return problems


def run_case(binary, folder):
    """Problems of one case; an empty list means that it holds."""
    with tempfile.TemporaryDirectory(prefix="sojourn-case-") as scratch:
        # A copy, so that nothing a run leaves behind gets into the case.
        workspace = pathlib.Path(scratch) / "ws"
        shutil.copytree(folder / "ws", workspace)
        out = pathlib.Path(scratch) / "out.jsonl"
        command = [binary, "simulate", str(workspace), "--events", str(folder / "events.jsonl"), "--decisions", str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=CASE_SECONDS_MAX, cwd=scratch)
        except subprocess.TimeoutExpired:
            return [f"no end after {CASE_SECONDS_MAX} s"]
        refused = folder / "refused.txt"
        if refused.exists():
            said = " ".join(done.stderr.split())
            lacking = [words for words in refused.read_text(encoding="utf-8").splitlines() if words not in said]
            if done.returncode == 0 or lacking:
                return [f"exit code {done.returncode}; the error lacks {lacking}:", *done.stderr.strip().splitlines()[-15:]]
            return []
        if done.returncode != 0:
            return [f"exit code {done.returncode}", *((done.stderr or done.stdout).strip().splitlines()[-15:])]
        try:
            got = read_lines(out)
        except (OSError, ValueError) as error:
            return [f"decisions: {error}"]
        return compare(read_lines(folder / "expected.jsonl"), got)


def our_cases():
    path = CASES / "ours.py"
    if not path.exists():
        return []
    spec = importlib.util.spec_from_file_location("ours", path)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)
    return module.CASES


def collect(into):
    """Folders of all cases: the given ones, then ours, written out under `into`."""
    shutil.rmtree(into, ignore_errors=True)
    for case in our_cases():
        case.write(into / case.name)
    given = sorted(p for p in (CASES / "given").iterdir() if (p / "events.jsonl").exists())
    ours = sorted(p for p in into.iterdir()) if into.exists() else []
    names = [p.name for p in given + ours]
    twice = {n for n in names if names.count(n) > 1}
    assert not twice, f"two cases of one name: {twice}"
    return given + ours


def waiting():
    reasons = {}
    for line in (CASES / "waiting.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, reason = line.split(maxsplit=1)
            reasons[name] = reason
    return reasons


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="run only cases whose name contains one of these")
    parser.add_argument("--bin", default=os.environ.get("SOJOURN_BIN", str(HERE.parent / "target/release/sojourn")))
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 2))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", metavar="DIR")
    options = parser.parse_args()

    folders = collect(pathlib.Path(options.write) if options.write else CACHE / "scenarios")
    if options.write:
        print(f"{len(our_cases())} cases written to {options.write}")
        return 0
    if options.words:
        folders = [f for f in folders if any(w in f.name for w in options.words)]
    if options.list:
        for folder in folders:
            print(f"{folder.name:55} {(folder / 'note.md').read_text(encoding='utf-8').strip()}")
        return 0
    if not folders:
        print("no case of that name", file=sys.stderr)
        return 2

    expected_to_wait = waiting()
    unknown = set(expected_to_wait) - {f.name for f in collect(CACHE / "scenarios")}
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda f: run_case(options.bin, f), folders))
    passed = failed = skipped = 0
    for folder, problems in zip(folders, results):
        if not problems:
            passed += 1
        elif folder.name in expected_to_wait:
            skipped += 1
            print(f"skipped: {folder.name}: {expected_to_wait[folder.name]}")
        else:
            failed += 1
            print(f"FAILED {folder.name}: {(folder / 'note.md').read_text(encoding='utf-8').strip()}")
            for line in problems:
                print(f"    {line}")
    for name in sorted(unknown):
        failed += 1
        print(f"FAILED waiting.txt names {name}, which is no case")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
