"""What the parts of the image test share: the page's commands, containers, waiting, and telling."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = "docs/install-container.md"
WORK = Path(os.environ["IMAGE_TEST_WORK"])
VENV = Path(os.environ["IMAGE_TEST_VENV"])
PROFILE = os.environ["IMAGE_TEST_PROFILE"]

# Where the page's commands are run: what git would have checked out, and what a user has beside it.
CHECKOUT = WORK / "checkout"

# The container whose network all others share.
NETWORK = "openbao"

# Generous: two loaded cores.
PATIENCE = 90

# Put into every place where a secret belongs, and searched for where none does.
CANARIES = {
    "flashback token": "canary-flashback-7f3a9c",
    "first key": "sk-canary-first-5e1d84",
    "second key": "sk-canary-second-b20c67",
    "third key": "sk-canary-third-94d7ae",
    "fourth key": "sk-canary-fourth-1c86f0",
}

_proven = []


class Failure(Exception):
    """Something is not as it should be."""


def proven(what):
    """Tells what was proven."""
    _proven.append(what)
    print(f"  ok: {what}", flush=True)


def count():
    """How many things were proven."""
    return len(_proven)


def must(condition, what):
    """Fails unless `condition` holds."""
    if not condition:
        raise Failure(what)


def eventually(what, probe):
    """Waits until `probe` gives something true, and gives that."""
    until = time.monotonic() + PATIENCE
    while True:
        found = probe()
        if found:
            return found
        must(time.monotonic() < until, f"not within {PATIENCE} s: {what}")
        time.sleep(0.2)


def environment():
    """As the page's reader has it: `docker` and `sudo` are on the path."""
    tools = WORK / "tools"
    if not tools.exists():
        tools.mkdir()
        (tools / "docker").symlink_to(REPOSITORY / "tests/image/docker")
        sudo = tools / "sudo"
        sudo.write_text('#!/bin/sh\nexec "$@"\n')
        sudo.chmod(0o755)
    return os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "IMAGE_TEST_NETWORK": NETWORK,
    }


def attempt(*command, directory=CHECKOUT):
    """Runs a command; gives what `subprocess.run` gives."""
    return subprocess.run(
        command,
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def run(*command, directory=CHECKOUT):
    """Runs a command that must succeed; gives what it printed on stdout."""
    done = attempt(*command, directory=directory)
    must(done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{said(done)}")
    return done.stdout


def said(done):
    """All that a command has printed."""
    return done.stdout + done.stderr


def commands(section):
    """The blocks of commands in the page below this heading, up to the next heading."""
    text = (REPOSITORY / PAGE).read_text()
    found = re.search(rf"^{re.escape(section)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    must(found, f"{PAGE} has no section `{section}`")
    return re.findall(r"^```sh\n(.*?)^```", found[1], re.MULTILINE | re.DOTALL)


def follow(block):
    """Does what a block of the page says, to the letter."""
    return run("sh", "-eu", "-c", block)


def checkout():
    """Lays out a checkout as git would."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in run(*listed, directory=REPOSITORY).rstrip("\0").split("\0"):
        if (REPOSITORY / name).is_file():
            place = CHECKOUT / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, place)


def inspect(name, kind="container"):
    """What podman knows of a container or an image."""
    return json.loads(run("podman", kind, "inspect", name))[0]


def log(name):
    """What a container has written."""
    return said(attempt("podman", "logs", name))


def events(name):
    """The events in a rotator's log."""
    found = (json.loads(line) for line in log(name).splitlines() if line.startswith("{"))
    return [line for line in found if "event" in line]


def status(name):
    """The kernel's word on a container's first process."""
    text = Path(f"/proc/{inspect(name)['State']['Pid']}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


_ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[2], data=sys.argv[3].encode() or None, method=sys.argv[1])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open(request, timeout=10).read().decode(), end="")
"""


def ask(url, method="GET", body="", network=NETWORK):
    """An HTTP request from inside the containers' network; None where it fails."""
    pid = str(inspect(network)["State"]["Pid"])
    inside = ("nsenter", "--target", pid, "--net", sys.executable, "-c", _ASK)
    done = attempt(*inside, method, url, body)
    return done.stdout if done.returncode == 0 else None


def sandbox(page, network=NETWORK):
    """A page of the sandbox's own, as JSON."""
    url = f"http://127.0.0.1:8787/_sandbox/{page}"
    return json.loads(eventually("the sandbox answers", lambda: ask(url, network=network)))


def held(network=NETWORK):
    """The digests of the secrets that the sandbox holds, one for each configuration."""
    return [one["secret_sha256"] for one in sandbox("configurations", network)]


def writes(network=NETWORK):
    """How many requests the sandbox had that would change it."""
    journal = sandbox("journal", network)
    return sum(entry["operation"] in ("create", "update") for entry in journal)


def digest(secret):
    """What the sandbox keeps of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def has_no_canary(where, content):
    """No secret may stand in `content`, a text or bytes."""
    if isinstance(content, str):
        content = content.encode()
    for name, canary in CANARIES.items():
        must(canary.encode() not in content, f"the {name} is in {where}")
