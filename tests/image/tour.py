"""The tour of compose.yaml, taken as docs/install-container.md says."""

from pathlib import Path

import yaml

import scene
from scene import CHECKOUT, attempt, eventually, must, proven, run

SECTION = "## A tour"


def prove():
    """From `up` to `down`."""
    project = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
    names = {name: f"{project['name']}_{name}_1" for name in project["services"]}
    up, look, rotate, again, down = scene.commands(SECTION)
    is_private(project)
    scene.follow(up)
    in_sync(look)
    is_healthy(project, names)
    is_confined(names)
    rotates(names, rotate, again)
    can_be_repeated(names, up)
    ends(names, down)


def is_private(project):
    """What is published, and what the configuration says of itself."""
    for name, service in project["services"].items():
        for port in service.get("ports", []):
            must(port.startswith("127.0.0.1:"), f"{name} publishes {port} to the network")
    proven("every published port is on the loopback address")
    config = "deploy/compose/config.toml:/etc/flashback-rotator/config.toml:ro"
    checked = attempt("podman", "run", "--rm", "--network=none", "--env", "FLASHBACK_TOKEN=x",
                      "--volume", f"{CHECKOUT}/{config}", "flashback-rotator", "check")
    clean = checked.returncode == 0 and "warning" not in scene.said(checked)
    must(clean, scene.said(checked))
    proven("its configuration passes `check`")


def in_sync(look):
    """The page's way to look at it."""

    def shown():
        done = attempt("sh", "-eu", "-c", look)
        return done.returncode == 0 and "in_sync" in done.stdout

    eventually("the status is in_sync", shown)
    proven("`docker compose up` in the order of depends_on: the first key is in Flashback")


def is_healthy(project, names):
    """Each service's own health check, or the image's."""
    one_off = {
        other
        for service in project["services"].values()
        for other, wanted in service.get("depends_on", {}).items()
        if wanted["condition"] == "service_completed_successfully"
    }
    lasting = [name for name in names if name not in one_off]
    for name in lasting:
        check = ("podman", "healthcheck", "run", names[name])
        eventually(f"{name} is healthy", lambda check=check: attempt(*check).returncode == 0)
    proven(f"healthy by their own checks: {', '.join(lasting)}")


def is_confined(names):
    """The kernel's word, of what still runs."""
    for name, container in names.items():
        inspected = scene.inspect(container)
        must(inspected["HostConfig"]["ReadonlyRootfs"], f"{name} can write to its root")
        if not inspected["State"]["Running"]:
            continue
        status = scene.status(container)
        must(int(status["CapEff"], 16) == 0, f"{name} has capabilities: {status['CapEff']}")
        must(int(status["CapBnd"], 16) == 0, f"{name} could have capabilities: {status['CapBnd']}")
        must(status["NoNewPrivs"] == "1", f"{name} could gain privileges")
        must(status["Uid"].split()[0] != "0", f"{name} is root")
    proven("read-only, not root, with no capability and no way to new privileges")


def rotates(names, rotate, again):
    """The page's one command, and its way to see what came of it."""
    value = rotate.split("api_key=")[1].split()[0]
    scene.follow(rotate)
    network = names["openbao"]
    eventually("the key is in Flashback", lambda: scene.held(network) == [scene.digest(value)])
    eventually("the history has it", lambda: "rotated" in scene.follow(again))
    page = scene.ask("http://127.0.0.1:9464/status", network=network)
    must(page and '"in_sync"' in page, f"the status is {page}")
    proven("the one command rotates the key in Flashback, and the history shows it")


def can_be_repeated(names, up):
    """A second `up`, as after a change of compose.yaml."""
    before = scene.writes(names["openbao"])
    run("podman", "start", "--attach", names["init"])
    scene.follow(up)
    must(scene.writes(names["openbao"]) == before, "it pushed something again")
    proven("set up again, it changes nothing")


def ends(names, down):
    """Each by its signal, in its time; nothing is left."""
    run("docker", "compose", "stop")
    for name, container in names.items():
        code = scene.inspect(container)["State"]["ExitCode"]
        must(code == 0, f"{name} ended with exit code {code}")
    scene.follow(down)
    left = run("podman", "ps", "--all", "--quiet") + run("podman", "volume", "ls", "--quiet")
    tour = [line for line in left.split() if "tour" in line]
    must(not tour and not run("podman", "ps", "--all", "--quiet").strip(), f"it leaves {left}")
    must(not Path(CHECKOUT, "state.db").exists(), "it leaves its state in the directory")
    proven("every service ends by its signal with exit code 0, and `down` leaves nothing")
