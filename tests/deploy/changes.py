"""What replaces pods and what leaves them alone: scaling, a changed configuration, a changed state."""

import pathlib
import tempfile

from support import KUSTOMIZE, expect, kustomize, of_kind, proven, template, values
from refusals import merge


def pod(found):
    """The template of the daemon's pods: another one replaces them all."""
    (deployment,) = of_kind("Deployment", found)
    return deployment["spec"]["template"]


def charted(name, more):
    return pod(template(merge(values(name), more))[0])


def chart():
    def changed(name):
        return {"config": values(name)["config"] + 'check = "5s"\n'}

    for name in ("default", "postgresql"):
        expect(charted(name, {}) == charted(name, changed(name)), f"{name}: a changed configuration replaces pods")
    restarts = {"restartOnConfigChange": True}
    before, after = charted("postgresql", restarts), charted("postgresql", changed("postgresql") | restarts)
    expect(before != after, "restartOnConfigChange replaces no pod")
    other = {"state": {"postgresql": {"url": "postgres://rotator@other/rotator"}}}
    expect(charted("postgresql", {}) != charted("postgresql", other), "another [state] takes no effect: no pod is new")
    expect(charted("default", {}) != charted("default", {"http": {"port": 9000}}), "another [http] takes no effect")
    proven("chart: a changed configuration replaces no pod unless restartOnConfigChange; another state or port does")

    one, many = (charted("postgresql", {"replicaCount": count}) for count in (1, 5))
    expect(one == many, "scaling from 1 replica to 5 replaces the first")
    proven("chart: scaling from one replica to five replaces none")


def layered(overlay, files):
    """The pods of an overlay below a kustomization that puts these in place of files of its ConfigMaps."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "deploy").symlink_to(KUSTOMIZE)
        mine = directory / "mine"
        mine.mkdir()
        lines = ["resources:", f"  - ../deploy/overlays/{overlay}", "configMapGenerator:"]
        for (map_name, file), text in files.items():
            (mine / file).write_text(text)
            lines += [f"  - name: {map_name}", "    behavior: merge", f"    files: [{file}]"]
            if map_name == "flashback-rotator":
                lines += ["    options:", "      disableNameSuffixHash: true"]
        (mine / "kustomization.yaml").write_text("\n".join(lines) + "\n")
        return pod(kustomize(mine))


def kustomizations():
    config, http = (KUSTOMIZE / "base" / file for file in ("config.toml", "http.toml"))
    for overlay in ("sqlite", "postgres"):
        state = (KUSTOMIZE / "overlays" / overlay / "state.toml").read_text()
        start = "flashback-rotator-start"
        same = layered(overlay, {(start, "state.toml"): state})
        expect(same == pod(kustomize(KUSTOMIZE / "overlays" / overlay)), f"{overlay}: the same state replaces the pods")
        edited = {("flashback-rotator", "config.toml"): config.read_text() + 'check = "5s"\n'}
        expect(layered(overlay, edited) == same, f"{overlay}: a changed configuration replaces the pods")
        for file, text in (("state.toml", state + 'lease = "20s"\n'), ("http.toml", http.read_text() + "# other\n")):
            after = layered(overlay, {(start, file): text})
            expect(after != same, f"{overlay}: another {file} takes no effect: no pod is new")
    proven("kustomize: a changed configuration replaces no pod; another state or port does")


def examine():
    chart()
    kustomizations()
