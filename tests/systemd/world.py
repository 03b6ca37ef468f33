"""What the rotator works between: an OpenBao and local Flashbacks, in the machine."""

import hashlib
import json
import urllib.error
import urllib.request

from machine import Wrong, ensure, eventually

VAULT = "http://127.0.0.1:8200"

# Proxies of the environment are for the world outside.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(method, url, body=None, **headers):
    """Asks, and gives the status and the answer: JSON where it is JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with OPENER.open(request, timeout=30) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    except OSError:
        return 0, None
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def start(machine, unit, *command):
    machine.run("systemd-run", "--quiet", f"--unit={unit}", "--setenv=HOME=/root", *command)


class OpenBao:
    """OpenBao, which is Vault's API, with KV 2 at `secret/`."""

    def __init__(self, machine):
        start(
            machine,
            "openbao",
            *("/opt/bao", "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root"),
            f"-dev-listen-address={VAULT.removeprefix('http://')}",
        )
        eventually("KV 2 answers", lambda: self.call("GET", "secret/config")[0] == 200)
        self.ok("POST", "sys/auth/approle", {"type": "approle"})

    def call(self, method, path, body=None):
        return ask(method, f"{VAULT}/v1/{path}", body, X_Vault_Token="root")

    def ok(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        ensure(200 <= status < 300, f"OpenBao: {method} {path}: {status} {answer}")
        return answer

    def put(self, path, value):
        """Writes a key's next version."""
        self.ok("POST", f"secret/data/llm/{path}", {"data": {"api_key": value}})

    def role(self, name, policy):
        """An AppRole with this policy: its role id and a secret id."""
        self.ok("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        role = f"auth/approle/role/{name}"
        self.ok("POST", role, {"token_policies": [name], "token_ttl": "1h"})
        role_id = self.ok("GET", f"{role}/role-id")["data"]["role_id"]
        return role_id, self.ok("POST", f"{role}/secret-id", {})["data"]["secret_id"]


class Flashback:
    """The sandbox. Given a token, no other is good; else every token and login is."""

    def __init__(self, machine, name, port, token=None):
        self.url = f"http://127.0.0.1:{port}"
        start(
            machine,
            name,
            *(["--setenv=FLASHBACK_SANDBOX_TOKEN=" + token] if token else []),
            *("/opt/flashback-rotator", "sandbox", "--listen", f"127.0.0.1:{port}"),
        )
        eventually("the sandbox answers", lambda: self.get("switches"))

    def get(self, what):
        status, answer = ask("GET", f"{self.url}/_sandbox/{what}")
        return answer if status == 200 else None

    def writes(self):
        """How often somebody tried to change something."""
        journal = self.get("journal")
        return sum(entry["operation"] in ("create", "update") for entry in journal)

    def holds(self, name, value):
        """Whether there is one configuration of this name, and it has this secret."""
        digest = hashlib.sha256(value.encode()).hexdigest()
        named = [one for one in self.get("configurations") if one["name"] == name]
        if len(named) > 1:
            raise Wrong(f"{len(named)} configurations are named {name}")
        return bool(named) and named[0]["secret_sha256"] == digest

    def wait_for(self, name, value):
        eventually(f"Flashback has the new key of {name}", lambda: self.holds(name, value))


def looks(port):
    """How many looks the daemon on this port has made at its keys; none while it is not ready."""
    if ask("GET", f"http://127.0.0.1:{port}/readyz")[0] != 200:
        return 0
    _, text = ask("GET", f"http://127.0.0.1:{port}/metrics")
    lines = str(text).splitlines()
    counted = (line for line in lines if line.startswith("flashback_rotator_checks_total{"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in counted)


def looked(port, times=2):
    """Waits until this daemon is ready and has looked at its keys so often since it started."""
    eventually(f"{times} looks by the daemon at port {port}", lambda: looks(port) >= times)
