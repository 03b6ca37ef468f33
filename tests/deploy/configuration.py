"""The configuration in the manifests, as the pod sees it, through the program's own `check`."""

import os
import pathlib
import re
import tempfile
import tomllib
import urllib.parse

from support import binary, expect, of_kind, run


def files(what, found, spec):
    """The files below the mount of the configuration, by name, from the ConfigMaps it projects."""
    maps = {one["metadata"]["name"]: one.get("data", {}) for one in of_kind("ConfigMap", found)}
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "config"]
    sources = volume["projected"]["sources"] if "projected" in volume else [volume]
    merged = {}
    for source in sources:
        name = source["configMap"]["name"]
        expect(name in maps, f"{what}: there is no ConfigMap {name}")
        for file, text in maps[name].items():
            expect(file not in merged, f"{what}: two ConfigMaps have {file}")
            merged[file] = text
    return merged


def lay_out(directory, contents):
    """Writes files as the kubelet does: links to links, so that all of them change in one instant."""
    version = directory / "..2026_11_21_23_50_00.123456789"
    version.mkdir()
    (directory / "..data").symlink_to(version.name)
    for name, text in contents.items():
        (version / name).write_text(text)
        (directory / name).symlink_to(f"..data/{name}")


def checked(contents, environment):
    """What `check` says of these files, with the environment that the pod has."""
    with tempfile.TemporaryDirectory() as directory:
        lay_out(pathlib.Path(directory), contents)
        clean = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
        told = clean | environment | {"FLASHBACK_ROTATOR_CONFIG": directory}
        return run(binary(), "check", env=told)


def examine(what, found):
    """`check` takes it, and every path and variable in it is one that the container has."""
    (deployment,) = of_kind("Deployment", found)
    spec = deployment["spec"]["template"]["spec"]
    (container,) = [one for one in spec["containers"] if one["name"] == "flashback-rotator"]
    environment = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    by_volume = {mount["name"]: mount for mount in container["volumeMounts"]}
    at = by_volume["config"]["mountPath"]
    expect(environment["FLASHBACK_ROTATOR_CONFIG"] == at, f"{what}: the configuration is at {at}")

    contents = files(what, found, spec)
    done = checked(contents, environment)
    settings = {}
    for name, text in contents.items():
        if name.endswith(".toml"):
            settings |= tomllib.loads(text)
    expect(done.returncode == 0, f"{what}: check: {done.stderr}")
    expect("warning" not in done.stderr, f"{what}: check: {done.stderr}")
    fits(what, settings, container)
    if settings["state"]["url"].startswith("postgres"):
        shared(what, settings["state"], found)
    else:
        expect(deployment["spec"]["replicas"] <= 1, f"{what}: several pods and a SQLite file")


def fits(what, settings, container):
    """The settings agree with the container they run in."""
    address, _, port = settings["http"]["listen"].rpartition(":")
    expect(address in ("0.0.0.0", "[::]"), f"{what}: nobody reaches it at {address}")
    port = int(port)
    ports = [one["containerPort"] for one in container["ports"]]
    expect(ports == [port], f"{what}: listens on {port}, the container has {ports}")
    if settings["state"]["url"].startswith("sqlite://"):
        path = settings["state"]["url"].removeprefix("sqlite://")
        state = [one for one in container["volumeMounts"] if path.startswith(one["mountPath"] + "/")]
        expect(state and not state[0].get("readOnly"), f"{what}: {path} is on no volume that can be written")
    mounted = tuple(one["mountPath"] for one in container["volumeMounts"])
    variables = {one["name"] for one in container["env"]}
    for text in strings(settings):
        for path in re.findall(r"(?<![\w.:/-])/(?:run|var|etc)/[\w./-]+", text):
            expect(path.startswith(mounted), f"{what}: nothing is mounted at {path}")
    for name in references(settings, "env"):
        known = name in variables or "envFrom" in container
        expect(known, f"{what}: the container has no variable {name}")


def shared(what, state, found):
    """The database can be reached and is proven to be the right one; nothing is kept in the pod."""
    url = urllib.parse.urlsplit(state["url"])
    hosts = url.netloc.rpartition("@")[2].split(",")
    ports = {int(host.partition(":")[2] or 5432) for host in hosts}
    for policy in of_kind("NetworkPolicy", found):
        out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        expect(ports <= out, f"{what}: PostgreSQL is at {ports}, egress only to {out}")
    parameters = urllib.parse.parse_qs(url.query, strict_parsing=True)
    expect(parameters["sslmode"] == ["verify-full"], f"{what}: sslmode is not verify-full: {url.query}")
    known = "password" in state or {"sslcert", "sslkey"} <= parameters.keys()
    expect(known, f"{what}: nothing to sign in to PostgreSQL with")
    expect(not of_kind("PersistentVolumeClaim", found), f"{what}: a volume for a state that is not there")


def strings(tree):
    """Each text in a tree of tables."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from strings(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from strings(each)


def references(tree, form):
    """Each secret reference of this form: `{ env = "NAME" }`."""
    if isinstance(tree, dict):
        if set(tree) == {form}:
            yield tree[form]
        for each in tree.values():
            yield from references(each, form)
