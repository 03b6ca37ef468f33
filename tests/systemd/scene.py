"""The service as docs/install-systemd.md installs it, what it works between, and how proofs are told."""

import re
import secrets
import time
from contextlib import contextmanager
from pathlib import Path

from machine import Unit, ensure, eventually
from world import VAULT, Flashback, OpenBao, looked

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = "/etc/flashback-rotator/config.toml"
PORT = 9464

# So that nothing takes long.
QUICK = """
[schedule]
check = "1s"
[retry]
initial = "100ms"
max = "500ms"
"""

# The claims that were held so far.
PROVED = []


@contextmanager
def proving(claim):
    """Says whether what the block checks is so. What is not ends the run."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        print(f"FAIL  {claim}\n      {error}", flush=True)
        raise
    PROVED.append(claim)
    print(f"PASS  {claim} ({time.monotonic() - began:.1f} s)", flush=True)


def page_commands(command):
    """The commands of the block in docs/install-systemd.md that has `command` in it."""
    page = REPOSITORY.joinpath("docs/install-systemd.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    found = [block.splitlines() for block in blocks if command in block]
    ensure(len(found) == 1, f"{len(found)} blocks of docs/install-systemd.md have {command!r}")
    return found[0]


class Scene:
    """A machine with OpenBao and Flashback in it, and one key to rotate."""

    def __init__(self, machine):
        self.machine = machine
        self.unit = Unit(machine, "flashback-rotator")
        self.canaries = []
        self.number = 0
        self.bao = OpenBao(machine)
        self.flashback = Flashback(machine, "flashback", 8787)
        self.flashbacks = [self.flashback]
        self.key = self.canary("key")
        self.bao.put("openai", self.key)
        policy = REPOSITORY.joinpath("config/policies/vault.hcl").read_text()
        self.role_id, secret_id = self.bao.role("rotator", policy)
        self.canaries.append(secret_id)
        for place in ("/srv/package", "/srv/checkout"):
            machine.write(f"{place}/flashback-password", self.canary("password") + "\n", 0o600)
            machine.write(f"{place}/vault-secret-id", secret_id + "\n", 0o600)
        # The machine has no sudo, and who runs this is root there.
        machine.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', 0o755)

    def canary(self, what):
        """A secret that can be searched for."""
        self.canaries.append(f"canary-{what}-{secrets.token_hex(12)}")
        return self.canaries[-1]

    def follow(self, commands, directory):
        """Runs the page's commands word by word, and edits the configuration as it asks for."""
        for command in commands:
            existed = self.machine.path(CONFIG).exists()
            self.machine.run("bash", "-euc", command, directory=directory)
            if not existed and self.machine.path(CONFIG).exists():
                self.configure()

    def configure(self):
        self.machine.edit(
            CONFIG,
            ("[flashback]\n", f'[flashback]\nbase_url = "{self.flashback.url}"\n'),
            ("https://vault.internal:8200", VAULT),
            ("a61f54e3-6880-0d9e-2446-96c60d2aba05", self.role_id),
            ("[state]\n", f"{QUICK}[state]\n"),
        )

    def rotate(self):
        """Writes the key's next version to OpenBao."""
        self.number += 1
        self.key = self.canary(f"key-{self.number}")
        self.bao.put("openai", self.key)

    def arrives(self):
        self.flashback.wait_for("Production OpenAI", self.key)

    @contextmanager
    def pushing_nothing(self, *ports):
        """The block starts the daemons on these ports anew; they look again, and push nothing."""
        before = [flashback.writes() for flashback in self.flashbacks]
        yield
        for port in ports or [PORT]:
            looked(port)
        after = [flashback.writes() for flashback in self.flashbacks]
        ensure(after == before, f"{after} writes to Flashback, and {before} before")

    def tell(self):
        """What somebody wants to see who reads of a failure."""
        run = self.machine.run
        print(run("systemctl", "status", "--no-pager", "flashback-rotator*", check=False).stdout)
        print(run("journalctl", "--no-pager", "-n", "80", check=False).stdout, flush=True)

    def search_journal(self):
        """No secret is in the journal, whatever was logged into it."""
        journal = self.machine.run("journalctl", "--all", "-o", "json").stdout
        ensure("push_succeeded" in journal, "the journal does not have the log")
        for canary in self.canaries:
            ensure(canary not in journal, f"{canary} is in the journal")


def restarted(unit, pid):
    eventually(f"{unit.name} runs again", lambda: unit.has_restarted(pid))


def fails_inside(machine, pid, *command):
    """Whether the command fails in the mounts of this process."""
    done = machine.run("nsenter", f"--target={pid}", "--mount", *command, check=False)
    return done.returncode != 0
