"""Proofs of the Debian package: installed, upgraded, removed, purged."""

import gzip
import shutil
import subprocess
from pathlib import Path

from machine import ensure
from scene import CONFIG, PORT, page_commands, proving, restarted

UNITS = "/usr/lib/systemd/system"
CREDENTIALS = "/etc/flashback-rotator/credentials"
INSTANCE = "flashback-rotator@eu.service"


def version(package):
    asked = ["dpkg-deb", "--field", str(package), "Version"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def put(scene, package, place):
    """Copies a package into the machine, and gives its path there."""
    target = scene.machine.path(place)
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(package, target)
    return f"{place}/{Path(package).name}"


def install(scene, package):
    command, *rest = page_commands("apt install")
    machine, unit = scene.machine, scene.unit
    put(scene, package, "/srv/package")
    with proving("installed, it waits: not enabled, not started, and a start fails nothing"):
        scene.follow([command], "/srv/package")
        ensure(unit.show("ActiveState", "UnitFileState") == ["inactive", "disabled"], "it runs")
        unit.do("start")
        states = unit.show("ActiveState", "Result", "ConditionResult", "NRestarts")
        ensure(states == ["inactive", "success", "no", "0"], f"{states}")
    ships(scene)
    with proving("followed word by word, the page's five commands bring it up"):
        ensure(len(rest) == 4, "they are not five")
        scene.follow(rest, "/srv/package")
        ensure(unit.is_active(), "it is not active")


def ships(scene):
    machine = scene.machine
    with proving("the units pass `systemd-analyze verify` without a word"):
        names = ("flashback-rotator.service", INSTANCE)
        done = machine.run("systemd-analyze", "verify", "--man=no", *names)
        ensure(done.stdout + done.stderr == "", done.stdout + done.stderr)
    with proving("their exposure by `systemd-analyze security` is at most 1.5"):
        for name in ("flashback-rotator.service", "flashback-rotator@.service"):
            gate = ("systemd-analyze", "security", "--no-pager", "--offline=true")
            machine.run(*gate, "--threshold=15", f"{UNITS}/{name}")
    with proving("manual pages, completions, reference, examples and licence are in their places"):
        licence = machine.path("/usr/share/doc/flashback-rotator/copyright").read_text()
        ensure("License: Apache-2.0\n" in licence, licence)
        for command in ("", "-run", "-check", "-status"):
            page = machine.path(f"/usr/share/man/man1/flashback-rotator{command}.1.gz")
            ensure(b".TH" in gzip.decompress(page.read_bytes()), f"{page} is no manual page")
        completions = "/usr/share/bash-completion/completions/flashback-rotator"
        machine.run("bash", "-c", f"source {completions} && complete -p flashback-rotator")
        for place in (
            "/usr/share/zsh/vendor-completions/_flashback-rotator",
            "/usr/share/fish/vendor_completions.d/flashback-rotator.fish",
        ):
            ensure("flashback-rotator" in machine.path(place).read_text(), place)
        checks = ["/etc/flashback-rotator/config.toml.reference"]
        examples = machine.path("/usr/share/flashback-rotator/examples").glob("*.toml")
        checks += [f"/usr/share/flashback-rotator/examples/{path.name}" for path in examples]
        ensure(len(checks) > 5, "there are no examples")
        for place in checks:
            schema = machine.path(place).read_text().splitlines()[0].removeprefix("#:schema ")
            ensure(machine.path(schema).exists(), f"{place}: there is no {schema}")
            machine.run("flashback-rotator", "check", "--config", place)


def upgrade(scene, package, instances):
    machine, unit = scene.machine, scene.unit
    config = machine.path(CONFIG).read_text()
    pids = {one: one.pid() for one in (unit, *instances.values())}
    place = put(scene, package, "/srv/upgrade")
    with proving("upgraded, all that ran runs anew, and nothing is pushed again"):
        with scene.pushing_nothing(PORT, 9465, 9466):
            machine.run("apt-get", "install", "--yes", place)
            asked = machine.run("dpkg-query", "-W", "-f", "${Version}", "flashback-rotator")
            ensure(asked.stdout == version(package), f"{asked.stdout} is installed")
            for one, pid in pids.items():
                restarted(one, pid)
        ensure(machine.path(CONFIG).read_text() == config, "the configuration was changed")
        ensure(unit.get("UnitFileState") == "enabled", "it is not enabled any more")


def remove(scene, package, instances):
    machine, unit = scene.machine, scene.unit
    kept = [CONFIG, f"{CREDENTIALS}/vault-secret-id", "/etc/flashback-rotator/eu/config.toml"]
    kept += [f"/var/lib/private/flashback-rotator{name}/state.db" for name in ("", "@eu", "@us")]
    with proving("removed, it is gone and stopped; configuration, credentials and state stay"):
        pids = [one.pid() for one in (unit, *instances.values())]
        machine.run("apt-get", "remove", "--yes", "flashback-rotator")
        for pid in pids:
            gone = machine.run("test", "!", "-d", f"/proc/{pid}", check=False).returncode == 0
            ensure(gone, "it still runs")
        for place in ("/usr/bin/flashback-rotator", f"{UNITS}/flashback-rotator.service"):
            ensure(not machine.path(place).exists(), f"{place} is left")
        for place in kept:
            ensure(machine.path(place).exists(), f"{place} is gone")
    with proving("installed again, it goes on where it was, and pushes nothing again"):
        machine.run("apt-get", "install", "--yes", f"/srv/upgrade/{Path(package).name}")
        ensure(unit.get("UnitFileState") == "enabled", "it is not enabled any more")
        with scene.pushing_nothing():
            unit.do("start")


def starts_at_boot(scene):
    machine, unit = scene.machine, scene.unit
    with proving("after a reboot it is up by itself, with OpenBao and Flashback out of reach"):
        machine.power_off()
        machine.boot()
        ensure(unit.get("NRestarts") == "0" and unit.is_active(), "it is not active")


def purge(scene):
    machine = scene.machine
    with proving("purged, it leaves nothing but the administrator's own drop-ins"):
        machine.run("apt-get", "purge", "--yes", "flashback-rotator")
        looked = ("find", "/etc", "/usr", "/var", "/run", "-xdev")
        left = machine.run(*looked, "-name", "*flashback-rotator*").stdout.splitlines()
        left = [path for path in left if not path.startswith("/etc/systemd/system/")]
        ensure(not left, f"left: {left}")
        links = machine.run("find", "/etc/systemd/system", "-xtype", "l").stdout
        ensure("flashback-rotator" not in links, f"left: {links}")


def install_by_hand(scene):
    """What the page says for a binary without the package."""
    machine, unit = scene.machine, scene.unit
    with proving("the page's commands for the plain binary bring it up, too"):
        machine.run("rm", "-rf", "/etc/systemd/system/flashback-rotator.service.d")
        scene.follow(page_commands("/usr/local/bin"), "/srv/checkout")
        ensure(unit.is_active(), "it is not active")
        scene.rotate()
        scene.arrives()
