"""The container as the page runs it: read-only, not root, between OpenBao and the sandbox."""

import json
import os
import re
import signal
from pathlib import Path

import scene
from scene import CANARIES, CHECKOUT, NETWORK, REPOSITORY, ask, attempt, eventually, must, proven, run

ROTATOR = "flashback-rotator"
SANDBOX = "http://127.0.0.1:8787/_sandbox"
HTTP = "http://127.0.0.1:9464"
MOUNTED = CHECKOUT / "rotator"
CONFIG = """
[flashback]
base_url = "http://sandbox:8787"
workspace_id = "workspace-123"

[flashback.auth]
token = { file = "/etc/flashback-rotator/flashback-token" }

[schedule]
check = "1s"

[http]
listen = "0.0.0.0:9464"

[sources.vault]
type = "vault"
address = "http://openbao:8200"

[sources.vault.auth]
method = "approle"
role_id = "flashback-rotator"
secret_id = { file = "/etc/flashback-rotator/vault-secret-id" }

[keys.openai]
name = "Production OpenAI"
ai_type = "OPENAI"
source = "vault"
path = "llm/openai"
fields = { secret = "api_key" }
"""


def lay_out():
    """What the page's reader has beside the checkout: a configuration and the secrets it names."""
    MOUNTED.mkdir()
    (MOUNTED / "config.toml").write_text(CONFIG)
    (MOUNTED / "flashback-token").write_text(CANARIES["flashback token"] + "\n")


def prove():
    """From the first start to the state in a new container."""
    neighbours()
    shows_itself()
    runs_as_shown()
    is_confined()
    rotates()
    reloads()
    answers_health()
    finishes_what_it_began()
    says_that_it_is_away()
    goes_on_in_a_new_container()
    says_what_it_misses()
    keeps_secrets()
    run("podman", "rm", "--force", "--depend", "--time", "0", NETWORK)


def neighbours():
    """OpenBao with the first key, set up as in the tour, and the sandbox."""
    openbao = re.search(r"image: (.*openbao.*)", (REPOSITORY / "compose.yaml").read_text())[1]
    root = ("--env", "BAO_TOKEN=canary-root", "--env", "BAO_ADDR=http://127.0.0.1:8200")
    run("podman", "run", "--detach", "--name", NETWORK, "--network", "none", *root,
        "--env", "BAO_DEV_ROOT_TOKEN_ID=canary-root", openbao,
        "bao", "server", "-dev", "-dev-no-store-token")
    eventually("OpenBao takes a key", lambda: put("first key"))
    run("podman", "run", "--rm", "--network", f"container:{NETWORK}", *root, "--user", "0:0",
        "--volume", f"{CHECKOUT}/deploy/compose/init.sh:/tour/init.sh:ro",
        "--volume", f"{CHECKOUT}/config/policies/vault.hcl:/tour/policy.hcl:ro",
        "--volume", f"{MOUNTED}:/credentials", openbao, "sh", "/tour/init.sh")
    secret_id = (MOUNTED / "vault-secret-id").read_text().strip()
    CANARIES["secret id"] = secret_id
    run("docker", "run", "--detach", "--name", "sandbox", "--read-only",
        "--env", f"FLASHBACK_SANDBOX_TOKEN={CANARIES['flashback token']}", ROTATOR, "sandbox")
    eventually("the sandbox answers", lambda: ask(f"{SANDBOX}/livez"))


def page(which):
    """The page's commands, by what they are for."""
    _, demo, start, away = scene.commands("## Run it")
    return {"demo": demo, "run": start, "away": away}[which]


def shows_itself():
    """The demo, which needs nothing."""
    must("recovery" in scene.follow(page("demo")), "the demo is not the demo")
    proven("the page's demo runs in a container")


def put(name):
    """Rotates the key in OpenBao; says whether it took it."""
    value = f"api_key={CANARIES[name]}"
    kv = ("bao", "kv", "put", "-mount=secret", "llm/openai", value)
    return attempt("podman", "exec", NETWORK, *kv).returncode == 0


def flashback_has(name):
    """Whether the sandbox holds this key, and no second configuration."""
    return scene.held() == [scene.digest(CANARIES[name])]


def runs_as_shown():
    """The page's commands to run it."""
    scene.follow(page("run"))
    eventually("the first key is in Flashback", lambda: flashback_has("first key"))
    eventually("it is ready", lambda: ask(f"{HTTP}/readyz"))
    proven("the page's commands start it, and the first key is in Flashback")


def is_confined():
    """The kernel's word, not podman's."""
    pid = scene.inspect(ROTATOR)["State"]["Pid"]
    status = scene.status(ROTATOR)
    must(set(status["Uid"].split()) == {"65532"}, f"its user is {status['Uid']}")
    for name in ["CapPrm", "CapEff", "CapBnd", "CapAmb"]:
        must(int(status[name], 16) == 0, f"it has capabilities: {name} {status[name]}")
    must(status["NoNewPrivs"] == "1", "it could gain privileges")
    must(status["NSpid"].split()[-1] == "1", "it is not the first process of its container")
    proven("it is process 1, user 65532, with no capability and no way to new privileges")
    mounts = [line.split() for line in Path(f"/proc/{pid}/mounts").read_text().splitlines()]
    disks = {place: options.split(",") for _, place, kind, options, *_ in mounts if kind != "tmpfs"}
    must("ro" in disks["/"], "its root can be written")
    must(not any(place in ("/tmp", "/run", "/var/tmp") for _, place, *_ in mounts), "podman helps")
    must("rw" in disks["/var/lib/flashback-rotator"], "its state cannot be written")
    must("ro" in disks["/etc/flashback-rotator"], "its secrets can be written")
    state = Path(f"/proc/{pid}/root/var/lib/flashback-rotator")
    owners = {path.stat().st_uid for path in [state, *state.iterdir()]}
    must(owners == {65532}, f"its state belongs to {owners}")
    proven("its root file system is read-only; the new volume of its state belongs to its user")


def rotates():
    """A new key in the store."""
    must(put("second key"), "OpenBao refuses a key")
    eventually("the second key is in Flashback", lambda: flashback_has("second key"))
    proven("a key that is rotated in OpenBao is rotated in Flashback")


def reloads():
    """A changed configuration, as most editors write one."""
    changed = MOUNTED / "config.next"
    changed.write_text(CONFIG.replace('check = "1s"', 'check = "2s"'))
    changed.rename(MOUNTED / "config.toml")

    def told():
        return "config_reloaded" in [line["event"] for line in scene.events(ROTATOR)]

    eventually("the configuration is reloaded", told)
    proven("a configuration that is replaced in the mounted directory takes effect")


def health():
    """The exit codes of `health` in the container, and of the image's health check."""
    asked = attempt("docker", "exec", ROTATOR, "flashback-rotator", "health")
    checked = attempt("podman", "healthcheck", "run", ROTATOR)
    return asked.returncode, checked.returncode


def answers_health():
    """Well, frozen, well again."""
    eventually("it is well", lambda: health() == (0, 0))
    pid = scene.inspect(ROTATOR)["State"]["Pid"]
    os.kill(pid, signal.SIGSTOP)
    frozen = health()
    os.kill(pid, signal.SIGCONT)
    must(0 not in frozen, f"of a daemon that is frozen it says {frozen}")
    eventually("it is well again", lambda: health() == (0, 0))
    proven("`health` and the health check: 0 while it runs, else while it is frozen, 0 afterwards")


def slow(milliseconds):
    """How long Flashback takes to answer."""
    switch = json.dumps({"latency_ms": milliseconds})
    eventually("the switch is turned", lambda: ask(f"{SANDBOX}/switches", "PATCH", switch))


def finishes_what_it_began():
    """SIGTERM with a push in flight."""
    # Long enough to be seen, and less than the 10 seconds that a push is given at the end.
    slow(6000)
    must(put("third key"), "OpenBao refuses a key")

    def began():
        told = [line["event"] for line in scene.events(ROTATOR)]
        return told.count("push_started") == 3 and told.count("push_succeeded") == 2

    eventually("the third push is in flight", began)
    run("docker", "stop", ROTATOR)
    slow(0)
    code = scene.inspect(ROTATOR)["State"]["ExitCode"]
    must(code == 0, f"it ended with exit code {code}")
    told = [line["event"] for line in scene.events(ROTATOR)]
    must(told[-3:] == ["stopping", "push_succeeded", "stopped"], f"it ended with {told}")
    must(flashback_has("third key"), "the third key is not in Flashback")
    proven("SIGTERM: the push in flight is finished, and it ends with exit code 0")


def says_that_it_is_away():
    """`health` where no daemon is."""
    must(0 not in health(), "it says that a container is well that does not run")
    alone = attempt("docker", "run", "--rm", ROTATOR, "health")
    must(alone.returncode == 1 and "nothing listens there" in alone.stdout, scene.said(alone))
    proven("`health` without a daemon: exit code 1, and that nothing listens there")


def goes_on_in_a_new_container():
    """The page's way to another image: a new container on the old state."""
    before = scene.writes()
    old = scene.inspect(ROTATOR)["Id"]
    scene.follow(page("away"))
    scene.follow(page("run"))
    must(scene.inspect(ROTATOR)["Id"] != old, "it is the old container")
    eventually("it is ready", lambda: ask(f"{HTTP}/readyz"))
    eventually("it has looked three times", lambda: looks() >= 3)
    must(scene.writes() == before, "something was pushed again")
    proven("a new container goes on with the state of the old one, and pushes nothing again")
    must(put("fourth key"), "OpenBao refuses a key")
    eventually("the fourth key is in Flashback", lambda: flashback_has("fourth key"))
    must(scene.writes() == before + 1, "it was pushed more than once")
    proven("and rotates the next key, with one write")


def looks():
    """How often it has looked at its key, by its own count."""
    metrics = ask(f"{HTTP}/metrics") or ""
    found = re.findall(r"^flashback_rotator_checks_total\{.*\} (\d+)$", metrics, re.MULTILINE)
    return sum(map(int, found))


def says_what_it_misses():
    """Mistakes that are made with containers."""
    without = attempt("docker", "run", "--rm", ROTATOR)
    must(without.returncode == 2, f"without a configuration: {without}")
    must("/etc/flashback-rotator/config.toml" in scene.said(without), scene.said(without))
    mounts = ("--volume", f"{MOUNTED}:/etc/flashback-rotator:ro")
    stateless = attempt("docker", "run", "--rm", "--read-only", *mounts, ROTATOR)
    must(stateless.returncode == 1, f"without a state: {stateless}")
    why = "cannot use the state /var/lib/flashback-rotator"
    must(why in scene.said(stateless), scene.said(stateless))
    proven("without a configuration or a volume for the state it ends, and says what it misses")


def keeps_secrets():
    """Everything that can be seen from outside."""
    for name in [ROTATOR, "sandbox"]:
        scene.has_no_canary(f"the log of {name}", scene.log(name))
    scene.has_no_canary("podman inspect", run("podman", "inspect", ROTATOR))
    for page in ["/metrics", "/status", "/"]:
        scene.has_no_canary(page, ask(f"{HTTP}{page}") or "")
    pid = scene.inspect(ROTATOR)["State"]["Pid"]
    for file in ["cmdline", "environ"]:
        scene.has_no_canary(file, Path(f"/proc/{pid}/{file}").read_bytes())
    state = Path(f"/proc/{pid}/root/var/lib/flashback-rotator")
    for path in state.iterdir():
        scene.has_no_canary(path.name, path.read_bytes())
    proven("no secret is in its log, pages, state, command line, environment or podman inspect")
