"""Everything under deploy/ for Kubernetes: rendered, validated, and held against the program."""

import copy
import difflib
import json
import pathlib
import shutil
import sys
import tempfile

import helm_python
import yaml

import changes
import configuration
import pods
import page
import refusals
import replaced
import reviewer
import schemas
import support
import teeth
import trust
from support import CHART, DASHBOARD, KUSTOMIZE, ROOT, RULES, VALUES, VERSION, Mistake
from support import expect, kustomize, of_kind, proven, template, values

COMPONENT = KUSTOMIZE / "components/monitoring/prometheusrule.yaml"


def examine(what, found):
    """The whole examination of what one way of deploying renders to."""
    schemas.validate(what, found)
    pods.examine(what, found)
    configuration.examine(what, found)
    versions = " and ".join(schemas.KUBERNETES)
    proven(
        f"{what}: {len(found)} objects are valid in Kubernetes {versions}, the pods are restricted, "
        "`check` takes the configuration"
    )


def kustomizations():
    for overlay in ("sqlite", "postgres"):
        found = kustomize(KUSTOMIZE / "overlays" / overlay)
        examine(f"kustomize overlay {overlay}", found)
        (deployment,) = of_kind("Deployment", found)
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        expect(image == f"localhost/flashback-rotator:{VERSION}", f"overlay {overlay}: {image}")


def chart():
    report = helm_python.lint(CHART, values("default"), strict=True)
    findings = [one for one in report["messages"] if one["severity"] > 1]
    expect(not findings and not report["errors"], f"helm lint: {report}")
    proven(f"helm lint (Helm {helm_python.helm_sdk_version()}), strict, finds nothing")

    with helm_python.Chart.load(CHART) as loaded:
        metadata = loaded.metadata
    expect(metadata["appVersion"] == VERSION, "Chart.yaml: appVersion is not the program's")
    licence = metadata["annotations"]["artifacthub.io/license"]
    expect(licence == support.LICENCE, f"Chart.yaml: the licence is {licence}")
    oldest = f">={schemas.KUBERNETES[0]}.0-0"
    expect(metadata["kubeVersion"] == oldest, "Chart.yaml: kubeVersion is not what is validated")
    for file in sorted(VALUES.glob("*.yaml")):
        found, told = template(values(file.stem))
        examine(f"chart with values/{file.name}", found)
        expect("rollout status deployment/" in told, f"{file.name}: {told}")
    example = {
        "config": (ROOT / "config/examples/vault-kubernetes.toml").read_text(),
        "serviceAccount": {"vaultToken": {"enabled": True}},
        "ca": {"existingConfigMap": "vault-ca"},
    }
    examine("chart with config/examples/vault-kubernetes.toml", template(refusals.merge(values("default"), example))[0])
    names()
    notes()
    placement()
    packaged()
    subchart()


def names():
    """The longest name of a release that Helm allows makes names that Kubernetes allows."""
    for release, wanted in (("flashback-rotator", "flashback-rotator"), ("llm", "llm-flashback-rotator")):
        found, _ = template(values("default"), name=release)
        expect(of_kind("Deployment", found)[0]["metadata"]["name"] == wanted, f"a release {release} is not {wanted}")
    found, _ = template(values("postgresql"), name="r" * 53)
    for one in found:
        expect(len(one["metadata"]["name"]) <= 63, f"{support.named(one)} has too long a name")
    proven("a release of any name has names that are allowed, and `flashback-rotator` has no doubled one")


def notes():
    def said(more, name="default"):
        return template(refusals.merge(values(name), more))[1]

    for name in ("default", "postgresql", "postgresql-certificate"):
        expect("WARNING" not in said({}, name), f"the notes warn of values/{name}.yaml")
    unproven = {"state": {"postgresql": {"url": "postgres://rotator@db/rotator?sslmode=require"}}}
    expect("add sslmode=verify-full" in said(unproven, "postgresql"), "no warning of a database that anybody can be")
    ports = "DNS and the ports 443, 6432, 5432, and nothing else"
    expect(ports in said({}, "postgresql-certificate"), "the notes do not name PostgreSQL's ports")
    forgetful = {"state": {"persistence": {"enabled": False}}}
    expect("begins without a memory" in said(forgetful), "no warning of a lost state")
    proven("the notes name the ports, and warn of a state that is lost and of a database that nothing proves")


def placement():
    """One's own affinity is kept, and an anti-affinity of one's own takes the place of the chart's."""

    def affinity(more):
        found, _ = template(refusals.merge(values("default"), {"affinity": more}))
        return of_kind("Deployment", found)[0]["spec"]["template"]["spec"]["affinity"]

    nodes = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    expect(affinity(nodes) == affinity({}) | nodes, f"an affinity to nodes is lost: {affinity(nodes)}")
    own = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}
    expect(affinity(own) == own, f"an anti-affinity of one's own is mixed with the chart's: {affinity(own)}")
    proven("replicas keep apart beside an affinity to nodes, and by one's own rules where there are any")


def packaged():
    """The packaged chart is whole: the alert rules are in it."""
    with tempfile.TemporaryDirectory() as directory:
        with helm_python.Chart.load(CHART) as loaded:
            archive = loaded.save(directory)
        with helm_python.Chart.load(archive) as loaded:
            files = {file["name"] for file in loaded.files}
            expect({"files/rules.yaml", "files/dashboard.json"} <= files, f"the package has only {files}")
            rendered = loaded.render(values("everything"), name="rotator")
    expect(any("alert:" in text for text in rendered.values()), "the package has no alerts")
    proven("`helm package` makes a chart that renders like the directory")


def subchart():
    """A parent chart can take it in, with its own `global` and a condition."""
    with tempfile.TemporaryDirectory() as name:
        parent = pathlib.Path(name)
        shutil.copytree(CHART, parent / "charts/flashback-rotator")
        (parent / "templates").mkdir()
        (parent / "Chart.yaml").write_text(
            "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies:\n"
            "  - name: flashback-rotator\n    version: '>=0-0'\n    condition: flashback-rotator.enabled\n"
        )
        with helm_python.Chart.load(parent) as loaded:
            for enabled in (True, False):
                given = {"flashback-rotator": values("default") | {"enabled": enabled}, "global": {"region": "eu"}}
                rendered = loaded.render(given, name="platform")
                expect(any("Deployment" in text for text in rendered.values()) is enabled, f"enabled: {enabled}")
    proven("it can be a subchart, with a condition and global values")


def copies():
    """What the chart and the component must have of the rules and of the dashboard: path and text.

    A chart holds no file from outside of it, and kustomize turns no list of rules into an object.
    """
    rules = RULES.read_text()
    head = (
        "# Made from deploy/prometheus/rules.yaml by `tests/deploy/run --write`.\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: flashback-rotator\n"
        "  labels:\n    app.kubernetes.io/name: flashback-rotator\n    app.kubernetes.io/instance: flashback-rotator\n"
        "spec:\n"
    )
    indented = "".join(f"  {line}" if line.strip() else line for line in rules.splitlines(keepends=True))
    return {
        CHART / "files/rules.yaml": rules,
        CHART / "files/dashboard.json": DASHBOARD.read_text(),
        COMPONENT: head + indented,
    }


def monitoring():
    for path, wanted in copies().items():
        name = path.relative_to(ROOT)
        have = path.read_text() if path.exists() else ""
        lines = difflib.unified_diff(have.splitlines(True), wanted.splitlines(True), str(name), "wanted")
        differences = "".join(lines)
        expect(not differences, f"{name} is an old copy; run tests/deploy/run --write\n{differences}")
    groups = yaml.safe_load(RULES.read_text())["groups"]

    def rendered(base):
        metrics = {"metrics": {"prometheusRule": {"enabled": True, "runbookBaseUrl": base}}}
        (rule,) = of_kind("PrometheusRule", template(refusals.merge(values("default"), metrics))[0])
        return rule["spec"]

    expect(rendered("") == {"groups": groups}, "the chart's PrometheusRule has other rules")
    whole = yaml.safe_dump(rendered("https://git.example.com/blob/main/"))
    links = whole.count("runbook_url: https://git.example.com/blob/main/docs/")
    expect(links == whole.count("runbook_url: ") > 0, "runbookBaseUrl makes not all links whole")
    expect(yaml.safe_load(COMPONENT.read_text())["spec"] == {"groups": groups}, "the component has other rules")
    enabled = {"metrics": {"dashboard": {"enabled": True}}}
    found, _ = template(refusals.merge(values("default"), enabled))
    maps = of_kind("ConfigMap", found)
    (shown,) = [one["data"] for one in maps if "grafana_dashboard" in one["metadata"]["labels"]]
    (text,) = shown.values()
    expect(json.loads(text) == json.loads(DASHBOARD.read_text()), "the chart's dashboard is another")
    count = sum("alert" in one for group in groups for one in group["rules"])
    proven(f"chart and kustomize component have the {count} alerts, and the chart the dashboard, word for word")


def operator_is_strict():
    """The judge of the operator's kinds does refuse: a field it does not know, a wrong interval."""
    found, _ = template(values("everything"))
    (monitor,) = of_kind("PodMonitor", found)
    wrongs = (("interval", "often", "interval must match"), ("intervall", "30s", "'\"intervall\"' does not exist"))
    for field, value, wanted in wrongs:
        wrong = copy.deepcopy(monitor)
        wrong["spec"]["podMetricsEndpoints"][0][field] = value
        said = schemas.operator_mistakes([wrong])
        expect(wanted in said, f"a PodMonitor with {field}: {value} is taken: {said}")
    proven("PodMonitor and PrometheusRule are held against the operator's own definitions, strictly")


def main():
    if sys.argv[1:] == ["--write"]:
        for path, wanted in copies().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted)
            print(f"tests/deploy: wrote {path.relative_to(ROOT)}")
        return
    for part in (
        monitoring,
        kustomizations,
        chart,
        changes.examine,
        refusals.examine,
        operator_is_strict,
        teeth.examine,
        trust.examine,
        reviewer.examine,
        replaced.examine,
    ):
        part()
    page.follow(examine)
    print(f"tests/deploy: everything passed, {support.proofs} things proven; no cluster was involved")


if __name__ == "__main__":
    try:
        main()
    except (Mistake, helm_python.HelmError) as mistake:
        sys.exit(f"tests/deploy: FAILED: {mistake}")
