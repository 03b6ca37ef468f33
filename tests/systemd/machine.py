"""A booted machine: systemd as PID 1 in a tree of files, with a network of its own."""

import ctypes
import json
import os
import subprocess
import time
from pathlib import Path

# Generous: the machine this runs on may be busy with other things.
PATIENCE = 90

CLONE_NEWNET = 0x40000000


class Wrong(Exception):
    """Something is not as it was promised."""


def ensure(condition, what):
    if not condition:
        raise Wrong(what)


def eventually(what, ask, patience=PATIENCE):
    """Asks until the answer is true, and gives it."""
    limit = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        ensure(time.monotonic() < limit, f"not within {patience} s: {what}")
        time.sleep(0.1)


class Machine:
    """One machine. It ends with the `with` block."""

    def __init__(self, tree, binds, log):
        self.tree = Path(tree)
        self.binds = binds
        self.log = log
        self.nspawn = None
        self.leader = None

    def __enter__(self):
        self.boot()
        return self

    def __exit__(self, *_):
        self.power_off()

    def boot(self):
        # It must not outlive this process, however that ends.
        command = ["setpriv", "--pdeathsig", "TERM"]
        command += ["systemd-nspawn", "--quiet", f"--directory={self.tree}", "--boot"]
        command += [f"--machine=rotator-{os.getpid()}", "--register=no", "--keep-unit"]
        command += ["--private-network", "--console=pipe", "--settings=no", "--link-journal=no"]
        command += ["--resolv-conf=off", "--timezone=off"]
        command += [f"--bind-ro={source}:{target}" for source, target in self.binds.items()]
        with open(self.log, "ab") as log:
            self.nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually("the machine has booted", self.is_up)
        self.enter_network()

    def is_up(self):
        status = self.nspawn.poll()
        ensure(status is None, f"systemd-nspawn ended with {status}: see {self.log}")
        pid = self.nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(children) != 1:
            return False
        self.leader = children[0]
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def enter_network(self):
        """From here on 127.0.0.1 is the machine's: what it listens on can be asked directly."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{self.leader}/ns/net", "rb") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def power_off(self):
        if self.nspawn is None:
            return
        # systemd-nspawn hands it on as an orderly power-off.
        self.nspawn.terminate()
        try:
            self.nspawn.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.nspawn.kill()
            self.nspawn.wait()
        self.nspawn = None

    def run(self, *command, check=True, directory="/", **environment):
        """Runs a command in the machine, as root."""
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            "HOME": "/root",
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
        } | environment
        inside = ["nsenter", f"--target={self.leader}", "--all", f"--wdns={directory}"]
        done = subprocess.run(
            [*inside, "env", "-i", *(f"{k}={v}" for k, v in environment.items()), *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check:
            said = (done.stdout + done.stderr).strip()
            ensure(done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{said}")
        return done

    def path(self, path):
        """A path of the machine, as it is seen from outside."""
        return self.tree / path.lstrip("/")

    def write(self, path, text, mode=0o644):
        """Writes a file by renaming it into place, as editors do."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(target.name + ".next")
        draft.write_text(text)
        draft.chmod(mode)
        draft.rename(target)

    def edit(self, path, *changes):
        """Replaces texts in a file; each must be there."""
        text = self.path(path).read_text()
        for old, new in changes:
            ensure(old in text, f"{path} has no {old!r}")
            text = text.replace(old, new)
        self.write(path, text)


class Unit:
    """A service of the machine."""

    def __init__(self, machine, name):
        self.machine = machine
        self.name = name

    def show(self, *properties):
        """Its properties, each a text."""
        said = self.machine.run("systemctl", "show", "-p", ",".join(properties), self.name).stdout
        values = dict(line.split("=", 1) for line in said.splitlines())
        return [values[name] for name in properties]

    def get(self, name):
        return self.show(name)[0]

    def pid(self):
        return int(self.get("MainPID"))

    def restarts(self):
        return int(self.get("NRestarts"))

    def is_active(self):
        return self.get("ActiveState") == "active"

    def has_restarted(self, pid):
        """Whether it is up again as another process than `pid`."""
        active, now = self.show("ActiveState", "MainPID")
        return active == "active" and int(now) not in (0, pid)

    def do(self, verb, check=True):
        return self.machine.run("systemctl", verb, self.name, check=check)

    def drop_in(self, name, text):
        """Adds settings, or takes them away again."""
        path = f"/etc/systemd/system/{self.name}.service.d/{name}.conf"
        if text:
            self.machine.write(path, f"[Service]\n{text}\n")
        else:
            self.machine.path(path).unlink()
        self.machine.run("systemctl", "daemon-reload")

    def log(self):
        """All that it, and systemd about it, has written to the journal."""
        return self.machine.run("journalctl", "--quiet", "-o", "cat", "-u", self.name).stdout

    def events(self, name):
        """Its log lines that carry this event."""
        lines = (line for line in self.log().splitlines() if line.startswith("{"))
        return [line for line in map(json.loads, lines) if line.get("event") == name]
