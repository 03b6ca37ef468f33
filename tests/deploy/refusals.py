"""Values that the chart refuses, and what it says: by its schema, or by its templates."""

import copy

import helm_python

from support import CHART, expect, proven, template, values

# What is set on top of values/default.yaml, and what the message must name.
SCHEMA = [
    ({"replicaCounts": 2}, "additional properties 'replicaCounts' not allowed"),
    ({"replicaCount": "1"}, "at '/replicaCount': got string, want integer"),
    ({"replicaCount": -1}, "at '/replicaCount': minimum: got -1, want 0"),
    ({"image": {"repository": "registry.example.com/rotator:1.0"}}, "at '/image/repository'"),
    ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy': value must be one of"),
    ({"image": {"digest": "sha256:abc"}}, "at '/image/digest'"),
    ({"state": {"type": "mysql"}}, "at '/state/type': value must be one of 'sqlite', 'postgresql'"),
    ({"state": {"type": "postgresql"}}, "at '/state/postgresql/url': minLength"),
    (
        {"state": {"type": "postgresql", "postgresql": {"url": "postgres://rotator:canary-password@db/rotator"}}},
        "at '/state/postgresql/url'",
    ),
    (
        {"state": {"type": "postgresql", "postgresql": {"url": "postgres://r@db/r?password=canary-password"}}},
        "at '/state/postgresql/url'",
    ),
    ({"state": {"postgresql": {"lease": "soon"}}}, "at '/state/postgresql/lease'"),
    ({"state": {"persistence": {"accessModes": ["ReadWriteMany"]}}}, "at '/state/persistence/accessModes/0'"),
    ({"state": {"persistence": {"size": "1 GB"}}}, "at '/state/persistence/size'"),
    ({"state": {"postgresql": {"password": "x"}}}, "additional properties 'password' not allowed"),
    ({"secrets": {"flashback": {"value": "x", "existingSecret": "a"}}}, "additional properties 'value' not allowed"),
    ({"secrets": {"flashback": {}}}, "at '/secrets/flashback': missing property 'existingSecret'"),
    ({"secrets": {"Flash_Back": {"existingSecret": "a"}}}, "invalid propertyName 'Flash_Back'"),
    (
        {"secrets": {"llm": {"existingSecret": "a", "items": [{"key": "k", "path": "../../etc/passwd"}]}}},
        "at '/secrets/llm/items/0/path'",
    ),
    ({"extraEnv": [{"name": "FLASHBACK_TOKEN", "value": "x"}]}, "at '/extraEnv/0': missing property 'valueFrom'"),
    ({"serviceAccount": {"awsRoleArn": "flashback-rotator"}}, "at '/serviceAccount/awsRoleArn'"),
    (
        {"serviceAccount": {"vaultToken": {"expirationSeconds": 60}}},
        "at '/serviceAccount/vaultToken/expirationSeconds': minimum: got 60, want 600",
    ),
    ({"http": {"address": "127.0.0.1"}}, "at '/http/address': value must be one of"),
    ({"http": {"port": 80}}, "at '/http/port': minimum: got 80, want 1,024"),
    ({"networkPolicy": {"egressPorts": ["https"]}}, "at '/networkPolicy/egressPorts/0': got string, want integer"),
    ({"metrics": {"podMonitor": {"interval": "often"}}}, "at '/metrics/podMonitor/interval'"),
    ({"podSecurityContext": {"runAsUser": 0}}, "at '/podSecurityContext/runAsUser': minimum: got 0, want 1"),
    ({"podSecurityContext": {"privileged": True}}, "additional properties 'privileged' not allowed"),
    ({"terminationGracePeriodSeconds": 5}, "at '/terminationGracePeriodSeconds': minimum: got 5, want 15"),
    ({"probes": {"liveness": {"periodSeconds": 0}}}, "at '/probes/liveness/periodSeconds': minimum"),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, "at '/podDisruptionBudget/maxUnavailable': minimum"),
    ({"extraVolumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "at '/extraVolumes/0': 'not' failed"),
    (
        {"extraObjects": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}]},
        "at '/extraObjects/0': 'not' failed",
    ),
    ({"podLabels": {"team": 7}}, "at '/podLabels/team': got number, want string"),
]

TEMPLATES = [
    ({"image": {"repository": ""}}, "image.repository is not set"),
    ({"replicaCount": 2}, "replicaCount is 2, and a SQLite file is one process's: set state.type=postgresql"),
    (
        {"state": {"postgresql": {"ca": {"existingConfigMap": "a", "existingSecret": "b"}}}},
        "state.postgresql.ca.existingConfigMap and state.postgresql.ca.existingSecret are both set",
    ),
    ({"config": ""}, "there is no configuration: write one and add --set-file config=config.toml"),
    ({"existingConfigMap": "other"}, "config and existingConfigMap are both set"),
    ({"config": "[flashback]\n[http]\nlisten = '127.0.0.1:1'\n"}, "config has a table [http]"),
    ({"config": "  [ state ]\nurl = 'sqlite:///x'\n"}, "config has a table [state]"),
    ({"config": "http.listen = '127.0.0.1:1'\n"}, "config has a table [http]"),
    ({"ca": {"existingConfigMap": "a", "existingSecret": "b"}}, "are both set: use one of them"),
    ({"ca": {"replaceSystem": True}}, "ca.replaceSystem needs"),
    (
        {"serviceAccount": {"create": False, "awsRoleArn": "arn:aws:iam::123456789012:role/r"}},
        "serviceAccount.awsRoleArn needs serviceAccount.create",
    ),
    ({"restartOnConfigChange": True}, "restartOnConfigChange would stop the one pod before a new one has read"),
    (
        {
            "config": "",
            "existingConfigMap": "a",
            "restartOnConfigChange": True,
            "state": {"type": "postgresql", "postgresql": {"url": "postgres://rotator@db/rotator"}},
        },
        "restartOnConfigChange needs config",
    ),
]


def merge(into, more):
    """As Helm merges values: maps are merged, anything else is replaced."""
    result = copy.deepcopy(into)
    for name, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merge(result[name], value) if both else value
    return result


def refused(more):
    """What Helm says of the least values with these on top."""
    try:
        template(merge(values("default"), more))
    except helm_python.HelmError as error:
        return str(error)
    return None


def examine():
    for table, by in ((SCHEMA, "schema"), (TEMPLATES, "templates")):
        for more, message in table:
            said = refused(more)
            expect(said is not None, f"the chart takes {more}")
            expect(message in said, f"{more}: wanted `{message}`, got `{said}`")
            expect("canary" not in said, f"{more}: the value is repeated: {said}")
        proven(f"{len(table)} wrong values are refused by the chart's {by}, each with its place")

    with helm_python.Chart.load(CHART) as chart:
        schema, defaults = chart.schema, chart.values
    for place, given in undocumented(schema, defaults):
        expect(given, f"values.schema.json knows {place}, values.yaml does not")
    proven("values.yaml has each value that the schema knows, and no other")


def undocumented(schema, defaults, place=""):
    """Each property of the schema, and whether values.yaml has it: what a parent chart sets aside."""
    for name, inner in schema.get("properties", {}).items():
        if place == "" and name in ("global", "enabled"):
            continue
        has = name in defaults
        yield f"{place}{name}", has
        if has and inner.get("type") == "object" and isinstance(defaults[name], dict):
            yield from undocumented(inner, defaults[name], f"{place}{name}.")
