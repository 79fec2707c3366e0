#!/usr/bin/env python3
"""Checks what is in deploy/ without a container runtime: the pieces agree with each other.

The unit has every hardening key, the compose file parses and is as closed as the unit, and the
Dockerfile, the compose file, the unit and the program name the same binary, folder and ports.
Needs PyYAML (tests/suites/deploy.sh installs it into the tests' own environment).
"""

import configparser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

sys.dont_write_bytecode = True
import deploy_distributed  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
BINARY = "/usr/local/bin/sojourn"
EXPOSURE_MAX = 2.5  # systemd-analyze security: 0 is closed, 10 is open
HARDENING = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
    "ProtectClock": "yes", "ProtectHostname": "yes", "ProtectKernelLogs": "yes", "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes", "ProtectControlGroups": "yes", "RestrictNamespaces": "yes", "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes", "LockPersonality": "yes", "MemoryDenyWriteExecute": "yes", "CapabilityBoundingSet": "",
    "SystemCallArchitectures": "native", "DynamicUser": "yes", "UMask": "0077",
}



def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=", comment_prefixes="#")
    parser.optionxform = str
    parser.read(DEPLOY / "sojourn.service")
    return parser


def dockerfile():
    """Instructions of the last stage as (word, rest), continuation lines joined."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(None, 1)) for line in lines]


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def last_stage(instructions):
    start = max(i for i, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[start:]


def test_the_unit_is_hardened():
    service = unit()["Service"]
    for key, want in HARDENING.items():
        assert service.get(key) == want, f"{key}={service.get(key)!r}, expected {want!r}"
    assert "@system-service" in (DEPLOY / "sojourn.service").read_text()


def test_the_unit_drains_and_comes_back():
    service = unit()["Service"]
    assert service["Restart"] == "on-failure"
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) >= 30, "a drain needs its time"


def test_the_unit_starts_the_installed_binary():
    words = unit()["Service"]["ExecStart"].split()
    assert words[0] == BINARY
    assert "up" in words and words[-1].startswith("/var/lib/" + unit()["Service"]["StateDirectory"])


def test_systemd_agrees():
    if not shutil.which("systemd-analyze"):
        return "systemd-analyze is not here"
    # The binary need not be installed where the test runs.
    text = (DEPLOY / "sojourn.service").read_text().replace(f"ExecStart={BINARY}", "ExecStart=/bin/true")
    folder = pathlib.Path(os.environ.get("SOJOURN_CACHE", ROOT / "tests/.cache")) / "deploy"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "sojourn.service"
    copy.write_text(text)
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--json=short", str(copy)], capture_output=True, text=True)
    if done.returncode != 0 and "offline" in done.stderr:
        return "this systemd-analyze cannot judge offline"
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    exposure = sum(float(row["exposure"]) for row in rows if row.get("exposure"))
    assert exposure <= EXPOSURE_MAX, f"exposure {exposure:.1f}: " + ", ".join(r["name"] for r in rows if r.get("exposure") and float(r["exposure"]) > 0.2)
    print(f"stated: exposure of the unit {exposure:.1f} of 10")
    return None


def test_the_image_holds_only_the_binary_and_runs_as_nobody():
    stage = last_stage(dockerfile())
    users = [rest for word, rest in stage if word == "USER"]
    assert users == ["10001:10001"], users
    assert [json.loads(rest)[0] for word, rest in stage if word == "ENTRYPOINT"] == [BINARY]
    copies = [rest for word, rest in stage if word == "COPY"]
    assert copies == ["--from=build /out/ /"], copies
    installs = [rest for word, rest in dockerfile() if word == "RUN" and "cargo build" in rest]
    assert len(installs) == 1 and f"/out{BINARY}" in installs[0] and "--locked" in installs[0]
    assert not any("apt-get" in rest for _, rest in stage), "the runtime image installs nothing"


def test_the_image_reports_its_health():
    health = [rest for word, rest in last_stage(dockerfile()) if word == "HEALTHCHECK"]
    assert len(health) == 1
    command = json.loads(re.search(r"CMD (\[.*\])", health[0]).group(1))
    port = re.search(r"/dev/tcp/127\.0\.0\.1/(\d+)", command[-1]).group(1)
    exposed = next(rest for word, rest in last_stage(dockerfile()) if word == "EXPOSE").split()
    assert port in exposed and "/readyz" in command[-1]


def test_ports_agree():
    exposed = set(next(rest for word, rest in last_stage(dockerfile()) if word == "EXPOSE").split())
    published = {str(p).split(":")[-1] for p in compose()["services"]["sojourn"]["ports"]}
    assert exposed == published, f"Dockerfile {exposed}, compose {published}"


def test_the_container_listens_where_it_is_exposed():
    environment = dict(rest.split("=", 1) for word, rest in last_stage(dockerfile()) if word == "ENV")
    exposed = next(rest for word, rest in last_stage(dockerfile()) if word == "EXPOSE").split()
    assert environment["SOJOURN_LISTEN"] == f"0.0.0.0:{exposed[0]}"
    source = (ROOT / "crates/cli/src/commands/up.rs").read_text()
    assert '"SOJOURN_LISTEN"' in source, "the program reads what the image sets"


def test_compose_is_closed():
    service = compose()["services"]["sojourn"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["user"] == next(rest for word, rest in last_stage(dockerfile()) if word == "USER")
    mounted = {str(v).split(":")[1] for v in service["volumes"]}
    volume = next(rest for word, rest in last_stage(dockerfile()) if word == "VOLUME")
    assert mounted == {volume}, "everything written lies on the volume"
    assert all(str(p).startswith("127.0.0.1:") for p in service["ports"]), "plain HTTP is not offered to the network"


def test_compose_builds_this_dockerfile():
    build = compose()["services"]["sojourn"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    command = next(json.loads(rest) for word, rest in last_stage(dockerfile()) if word == "CMD")
    assert compose()["services"]["sojourn"]["command"] == command


def test_the_program_takes_these_arguments():
    binary = os.environ.get("SOJOURN_BIN", str(ROOT / "target/release/sojourn"))
    command = next(json.loads(rest) for word, rest in last_stage(dockerfile()) if word == "CMD")
    unit_words = unit()["Service"]["ExecStart"].split()[1:]
    for words in (command, unit_words):
        # `--help` after the arguments: they are parsed, nothing starts.
        done = subprocess.run([binary, *words, "--help"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{words}: {done.stderr}"


def test_the_build_context_is_small():
    ignored = (ROOT / ".dockerignore").read_text().split()
    for folder in (".git", "target", "tests/.cache"):
        assert folder in ignored, folder


def main():
    passed = failed = skipped = 0
    tests = {**vars(deploy_distributed), **globals()}
    for name, test in sorted((n, f) for n, f in tests.items() if n.startswith("test_")):
        try:
            reason = test()
        except Exception as error:  # noqa: BLE001: every failure is reported, then the next test runs
            failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}")
            continue
        if reason:
            skipped += 1
            print(f"skipped: {name}: {reason}")
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
