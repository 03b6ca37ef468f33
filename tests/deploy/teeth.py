"""The examination refuses: each of its rules is broken once, in what is otherwise good."""

import copy

import configuration
import pods
import schemas
from support import Mistake, expect, of_kind, proven, template, values


def deployment(found):
    return of_kind("Deployment", found)[0]["spec"]


def pod(found):
    return deployment(found)["template"]["spec"]


def container(found):
    return pod(found)["containers"][0]


def policy(found):
    return of_kind("NetworkPolicy", found)[0]["spec"]


def apart(found):
    return pod(found)["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]


def wait_for_node(found):
    required = [one["podAffinityTerm"] for one in apart(found)]
    pod(found)["affinity"]["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": required}


def hooks(found):
    return of_kind("Pod", found)[0]["metadata"]["annotations"]


def keep_on_node(found):
    pod(found)["volumes"].append({"name": "tmp", "emptyDir": {}})
    container(found)["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"})


def config(found):
    return of_kind("ConfigMap", found)[0]["data"]


def put(into, field, value):
    into[field] = value


def replace(into, field, old, new):
    expect(old in into[field], f"`{old}` is not in {field}")
    into[field] = into[field].replace(old, new)


# What is done to the objects of values/own-ca.yaml, and what the refusal must name.
BREAKS = [
    (lambda o: put(pod(o), "hostNetwork", True), "hostNetwork"),
    (lambda o: put(pod(o)["securityContext"], "runAsUser", 0), "root"),
    (lambda o: put(pod(o)["securityContext"], "runAsNonRoot", False), "runAsNonRoot"),
    (lambda o: pod(o)["securityContext"].pop("seccompProfile"), "seccompProfile"),
    (lambda o: put(pod(o), "automountServiceAccountToken", True), "the API's token"),
    (lambda o: put(container(o)["securityContext"], "privileged", True), "privileged"),
    (lambda o: put(container(o)["securityContext"], "readOnlyRootFilesystem", False), "readOnlyRootFilesystem"),
    (lambda o: put(container(o)["securityContext"], "capabilities", {"drop": ["NET_RAW"]}), "ALL"),
    (lambda o: pod(o)["volumes"].append({"name": "h", "hostPath": {"path": "/"}}), "hostPath"),
    (lambda o: container(o)["volumeMounts"].pop(), "mounted"),
    (lambda o: put(container(o)["volumeMounts"][1], "subPath", "config.toml"), "subPath"),
    (lambda o: put(container(o)["livenessProbe"]["httpGet"], "path", "/healthz"), "livenessProbe"),
    (lambda o: put(pod(o), "terminationGracePeriodSeconds", 10), "drains"),
    (lambda o: container(o)["resources"]["limits"].pop("memory"), "no limit of memory"),
    (lambda o: put(container(o)["resources"], "limit", {}), "'limit' was unexpected"),
    (lambda o: put(deployment(o), "replicas", 2), "Recreate"),
    (lambda o: put(deployment(o), "strategy", {"type": "RollingUpdate"}), "RollingUpdate"),
    (lambda o: put(policy(o)["podSelector"]["matchLabels"], "app.kubernetes.io/name", "x"), "NetworkPolicy selects"),
    (lambda o: put(policy(o), "ingress", [{}]), "ingress from anywhere"),
    (lambda o: policy(o)["egress"].pop(), "egress"),
    (lambda o: policy(o)["egress"][0]["ports"].pop(), "egress"),
    (lambda o: apart(o).pop(), "is spread over"),
    (wait_for_node, "wait for a free node"),
    (lambda o: put(apart(o)[0]["podAffinityTerm"]["labelSelector"], "matchLabels", {"a": "b"}), "away from others"),
    (keep_on_node, "on its node"),
    (lambda o: put(hooks(o), "helm.sh/hook-delete-policy", "before-hook-creation"), "stays behind"),
    (lambda o: container(o)["env"].append({"name": "VAULT_TOKEN", "value": "x"}), "VAULT_TOKEN has a value"),
    (lambda o: o.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}), "makes a Secret"),
    (lambda o: o.append(of_kind("ConfigMap", o)[0]), "is there twice"),
    (lambda o: replace(config(o), "config.toml", "ai_type", "ai_typ"), "did you mean `ai_type`"),
    (lambda o: replace(config(o), "config.toml", "/run/vault/", "/run/other/"), "mounted at /run/other/token"),
    (lambda o: replace(config(o), "config.toml", 'file = "/run/vault/token"', 'env = "JWT"'), "no variable JWT"),
    (lambda o: replace(config(o), "kubernetes.toml", "9464", "9465"), "listens on 9465"),
    (lambda o: replace(config(o), "kubernetes.toml", "/var/lib/", "/srv/"), "on no volume"),
]

# The same for values/postgresql.yaml.
SHARED = [
    (lambda o: policy(o)["egress"].pop(), "PostgreSQL is at {5432}"),
    (lambda o: replace(config(o), "kubernetes.toml", "verify-full", "verify-ca"), "sslmode is not verify-full"),
    (lambda o: replace(config(o), "kubernetes.toml", "password =", "# password ="), "nothing to sign in"),
    (lambda o: put(deployment(o), "minReadySeconds", 0), "before the shares have settled"),
    (lambda o: put(deployment(o)["strategy"]["rollingUpdate"], "maxUnavailable", 1), "rollingUpdate"),
    (lambda o: o.remove(of_kind("PodDisruptionBudget", o)[0]), "no budget for 3 pods"),
    (lambda o: put(of_kind("PodDisruptionBudget", o)[0]["spec"], "maxUnavailable", 2), "more than one at once"),
]


def examine():
    notices(template(values("own-ca"))[0], BREAKS)
    notices(template(values("postgresql"))[0], SHARED)
    proven(f"the examination notices each of {len(BREAKS) + len(SHARED)} ways to break a good manifest")


def notices(good, table):
    for number, (breaks, wanted) in enumerate(table):
        broken = copy.deepcopy(good)
        breaks(broken)
        try:
            for judge in (schemas.validate, pods.examine, configuration.examine):
                judge("", broken)
        except Mistake as mistake:
            expect(wanted in str(mistake), f"break {number}: wanted `{wanted}`, got `{mistake}`")
        else:
            raise Mistake(f"break {number} (`{wanted}`) goes unnoticed")
