#!/usr/bin/env python3
"""Real channels: `sojourn up` delivers to the channel in Python over gRPC, to a real SMTP server, and
calls a real HTTP service.

    tests/channels.py python BINARY     needs grpcio, grpcio-tools
    tests/channels.py smtp BINARY       needs aiosmtpd
    tests/channels.py calls BINARY
"""

import base64
import contextlib
import email
import email.policy
import hashlib
import hmac
import http.client
import http.server
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "scenarios"))
sys.dont_write_bytecode = True
import notation  # noqa: E402

CHANNEL = HERE.parent / "crates/channels/examples/channel-python/channel.py"
AUTH = "Basic " + base64.b64encode(b"k:").decode()
READY_SECONDS_MAX = 60
ARRIVE_SECONDS_MAX = 60
QUIET_SECONDS = 3  # how long nothing more may come


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, seconds=ARRIVE_SECONDS_MAX):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


class House:
    """`sojourn up` on a workspace whose journeys send on `Ping`."""

    def __init__(self, binary, folder, channels, journey, template):
        self.binary, self.folder, self.process = binary, folder, None
        self.gateway = free_port()
        workspace = notation.base()["sojourn.yaml"]
        workspace["channels"] = channels
        files = {"sojourn.yaml": workspace, **template}
        notation.Case("channels", "real channels", [journey], [], [], {}, files).write(folder)

    def start(self):
        command = [self.binary, "up", str(self.folder / "ws"), "--port", str(self.gateway)]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        if not until(lambda: self.process.poll() is not None or self.status("/readyz") == 200, READY_SECONDS_MAX):
            raise AssertionError("not ready\n" + self.words())
        assert self.process.poll() is None, self.words()

    def words(self):
        return "\n".join((self.folder / "server.log").read_text(errors="replace").splitlines()[-25:])

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def status(self, path):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("GET", path)
        return None

    def request(self, method, path, body=None, content_type="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"content-type": content_type, "authorization": AUTH})
            response = connection.getresponse()
            response.read()
            return response.status

    def post(self, *messages):
        status = self.request("POST", "/v1/batch", json.dumps({"batch": list(messages)}))
        assert status == 200, f"the gateway answered {status}\n{self.words()}"


def ping(user, number, **more):
    return {"type": "track", "event": "Ping", "userId": user, "messageId": f"ping-{user}-{number}",
            "properties": {"n": number, "id": f"{user}-{number}"}, **more}


# ---- the channel in Python ------------------------------------------------------------------------

class Process:
    """The example, as a user would start it."""

    def __init__(self, port):
        self.port, self.process, self.lines = port, None, []

    def start(self):
        command = [sys.executable, str(CHANNEL), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True).start()

        def listens():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0

        assert until(listens), "the channel does not listen"

    def read(self, stdout):
        for line in stdout:
            self.lines.append(json.loads(line))

    def kill(self):
        self.process.kill()
        self.process.wait()


def python(binary, folder):
    channel = Process(free_port())
    push = {"push": {"kind": "grpc", "endpoint": f"http://127.0.0.1:{channel.port}"}}
    journey = notation.journey(notation.send(channels=["push"]), purpose="service", key="event.properties.id", reentry="never")
    template = {"templates/t/en.txt": "Hello {{ run.key }}\n"}
    house = House(binary, folder, push, journey, template)
    device = {"context": {"device": {"id": "d1"}}}
    try:
        channel.start()
        house.start()
        yield "a message arrives", lambda: (
            house.post({"type": "identify", "userId": "u1", "messageId": "who", **device}, ping("u1", 1, **device)),
            until(lambda: channel.lines),
            channel.lines and channel.lines[0]["to"] == "d1" and channel.lines[0]["text"].startswith("Hello u1-1"),
        )[-1]
        yield "a touchpoint sent again delivers nothing", lambda: (
            house.post(ping("u1", 1, **device)), time.sleep(QUIET_SECONDS), len(channel.lines) == 1)[-1]
        yield "a restart of the house delivers nothing again", lambda: (
            house.stop(), house.start(), time.sleep(QUIET_SECONDS), len(channel.lines) == 1)[-1]
        yield "a message waits for a channel that is away", lambda: (
            channel.kill(), house.post(ping("u1", 2, **device)), time.sleep(QUIET_SECONDS), channel.start(),
            until(lambda: len(channel.lines) >= 2), time.sleep(QUIET_SECONDS),
            len(channel.lines) == 2 and len({line["action_id"] for line in channel.lines}) == 2)[-1]
    finally:
        house.stop()
        if channel.process:
            channel.kill()


# ---- a real SMTP server ---------------------------------------------------------------------------

class Sink:
    """aiosmtpd: takes mail, is busy once for slow@, knows no nobody@, has no room for full@."""

    def __init__(self):
        from aiosmtpd.controller import Controller
        self.mails, self.recipients = [], []
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.controller.start()

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.recipients.append(address)
        if address == "nobody@x.example":
            return "550 5.1.1 no such user"
        if address == "full@x.example":
            return "552 5.2.2 mailbox full"
        if address == "slow@x.example" and self.recipients.count(address) == 1:
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos[0], message))
        return "250 queued"

    def to(self, address):
        return [message for to, message in self.mails if to == address]


def known(user):
    address = f"{user}@x.example"
    return [
        {"type": "identify", "userId": user, "traits": {"email": address, "first_name": "Ann <b>"}, "messageId": f"who-{user}"},
        {"type": "track", "event": "Consent Changed", "userId": user, "messageId": f"yes-{user}",
         "properties": {"channel": "email", "purpose": "marketing", "state": "granted", "endpoint": address}},
    ]


def smtp(binary, folder):
    sink = Sink()
    channel = {"kind": "smtp", "url": f"smtp://127.0.0.1:{sink.controller.port}", "from": "Shop <hello@shop.example>"}
    journey = notation.journey(notation.send(), key="event.properties.id", reentry="never")
    template = {
        "templates/t/en.yaml": {"subject": "Dzień dobry {{ run.key }}", "body": "en.html", "link_tracking": True},
        "templates/t/en.html": "<html><body><p>Hello {{ profile.first_name }}</p>"
                               "<a href=\"https://shop.example/cake?a=1&amp;b=2\">Cake</a></body></html>\n",
    }
    house = House(binary, folder, {"email": channel}, journey, template)
    (folder / "ws/templates/t/en.txt").unlink()
    mail = lambda: sink.to("ann@x.example")[0]
    part = lambda kind: mail().get_body(preferencelist=(kind,)).get_content()

    def one_click():
        link = re.search(r"<(https?://[^>]+)>", str(mail()["List-Unsubscribe"])).group(1)
        path = "/" + link.split("/", 3)[3]
        assert house.request("POST", path, "List-Unsubscribe=One-Click", "application/x-www-form-urlencoded") == 200
        house.post(ping("ann", 2))
        time.sleep(QUIET_SECONDS)
        return len(sink.to("ann@x.example")) == 1

    try:
        house.start()
        yield "a mail arrives once", lambda: (
            house.post(*known("ann"), ping("ann", 1)), until(lambda: sink.to("ann@x.example")), time.sleep(QUIET_SECONDS),
            len(sink.to("ann@x.example")) == 1)[-1]
        yield "its headers say who, what and how to leave", lambda: (
            str(mail()["Subject"]) == "Dzień dobry ann-1"
            and re.fullmatch(r"<a[0-9a-f]+-\d+-\d+-\d+@shop\.example>", mail()["Message-ID"].strip()) is not None
            and mail()["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            and "mailto:" in str(mail()["List-Unsubscribe"]))
        yield "its HTML is escaped, its links are tracked, its footer is there", lambda: (
            "Hello Ann &lt;b&gt;" in part("html") and "https://shop.example/cake" not in part("html")
            and "/c/" in part("html") and "1 Lane, York, UK" in part("html"))
        yield "its text is readable", lambda: (
            "Hello Ann <b>" in part("plain") and "Cake (https://shop.example/cake?a=1&b=2)" in part("plain"))
        yield "a busy server is asked again, and gets it once", lambda: (
            house.post(*known("slow"), ping("slow", 1)), until(lambda: sink.to("slow@x.example")), time.sleep(QUIET_SECONDS),
            len(sink.to("slow@x.example")) == 1 and sink.recipients.count("slow@x.example") == 2)[-1]
        yield "an unknown recipient is tried once", lambda: (
            house.post(*known("nobody"), ping("nobody", 1)), until(lambda: "nobody@x.example" in sink.recipients),
            time.sleep(QUIET_SECONDS), sink.recipients.count("nobody@x.example") == 1)[-1]
        # A message after the bounce would be a second RCPT: the address is suppressed now.
        yield "an unknown recipient has bounced: nothing more is tried", lambda: (
            house.post(ping("nobody", 2)), time.sleep(QUIET_SECONDS), sink.recipients.count("nobody@x.example") == 1)[-1]
        # A full mailbox is a soft bounce: the next message is tried.
        yield "a full mailbox is tried again with the next message", lambda: (
            house.post(*known("full"), ping("full", 1)), until(lambda: "full@x.example" in sink.recipients),
            time.sleep(QUIET_SECONDS), house.post(ping("full", 2)),
            until(lambda: sink.recipients.count("full@x.example") == 2))[-1]
        yield "one click, and nothing more comes", one_click
    finally:
        house.stop()
        sink.controller.stop()


# ---- a real HTTP service ----------------------------------------------------------------------------

CALL_SECRET = "a secret of the workspace"
CALL_SECONDS = 20


class Service:
    """Answers by the user in the path: ok, flaky (500, then ok), slow (never), lost (ok, after 4 s), text,
    huge (10 MB), gone (404)."""

    def __init__(self):
        self.requests, service = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                who = self.path.strip("/").rsplit("-", 1)[0]
                service.requests.append((who, dict(self.headers), body))
                with contextlib.suppress(OSError):
                    self.answer(who, service.of(who))

            def answer(self, who, requests):
                status, body = 200, b'{"left": 7}'
                if who == "flaky" and len(requests) == 1:
                    status = 500
                elif who == "slow":
                    time.sleep(CALL_SECONDS * 2)
                elif who == "lost" and len(requests) == 1:
                    time.sleep(4)
                elif who == "text":
                    body = b"<p>seven</p>"
                elif who == "huge":
                    body = b'{"left": "' + b"7" * (10 << 20) + b'"}'
                elif who == "gone":
                    status = 404
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, who):
        return [request for request in self.requests if request[0] == who]


def header(request, name):
    return next((value for key, value in request[1].items() if key.lower() == name), None)


def signed(request):
    identifier, stamp = header(request, "webhook-id"), header(request, "webhook-timestamp")
    text = f"{identifier}.{stamp}.".encode() + request[2]
    mac = base64.b64encode(hmac.new(CALL_SECRET.encode(), text, hashlib.sha256).digest()).decode()
    return header(request, "webhook-signature") == f"v1,{mac}"


def calls(binary, folder):
    service = Service()
    out = folder / "out"
    url = f"http://127.0.0.1:{service.server.server_address[1]}/" + "{{ run.key }}"
    step = {"id": "ask", "call": {"url": url, "body": {"run": "run.key"}, "as": "stock", "timeout": f"{CALL_SECONDS}s"}}
    journey = notation.journey(step, notation.send(channels=["web"]), purpose="service", key="event.properties.id", reentry="never")
    template = {"templates/t/en.txt": "left {{ run.call.stock.left | default: 'unknown' }}\n"}
    house = House(binary, folder, {"web": {"kind": "file", "path": str(out)}}, journey, template)
    declared = folder / "ws/sojourn.yaml"
    words = declared.read_text()

    def told(user, what):
        house.post(ping(user, 1))
        assert until(lambda: said(user)), f"nothing for {user}; {service.of(user)}\n{house.words()}"
        assert f"left {what}" in said(user)[0], said(user)
        return len(said(user)) == 1

    # The message does not name the user; one at a time is enough.
    seen = set()

    def said(_):
        files = sorted(out.glob("*.json")) if out.exists() else []
        return [file.read_text() for file in files if file not in seen]

    def next_user():
        seen.update(out.glob("*.json"))
        return True

    def killed():
        house.post(ping("lost", 1))
        assert until(lambda: service.of("lost")), "not called"
        house.process.kill()
        house.process.wait()
        house.start()
        assert until(lambda: said("lost")), house.words()
        time.sleep(QUIET_SECONDS)
        keys = {header(request, "idempotency-key") for request in service.of("lost")}
        return len(said("lost")) == 1 and "left 7" in said("lost")[0] and len(service.of("lost")) == 2 and len(keys) == 1

    def refused():
        run = subprocess.run([binary, "lint", str(folder / "ws")], capture_output=True, text=True)
        return run.returncode == 1 and "call-private" in run.stdout + run.stderr

    try:
        yield "an address of the own network is refused", refused
        declared.write_text(words + json.dumps({"calls": {"secret": CALL_SECRET, "allow_private": True}})[1:-1].replace('"calls"', "calls") + "\n")
        house.start()
        yield "an answer comes into the message", lambda: told("ok", "7")
        yield "the call is signed and carries its key", lambda: (
            signed(service.of("ok")[0]) and header(service.of("ok")[0], "idempotency-key") == header(service.of("ok")[0], "webhook-id")
            and json.loads(service.of("ok")[0][2]) == {"run": "ok-1"})
        yield "a 500 is asked again under the same key", lambda: next_user() and (
            told("flaky", "7") and len({header(request, "idempotency-key") for request in service.of("flaky")}) == 1
            and len(service.of("flaky")) == 2)
        yield "a killed house asks again under the same key, and goes on once", lambda: next_user() and killed()
        yield "an answer that is not JSON is none", lambda: next_user() and told("text", "unknown") and len(service.of("text")) == 1
        yield "an answer of 10 MB is none", lambda: next_user() and told("huge", "unknown") and len(service.of("huge")) == 1
        yield "a 404 is final", lambda: next_user() and told("gone", "unknown") and len(service.of("gone")) == 1
        yield "a service that never answers holds nobody longer than the timeout", lambda: next_user() and told("slow", "unknown")
    finally:
        house.stop()
        service.server.shutdown()


def main():
    suite, binary = {"python": python, "smtp": smtp, "calls": calls}[sys.argv[1]], str(pathlib.Path(sys.argv[2]).resolve())
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, check in suite(binary, pathlib.Path(folder)):
                try:
                    good, why = bool(check()), ""
                except (AssertionError, OSError, AttributeError, IndexError, KeyError) as error:
                    good, why = False, f": {error}"
                print(f"{'ok    ' if good else 'FAILED'} {name}{why}", flush=True)
                passed, failed = passed + good, failed + (not good)
        except AssertionError as error:
            print(f"FAILED {error}")
            failed += 1
        if failed:
            log = pathlib.Path(folder) / "server.log"
            print(log.read_text(errors="replace")[-3000:] if log.exists() else "")
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
