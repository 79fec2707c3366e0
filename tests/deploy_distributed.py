"""The deployments with a process per role: compose file, Helm chart, dashboard, alerts.

A part of tests/deploy.py. Commands are parsed by the binary, settings by its lint, names of metrics
compared with the operator's page, the chart rendered and read.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "sojourn"
BINARY = os.environ.get("SOJOURN_BIN", str(ROOT / "target/release/sojourn"))
HELM = os.environ.get("SOJOURN_HELM", "")
ROLES = {"gateway", "identity", "engine", "dispatcher", "channels"}
# Read by the program itself, beside what sojourn.yaml names.
KNOWN_TO_THE_PROGRAM = {"SOJOURN_LISTEN", "SOJOURN_CHANNELS", "SOJOURN_ADMIN", "SOJOURN_LINK_KEY"}


def composed():
    return yaml.safe_load((DEPLOY / "compose.distributed.yaml").read_text())["services"]


def ours():
    return {name: service for name, service in composed().items() if service["image"] == "sojourn:local"}


def named_in_storage():
    return set(re.findall(r"\$\{([A-Z_]+)\}", (DEPLOY / "distributed" / "storage.yaml").read_text()))


def parses(words, environment=None):
    """The arguments are read by the program; `--help` after them, and nothing starts."""
    done = subprocess.run([BINARY, *words, "--help"], capture_output=True, text=True, timeout=30, env={**os.environ, **(environment or {})})
    assert done.returncode == 0, f"{words}: {done.stderr}"


def role_of(words):
    """The role that a command runs, as the program itself reads it: on embedded storage it refuses by name."""
    with tempfile.TemporaryDirectory() as folder:
        shop = str(pathlib.Path(folder) / "shop")
        assert subprocess.run([BINARY, "init", shop, "--template", "shop"], capture_output=True).returncode == 0
        words = [shop if word == "/workspace" else word for word in words]
        done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=30)
        assert "one process runs every role" in done.stderr, f"{words}: {done.stderr}"
    return words[words.index("run") + 1]


def test_every_role_is_composed_once():
    found = {name: role_of(service["command"]) for name, service in ours().items() if "run" in service["command"]}
    assert set(found.values()) == ROLES and all(name == role for name, role in found.items()), found


def test_composed_commands_are_the_programs():
    for name, service in ours().items():
        environment = {key: str(value) for key, value in service["environment"].items()}
        parses(service["command"], environment)
        assert ("topics" in service["command"]) == (name == "topics"), name


def test_every_variable_is_read_by_somebody():
    read = KNOWN_TO_THE_PROGRAM | named_in_storage()
    source = "".join(path.read_text() for path in (ROOT / "crates").glob("*/src/**/*.rs"))
    for name in KNOWN_TO_THE_PROGRAM:
        assert f'"{name}"' in source, f"the program does not read {name}"
    for name, service in ours().items():
        assert set(service["environment"]) <= read, f"{name}: {set(service['environment']) - read}"
        assert named_in_storage() <= set(service["environment"]), f"{name} lacks {named_in_storage() - set(service['environment'])}"


def test_the_shipped_storage_is_taken():
    """distributed/storage.yaml in a workspace: no finding, whatever ports and paths it names."""
    with tempfile.TemporaryDirectory() as folder:
        shop = pathlib.Path(folder) / "shop"
        subprocess.run([BINARY, "init", str(shop), "--template", "shop"], check=True, capture_output=True)
        path = shop / "sojourn.yaml"
        text = path.read_text()
        assert text.count("\nstorage: {") == 1, "the template has one line of storage"
        path.write_text(re.sub(r"\nstorage: .*\n", "\n" + (DEPLOY / "distributed" / "storage.yaml").read_text(), text))
        before = subprocess.run([BINARY, "lint", str(shop), "--json"], capture_output=True, text=True)
        assert before.returncode == 0, before.stdout + before.stderr
        environment = {key: str(value) for key, value in ours()["topics"]["environment"].items()}
        environment["KAFKA_BROKERS"] = "127.0.0.1:1"
        done = subprocess.run([BINARY, "topics", str(shop), "--check"], capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
        assert "storage.brokers: no answer from Kafka at 127.0.0.1:1" in done.stderr, done.stderr


def test_composed_roles_are_closed():
    for name, service in ours().items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and service["user"] == "10001:10001", name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert all(volume.endswith(":ro") for volume in service["volumes"]), f"{name} writes nowhere but into memory"
    for name, service in composed().items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), f"{name} is offered to the network"


def test_the_composed_store_and_log_keep_what_they_have():
    store = composed()["valkey"]["command"]
    for setting, value in (("--appendonly", "yes"), ("--appendfsync", "always"), ("--maxmemory-policy", "noeviction")):
        assert store[store.index(setting) + 1] == value, setting
    log = composed()["kafka"]["environment"]
    assert log["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    volumes = set(yaml.safe_load((DEPLOY / "compose.distributed.yaml").read_text())["volumes"])
    for name in ("kafka", "valkey", "prometheus", "grafana"):
        assert any(str(volume).split(":")[0] in volumes for volume in composed()[name]["volumes"]), name


def test_mounted_files_are_there():
    for name, service in composed().items():
        for volume in service.get("volumes", []):
            source = str(volume).split(":")[0]
            assert not source.startswith("./") or (DEPLOY / source).is_file(), f"{name}: {source}"
    scraped = yaml.safe_load((DEPLOY / "distributed" / "prometheus.yaml").read_text())["scrape_configs"][0]["dns_sd_configs"][0]
    assert set(scraped["names"]) == ROLES and scraped["port"] == 8080


# ---- names of metrics ----------------------------------------------------------------------------

def metrics():
    page = (DEPLOY / "metrics.md").read_text()
    return dict(re.findall(r"^\| `(sojourn_\w+)` \| (.*) \|$", page, re.M))


def unknown(expression):
    """Metrics of an expression that nobody emits; buckets belong to histograms alone."""
    names = metrics()
    wrong = []
    for name in re.findall(r"sojourn_\w+", expression):
        plain = re.sub(r"_(bucket|sum|count)$", "", name)
        timed = plain != name and plain.endswith("_seconds")
        if not (name in names or (timed and plain in names)):
            wrong.append(name)
    return wrong


def expressions():
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def test_dashboard_and_alerts_name_metrics_that_are_emitted():
    found = list(expressions())
    assert len(found) > 30
    wrong = {what: unknown(expression) for what, expression in found if unknown(expression)}
    assert not wrong, wrong
    assert unknown("sojourn_engine_lag_recordz") and unknown("sojourn_engine_lag_records_bucket"), "the check itself"


def test_the_dashboard_shows_every_role():
    shown = set(re.findall(r"sojourn_([a-z]+)_", " ".join(expression for _, expression in expressions())))
    assert {"gateway", "identity", "engine", "dispatch"} <= shown, shown
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


# ---- the chart -----------------------------------------------------------------------------------

def helm(*words):
    return subprocess.run([HELM, *words], capture_output=True, text=True, timeout=60)


def rendered(*sets):
    done = helm("template", "shop", str(CHART), *[word for one in sets for word in ("--set", one)])
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def kind(documents, name):
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == name}


EVERYTHING = ("workspace.files.sojourn\\.yaml=workspace: x", "secrets.existingSecret=keys", "tls.existingSecret=tls", "tls.gateway=true", "tls.channels=true",
              "prometheusRule.enabled=true", "podMonitor.enabled=true", "dashboard.enabled=true")


def test_helm_finds_nothing_wrong():
    if not HELM:
        return "helm is not here"
    for sets in (("workspace.existingClaim=ws",), EVERYTHING):
        done = helm("lint", "--strict", str(CHART), *[word for one in sets for word in ("--set", one)])
        assert done.returncode == 0, done.stdout + done.stderr
    refused = helm("template", "shop", str(CHART))
    assert refused.returncode != 0 and "name a workspace" in refused.stderr, refused.stderr
    return None


def test_the_charts_roles():
    if not HELM:
        return "helm is not here"
    for sets in (("workspace.existingClaim=ws",), EVERYTHING):
        documents = rendered(*sets)
        deployments, budgets = kind(documents, "Deployment"), kind(documents, "PodDisruptionBudget")
        assert set(deployments) == set(budgets) == {f"shop-{role}" for role in ROLES}
        for name, one in deployments.items():
            pod = one["spec"]["template"]["spec"]
            labels = one["spec"]["template"]["metadata"]["labels"]
            for selector in (one["spec"]["selector"], budgets[name]["spec"]["selector"]):
                assert selector["matchLabels"].items() <= labels.items(), name
            assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
            assert pod["terminationGracePeriodSeconds"] >= 60
            for container in pod["containers"] + pod.get("initContainers", []):
                security = container["securityContext"]
                assert security["readOnlyRootFilesystem"] is True and security["allowPrivilegeEscalation"] is False and security["capabilities"]["drop"] == ["ALL"]
                assert container["resources"]["requests"] and container["resources"]["limits"]["memory"], name
                environment = {one["name"]: one["value"] for one in container["env"]}
                assert set(environment) <= KNOWN_TO_THE_PROGRAM | named_in_storage() and named_in_storage() <= set(environment), environment
                parses(container["args"], environment)
                volumes = {volume["name"] for volume in pod["volumes"]}
                assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            container = pod["containers"][0]
            assert f"shop-{role_of(container['args'])}" == name
            for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
                assert container[probe]["httpGet"]["path"] == path and container[probe]["httpGet"]["port"] == "http", name
            wanted = "HTTPS" if "tls.gateway=true" in sets and name == "shop-gateway" else "HTTP"
            assert container["readinessProbe"]["httpGet"]["scheme"] == wanted
    return None


def test_the_charts_ports_are_those_of_the_shipped_storage():
    if not HELM:
        return "helm is not here"
    documents = rendered("workspace.existingClaim=ws")
    listen = yaml.safe_load((DEPLOY / "distributed" / "storage.yaml").read_text())["listen"]
    ports = {service["metadata"]["name"]: {port["name"]: port["port"] for port in service["spec"]["ports"]} for service in documents if service["kind"] == "Service"}
    port = lambda name: int(listen[name].rsplit(":", 1)[1])  # noqa: E731
    assert ports == {"shop-gateway": {"http": port("gateway"), "admin": port("admin")}, "shop-channels": {"grpc": port("channels")}}, ports
    dispatcher = kind(documents, "Deployment")["shop-dispatcher"]["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "SOJOURN_CHANNELS", "value": f"http://shop-channels:{port('channels')}"} in dispatcher["env"]
    for service in documents:
        if service["kind"] == "Service":
            deployment = kind(documents, "Deployment")[service["metadata"]["name"]]["spec"]["template"]
            assert service["spec"]["selector"].items() <= deployment["metadata"]["labels"].items()
            named = {port["name"] for port in deployment["spec"]["containers"][0]["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    return None


def test_the_charts_network_lets_in_what_is_listed():
    if not HELM:
        return "helm is not here"
    policies = kind(rendered("workspace.existingClaim=ws"), "NetworkPolicy")
    allowed = {}
    for policy in policies.values():
        role = policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component", "every role")
        for rule in policy["spec"]["ingress"]:
            for port in rule["ports"]:
                allowed.setdefault((role, port["port"]), []).append(rule.get("from"))
    assert set(allowed) == {("every role", "http"), ("gateway", "http"), ("gateway", "admin"), ("channels", "grpc")}, allowed
    assert all(allowed["gateway", "admin"]) and all(allowed["channels", "grpc"]), "only from pods of the release"
    assert allowed["channels", "grpc"][0][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "dispatcher"
    return None


def test_the_charts_files_are_those_beside_it():
    if not HELM:
        return "helm is not here"
    documents = rendered(*EVERYTHING)
    rule = next(one for one in documents if one["kind"] == "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    dashboard = kind(documents, "ConfigMap")["shop-dashboard"]["data"]["sojourn.json"]
    assert json.loads(dashboard) == json.loads((CHART / "files" / "dashboard.json").read_text())
    workspace = kind(documents, "ConfigMap")["shop-workspace"]["data"]
    assert workspace == {"sojourn.yaml": "workspace: x"}, workspace
    return None
