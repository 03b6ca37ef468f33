"""docs/install-kubernetes.md, followed as far as there is no need of a cluster."""

import pathlib
import re
import shlex
import tempfile

import certifi
import helm_python
import yaml

import vault
from support import ROOT, VENV, VERSION, expect, kustomize, objects, of_kind, proven, run, template

PAGE = "docs/install-kubernetes.md"
TREE = ("deploy", "config")


def blocks():
    """The fenced blocks of the page: language and text."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / PAGE).read_text(), re.M | re.S)


def commands(found):
    """Each command of the `sh` blocks, as words."""
    for language, text in found:
        if language == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    yield shlex.split(line)


def helm_values(words, directory):
    """The values that the options of a `helm` command set."""
    given = {}

    def put(more, into):
        for name, value in more.items():
            if isinstance(value, dict) and isinstance(into.get(name), dict):
                put(value, into[name])
            else:
                into[name] = value

    for option, value in zip(words, words[1:]):
        if option == "--set":
            put(helm_python.parse_set_string(value), given)
        elif option == "--set-file":
            name, file = value.split("=", 1)
            put({name: (directory / file).read_text()}, given)
        elif option in ("--values", "-f"):
            put(yaml.safe_load((directory / value).read_text()), given)
    return given


def follow(examine):
    """Runs what can be run; `examine(what, objects)` judges what would be applied."""
    found = blocks()
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        for shared in TREE:
            (directory / shared).symlink_to(ROOT / shared)
        (directory / "flashback-token").write_text("canary-flashback-token\n")
        (directory / "postgresql-password").write_text("canary-postgresql-password\n")
        authority, end, _ = pathlib.Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
        (directory / "internal-ca.pem").write_text(authority + end)
        (config,) = [text for language, text in found if language == "toml"]
        (directory / "config.toml").write_text(config)
        (mine,) = [text for language, text in found if language == "yaml"]
        (directory / "my-cluster").mkdir()
        (directory / "my-cluster/kustomization.yaml").write_text(mine)

        made = []
        done = {"kubectl": 0, "helm": 0, "vault": 0, "cp": 0}
        with vault.Server() as server:
            for words in commands(found):
                expect(words[0] in done, f"{PAGE}: nothing here can follow {words}")
                done[words[0]] += 1
                step = {"kubectl": kubectl, "helm": helm, "vault": server.run, "cp": copy}[words[0]]
                made += step(words, directory, examine) or []
            server.knows_the_role(made)
        expect(all(done.values()), f"{PAGE}: followed only {done}")
    told = ", ".join(f"{count} of {tool}" for tool, count in done.items())
    proven(f"{PAGE}'s commands work up to the cluster's door: {told}")


def copy(words, directory, _):
    done = run(*words, cwd=directory)
    expect(done.returncode == 0, f"{PAGE}: {words}: {done.stderr}")


def helm(words, directory, examine):
    if words[1] == "test":
        return []
    expect(words[1:4] == ["upgrade", "--install", "flashback-rotator"], f"{PAGE}: {words}")
    chart = directory / words[4]
    expect((chart / "Chart.yaml").exists(), f"{PAGE}: {words[4]} is no chart")
    namespace = words[words.index("--namespace") + 1]
    made, _ = template(helm_values(words, directory), name=words[3], namespace=namespace)
    examine(f"{PAGE}, Helm", made)
    current(made)
    return made


def current(made):
    """What the page installs is this version."""
    (deployment,) = of_kind("Deployment", made)
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    expect(image == f"registry.example.com/flashback-rotator:{VERSION}", f"{PAGE} installs {image}")


def kubectl(words, directory, examine):
    """What needs a cluster is tried without one: `create` in a dry run, `apply -k` by rendering."""
    if "apply" in words:
        made = kustomize(directory / words[-1])
        examine(f"{PAGE}, kustomize", made)
        current(made)
        return made
    if "create" in words:
        done = run(VENV / "bin/kubectl", *words[1:], "--dry-run=client", "--output=yaml", cwd=directory)
        expect(done.returncode == 0, f"{PAGE}: {words}: {done.stderr}")
        return objects(done.stdout)
    known = {"label", "rollout", "exec"} & set(words)
    expect(known, f"{PAGE}: nothing here can follow {words}")
    return []
