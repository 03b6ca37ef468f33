"""What the parts of this test share: where things are, how a proof is told, how manifests are made."""

import os
import pathlib
import subprocess
import sys
import tomllib

import helm_python
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/flashback-rotator"
KUSTOMIZE = ROOT / "deploy/kustomize"
VALUES = ROOT / "tests/deploy/values"
RULES = ROOT / "deploy/prometheus/rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
VENV = pathlib.Path(sys.prefix)
PACKAGE = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
VERSION = PACKAGE["version"]
LICENCE = PACKAGE["license"]

proofs = 0


class Mistake(Exception):
    """Something under deploy/ is wrong; the text says what."""


def expect(holds, text):
    if not holds:
        raise Mistake(text)


def proven(text):
    """Tells of one thing that was proven."""
    global proofs
    proofs += 1
    print(f"  proven: {text}", flush=True)


def objects(text):
    """The objects of a stream of YAML documents."""
    return [one for one in yaml.safe_load_all(text) if one]


def named(one):
    return f"{one['kind']} {one['metadata']['name']}"


def of_kind(kind, among):
    return [one for one in among if one["kind"] == kind]


def run(*command, **more):
    """Runs a command to its end, for at most ten minutes. A failure is the caller's to judge."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **more)


def kustomize(directory):
    """What `kubectl kustomize` makes of a directory, as objects."""
    done = run(VENV / "bin/kubectl", "kustomize", directory)
    expect(done.returncode == 0, f"kubectl kustomize {directory}: {done.stderr}")
    return objects(done.stdout)


def values(name):
    return yaml.safe_load((VALUES / f"{name}.yaml").read_text())


def template(given, name="rotator", namespace="flashback"):
    """What `helm template` makes of the chart with these values: objects, and the notes."""
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(given, name=name, namespace=namespace)
    notes = ""
    found = []
    for path, text in rendered.items():
        if path.endswith("NOTES.txt"):
            notes = text
        else:
            found += objects(text)
    return found, notes


def binary():
    """The program under test, in a build that tests/deploy/run has made."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    return target / "debug/flashback-rotator"
