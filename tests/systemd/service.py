"""Proofs of how the service lives: start, sandbox, reload, watchdog, restarts, instances."""

import re

from machine import Unit, ensure, eventually
from scene import CONFIG, QUICK, fails_inside, proving, restarted
from world import VAULT, Flashback

REFUSED = "the new configuration is refused"


def starts(scene):
    unit = scene.unit
    with proving("active by its own notification, with the keys' state in its status line"):
        ensure(unit.show("ActiveState", "Type") == ["active", "notify-reload"], "not active")
        ensure(unit.get("NotifyAccess") == "main", "it was not told by the service itself")
        eventually("a status", lambda: "1 key: 1 in sync" in unit.get("StatusText"))
    with proving("the key of OpenBao is in Flashback, read with credentials of LoadCredential="):
        scene.arrives()
    with proving("sandboxed, it rotates a key"):
        scene.rotate()
        scene.arrives()
    with proving("commands in a root shell read its state and are carried out by it"):
        status = scene.machine.run("flashback-rotator", "status", "--json").stdout
        ensure('"state":"in_sync"' in status, status)
        before = scene.flashback.writes()
        scene.machine.run("flashback-rotator", "sync", "--force")
        ensure(scene.flashback.writes() == before + 1, "it was not pushed once")
    with proving("`check --connect` works with its credentials"):
        said = scene.machine.run(
            *("flashback-rotator", "check", "--connect"),
            CREDENTIALS_DIRECTORY="/etc/flashback-rotator/credentials",
        ).stdout
        ensure("signed in by approle" in said, said)


def is_confined(scene):
    machine, unit = scene.machine, scene.unit
    pid = unit.pid()
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    with proving("it is a user made for it, without capabilities, privileges or core dumps"):
        uid = int(re.search(r"^Uid:\t(\d+)", status, re.MULTILINE)[1])
        ensure(61184 <= uid <= 65519, f"uid {uid} is not a dynamic one")
        for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"):
            ensure(line in status, f"not {line}")
        ensure("NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, status)
        limits = machine.run("cat", f"/proc/{pid}/limits").stdout
        ensure(re.search(r"Max core file size +0 +0 ", limits), limits)
        ensure(unit.show("MemoryMax", "TasksMax") == [str(512 << 20), "256"], "its limits")
    with proving("it can write its state and nothing else, and sees no home"):
        for place in ("/etc/flashback-rotator", "/usr", "/var/lib", "/srv", "/root"):
            ensure(fails_inside(machine, pid, "touch", f"{place}/x"), f"{place} can be written")
        user = (f"--setuid={uid}", f"--setgid={uid}")
        state = "/var/lib/flashback-rotator"
        ensure(not fails_inside(machine, pid, *user, "test", "-w", state), f"{state} cannot be")
        machine.write("/root/here", "")
        ensure(fails_inside(machine, pid, "ls", "/root/here"), "it sees /root")
    with proving("no secret in its command line, environment, state or the journal"):
        seen = machine.run("cat", f"/proc/{pid}/cmdline", f"/proc/{pid}/environ").stdout
        ensure("CREDENTIALS_DIRECTORY" in seen, "its environment was not seen")
        search = ("grep", "-rlF", "/var/lib/private", "-e")
        ensure("state.db" in machine.run(*search, "Production OpenAI").stdout, "no state was seen")
        for canary in scene.canaries:
            ensure(canary not in seen, f"{canary} is in its command line or environment")
            found = machine.run(*search, canary, check=False).stdout
            ensure(not found, f"{canary} is in {found}")
        scene.search_journal()


def reloads(scene):
    machine, unit = scene.machine, scene.unit
    good = machine.path(CONFIG).read_text()
    with proving("a new key takes effect with `systemctl reload`, in the same process"):
        pid = unit.pid()
        added = good + '\n[keys.second]\nai_type = "OPENAI"\nsource = "vault"\npath = "llm/openai"\n'
        machine.write(CONFIG, added)
        unit.do("reload")
        scene.flashback.wait_for("second", scene.key)
        ensure(unit.pid() == pid, "it is another process")
    with proving("a broken configuration is refused, reported, and shown in the status line"):
        machine.write(CONFIG, good.replace("[sources.vault]", "[sources.vualt]", 1))
        unit.do("reload")
        eventually("the event", lambda: unit.events("config_rejected"))
        ensure("vault" in unit.events("config_rejected")[0]["error"], "what is wrong is not said")
        eventually("the status", lambda: REFUSED in unit.get("StatusText"))
    with proving("the old configuration goes on, and rotates"):
        scene.rotate()
        scene.arrives()
        scene.flashback.wait_for("second", scene.key)
        ensure(unit.is_active() and unit.pid() == pid, "it is not the same process")
    with proving("the mended configuration takes effect"):
        machine.write(CONFIG, good)
        unit.do("reload")
        eventually("the status", lambda: REFUSED not in unit.get("StatusText"))
        eventually("one key", lambda: unit.get("StatusText").startswith("1 key:"))


def reads_files(scene):
    """A `file` source, as docs/install-systemd.md has it: readable for a group that the unit is given."""
    machine, unit = scene.machine, scene.unit
    good = machine.path(CONFIG).read_text()
    with proving("given a group, it reads keys from a directory of that group"):
        machine.run("groupadd", "llm-keys")
        machine.run("install", "-d", "-m", "750", "-g", "llm-keys", "/srv/llm")
        key = scene.canary("file")
        machine.write("/srv/llm/anthropic", key + "\n", 0o640)
        machine.run("chgrp", "llm-keys", "/srv/llm/anthropic")
        source = '\n[sources.mounted]\ntype = "file"\ndir = "/srv/llm"\n'
        keys = '[keys.mounted]\nai_type = "ANTHROPIC"\nsource = "mounted"\npath = "anthropic"\n'
        machine.write(CONFIG, good + source + keys)
        unit.drop_in("group", "SupplementaryGroups=llm-keys")
        unit.do("restart")
        scene.flashback.wait_for("mounted", key)
    unit.drop_in("group", None)
    machine.write(CONFIG, good)
    unit.do("restart")


def comes_back(scene):
    machine, unit = scene.machine, scene.unit
    with proving("killed with -9 it is started again, and pushes nothing again"):
        with scene.pushing_nothing():
            pid, before = unit.pid(), unit.restarts()
            machine.run("kill", "-KILL", str(pid))
            restarted(unit, pid)
            ensure(unit.restarts() == before + 1, "it was not systemd that started it")
    with proving("hanging (SIGSTOP) it is killed by the watchdog, started again, and catches up"):
        unit.drop_in("quick", "WatchdogSec=5")
        unit.do("restart")
        pid = unit.pid()
        machine.run("kill", "-STOP", str(pid))
        scene.rotate()
        restarted(unit, pid)
        ensure("Watchdog timeout" in unit.log(), "it was not the watchdog")
        scene.arrives()
        unit.drop_in("quick", None)
    with proving("restarted by hand it keeps its state, and pushes nothing again"):
        with scene.pushing_nothing():
            unit.do("restart")
    with proving("told to stop it ends in order"):
        unit.do("stop")
        ended = unit.show("ActiveState", "Result", "ExecMainStatus")
        ensure(ended == ["inactive", "success", "0"], f"{ended}")
        ensure(unit.events("stopped"), "it did not finish what was in flight")
    with proving("started under another user id it takes its state over, and pushes nothing again"):
        state = "/var/lib/private/flashback-rotator"
        # As after a restored backup; and a command was run by root meanwhile.
        status = machine.run("flashback-rotator", "status", check=False)
        ensure("not running since" in status.stdout, status.stdout)
        machine.run("chown", "-R", "12345:12345", state)
        with scene.pushing_nothing():
            unit.do("start")
        owner = int(machine.run("stat", "-c", "%u", f"{state}/state.db").stdout)
        ensure(61184 <= owner <= 65519, f"the state belongs to {owner}")


def is_never_given_up(scene):
    machine, unit = scene.machine, scene.unit
    good = machine.path(CONFIG).read_text()
    unit.drop_in("quick", "RestartSec=100ms\nRestartMaxDelaySec=500ms")
    with proving("with a broken configuration it is tried again and again, and not given up"):
        machine.write(CONFIG, good + "\n[nonsense]\n")
        ensure(unit.do("restart", check=False).returncode != 0, "it started")
        before = unit.restarts()
        eventually("8 more tries", lambda: unit.restarts() >= before + 8)
    with proving("once that is mended it runs, with no hand on it, and pushes nothing again"):
        with scene.pushing_nothing():
            machine.write(CONFIG, good)
            eventually("it runs", unit.is_active)
    unit.drop_in("quick", None)


def instances(scene):
    """Two of the template: `eu` with the credentials of the example, `us` with a token."""
    machine = scene.machine
    token = scene.canary("token")
    other = Flashback(machine, "flashback-us", 8788, token)
    scene.flashbacks.append(other)
    targets = {"eu": (scene.flashback, 9465), "us": (other, 9466)}
    units = {name: Unit(machine, f"flashback-rotator@{name}") for name in targets}
    keys = {}
    policy = (machine.path("/usr/share/flashback-rotator/policies/vault.hcl")).read_text()
    for name, (flashback, port) in targets.items():
        keys[name] = scene.canary(name)
        scene.bao.put(name, keys[name])
        role_id, secret_id = scene.bao.role(name, policy.replace("llm/openai", f"llm/{name}"))
        scene.canaries.append(secret_id)
        text = machine.path("/usr/share/flashback-rotator/examples/systemd.toml").read_text()
        for old, new in (
            ("[flashback]\n", f'[flashback]\nbase_url = "{flashback.url}"\n'),
            ("https://vault.internal:8200", VAULT),
            ("a61f54e3-6880-0d9e-2446-96c60d2aba05", role_id),
            ("lib/flashback-rotator/", f"lib/flashback-rotator@{name}/"),
            ("[state]\n", f'{QUICK}[http]\nlisten = "127.0.0.1:{port}"\n[state]\n'),
            ("keys.openai", f"keys.{name}"),
            ("Production OpenAI", name),
            ("llm/openai", f"llm/{name}"),
        ):
            ensure(old in text, f"the example has no {old!r}")
            text = text.replace(old, new)
        if name == "us":
            text = re.sub(
                r'email = .*\npassword = .*\n', 'token = { credential = "flashback-token" }\n', text
            )
        own = f"/etc/flashback-rotator/{name}"
        machine.write(f"{own}/config.toml", text)
        machine.write(f"{own}/credentials/vault-secret-id", secret_id, 0o600)
        machine.write(f"{own}/credentials/flashback-password", scene.canary("password"), 0o600)
        machine.write(f"{own}/credentials/flashback-token", token + "\n", 0o600)
    shipped = machine.path("/usr/share/flashback-rotator/credentials.conf").read_text()
    shipped = shipped.replace("/credentials/", "/%i/credentials/")
    machine.write("/etc/systemd/system/flashback-rotator@.service.d/credentials.conf", shipped)
    token_too = "LoadCredential=flashback-token:/etc/flashback-rotator/us/credentials/flashback-token"
    units["us"].drop_in("token", token_too)
    machine.run("systemctl", "daemon-reload")
    with proving("two instances run beside it, each with its own configuration, state and key"):
        for name, (flashback, _) in targets.items():
            units[name].do("enable")
            units[name].do("start")
            flashback.wait_for(name, keys[name])
            state = machine.path(f"/var/lib/private/flashback-rotator@{name}/state.db")
            ensure(state.exists(), f"{state} is missing")
        ensure(not other.holds("eu", keys["eu"]), "one does the other's work")
    with proving("what ends one does not touch the other"):
        pids = {name: unit.pid() for name, unit in units.items()}
        with scene.pushing_nothing(targets["eu"][1]):
            machine.run("kill", "-KILL", str(pids["eu"]))
            restarted(units["eu"], pids["eu"])
        ensure(units["us"].pid() == pids["us"], "the other one was started anew")
    return units
