"""Each pod against the Pod Security Standard "restricted" and against the objects around it."""

from support import expect, named, of_kind

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
# A push in flight gets 10 seconds, the last notes 2.
STOPPING = 12
SECRET_NAMES = ("TOKEN", "SECRET", "PASSWORD", "KEY")


def templates(found):
    """Each pod there is or will be: whose it is, its metadata, its spec."""
    for one in of_kind("Deployment", found):
        yield named(one), one["spec"]["template"]["metadata"], one["spec"]["template"]["spec"]
    for one in of_kind("Pod", found):
        yield named(one), one["metadata"], one["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def restricted(what, spec):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and more."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        expect(not spec.get(field), f"{what}: {field}")
    pod = spec.get("securityContext", {})
    expect(not pod.get("sysctls"), f"{what}: sysctls")
    expect(pod.get("runAsNonRoot") is True, f"{what}: runAsNonRoot of the pod")
    expect(pod.get("runAsUser") != 0, f"{what}: runs as root")
    expect(pod.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{what}: seccompProfile")
    for volume in spec.get("volumes", []):
        kind = next(field for field in volume if field != "name")
        expect(kind in VOLUMES, f"{what}: a volume of type {kind}")
    for container in containers(spec):
        confined(f"{what}, container {container['name']}", container)
    expect(spec.get("automountServiceAccountToken") is False, f"{what}: the API's token is mounted")
    expect(spec.get("enableServiceLinks") is False, f"{what}: service links")


def confined(what, container):
    own = container.get("securityContext", {})
    expect(own.get("allowPrivilegeEscalation") is False, f"{what}: allowPrivilegeEscalation")
    expect(not own.get("privileged"), f"{what}: privileged")
    expect(own.get("readOnlyRootFilesystem") is True, f"{what}: readOnlyRootFilesystem")
    expect(own.get("runAsNonRoot", True) is True, f"{what}: runAsNonRoot")
    expect(own.get("runAsUser") != 0, f"{what}: runs as root")
    expect("procMount" not in own, f"{what}: procMount")
    expect(own.get("capabilities", {}).get("drop") == ["ALL"], f"{what}: drops not ALL capabilities")
    expect(not own["capabilities"].get("add"), f"{what}: adds a capability")
    for port in container.get("ports", []):
        expect("hostPort" not in port, f"{what}: hostPort")


def daemon(what, spec):
    """The rotator's own container: it can be probed, it stops in time, it cannot grow for ever."""
    (one,) = [each for each in spec["containers"] if each["name"] == "flashback-rotator"]
    expect(one["args"] == ["run"] and "command" not in one, f"{what}: is not `run`")
    expect(spec["terminationGracePeriodSeconds"] > STOPPING, f"{what}: is killed while it drains")
    ports = {port["name"] for port in one["ports"]}
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        asked = one[probe]["httpGet"]
        expect(asked["path"] == path and asked["port"] in ports, f"{what}: {probe} asks {asked}")
    resources = one["resources"]
    expect({"cpu", "memory"} <= resources["requests"].keys(), f"{what}: no requests")
    expect("memory" in resources["limits"], f"{what}: no limit of memory")
    return one


def mounts(what, spec):
    """Each mount has its volume, each volume its mount, and nothing is mounted by subPath."""
    volumes = [volume["name"] for volume in spec.get("volumes", [])]
    expect(len(volumes) == len(set(volumes)), f"{what}: a volume twice: {volumes}")
    used = set()
    for container in containers(spec):
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        expect(len(paths) == len(set(paths)), f"{what}: a mount twice: {paths}")
        names = [variable["name"] for variable in container.get("env", [])]
        expect(len(names) == len(set(names)), f"{what}: a variable twice: {names}")
        for mount in container.get("volumeMounts", []):
            expect("subPath" not in mount, f"{what}: {mount['name']} by subPath is never updated")
            used.add(mount["name"])
    expect(used == set(volumes), f"{what}: mounted {sorted(used)}, volumes {sorted(volumes)}")


def secrets(what, found):
    """Nothing secret stands in a manifest: no Secret is made, and no variable holds one."""
    expect(not of_kind("Secret", found), f"{what}: makes a Secret")
    for owner, _, spec in templates(found):
        for container in containers(spec):
            for variable in container.get("env", []):
                plain = "value" in variable and variable["name"].endswith(SECRET_NAMES)
                expect(not plain, f"{what}: {owner}: {variable['name']} has a value")


def selected(what, found):
    """Whatever selects pods selects the daemon's, and what a pod names is there."""
    (deployment,) = of_kind("Deployment", found)
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    selectors = {
        "Deployment": deployment["spec"]["selector"],
        "NetworkPolicy": [one["spec"]["podSelector"] for one in of_kind("NetworkPolicy", found)],
        "PodDisruptionBudget": [one["spec"]["selector"] for one in of_kind("PodDisruptionBudget", found)],
        "PodMonitor": [one["spec"]["selector"] for one in of_kind("PodMonitor", found)],
    }
    for kind, some in selectors.items():
        for selector in some if isinstance(some, list) else [some]:
            matched = selector["matchLabels"].items()
            expect(matched and matched <= labels, f"{what}: {kind} selects {dict(matched)}")
    spec = deployment["spec"]["template"]["spec"]
    account = spec["serviceAccountName"]
    accounts = {one["metadata"]["name"] for one in of_kind("ServiceAccount", found)}
    expect(not accounts or account in accounts, f"{what}: no service account {account}")
    for one in of_kind("ServiceAccount", found):
        expect(one["automountServiceAccountToken"] is False, f"{what}: {named(one)} mounts its token")


def rollout(what, found):
    """SQLite has one pod, stopped before the next starts; more pods are replaced one by one."""
    (deployment,) = of_kind("Deployment", found)
    spec = deployment["spec"]
    claims = [v for v in spec["template"]["spec"]["volumes"] if v["name"] == "state"]
    budgets = of_kind("PodDisruptionBudget", found)
    if claims:
        expect(spec["replicas"] <= 1 and spec["strategy"] == {"type": "Recreate"}, f"{what}: {spec['strategy']}")
        expect(not budgets, f"{what}: a budget for one pod")
    else:
        expect(spec["replicas"] > 1 and spec["strategy"]["type"] == "RollingUpdate", f"{what}: {spec['strategy']}")
        expect(spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}, f"{what}: rollingUpdate")
        expect(len(budgets) == 1, f"{what}: no budget for {spec['replicas']} pods")
        expect(budgets[0]["spec"]["maxUnavailable"] == 1, f"{what}: a drain of nodes takes more than one at once")
        expect(spec["minReadySeconds"] >= 10, f"{what}: pods are replaced before the shares have settled")


def apart(what, found):
    """Replicas prefer nodes and zones that have none of them, and do without either where it is not to be had."""
    (deployment,) = of_kind("Deployment", found)
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    rules = template["spec"]["affinity"]["podAntiAffinity"]
    expect(list(rules) == ["preferredDuringSchedulingIgnoredDuringExecution"], f"{what}: pods wait for a free node")
    (preferred,) = rules.values()
    terms = [one["podAffinityTerm"] for one in preferred]
    keys = [term["topologyKey"] for term in terms]
    expect(keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"], f"{what}: is spread over {keys}")
    for term in terms:
        expect(term["labelSelector"]["matchLabels"].items() <= labels, f"{what}: keeps away from others: {term}")


def movable(what, found):
    """A drain and the cluster's autoscaler move a pod without a flag: nothing of it is on its node alone."""
    (deployment,) = of_kind("Deployment", found)
    for volume in deployment["spec"]["template"]["spec"]["volumes"]:
        kept = volume["name"] == "state" or "emptyDir" not in volume
        expect(kept, f"{what}: {volume['name']} keeps the pod on its node")


def tests(what, found):
    """The pod of `helm test` goes when it has ended: `helm uninstall` leaves it."""
    for one in of_kind("Pod", found):
        policies = one["metadata"]["annotations"]["helm.sh/hook-delete-policy"].split(",")
        ends = {"before-hook-creation", "hook-succeeded", "hook-failed"}
        expect(set(policies) == ends, f"{what}: {named(one)} stays behind: {policies}")


def policy(what, found):
    """The NetworkPolicy says something about both directions, and lets DNS (OpenShift's too) and HTTPS out."""
    for one in of_kind("NetworkPolicy", found):
        spec = one["spec"]
        expect(sorted(spec["policyTypes"]) == ["Egress", "Ingress"], f"{what}: {spec['policyTypes']}")
        out = {(port["port"], port["protocol"]) for rule in spec["egress"] for port in rule["ports"]}
        names = {(port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")}
        expect(names | {(443, "TCP")} <= out, f"{what}: egress {out}")
        for rule in spec.get("ingress", []):
            expect(rule.get("from") and rule.get("ports"), f"{what}: ingress from anywhere: {rule}")


def examine(what, found):
    """All of the above, for what one directory or one values file renders to."""
    for owner, _, spec in templates(found):
        restricted(f"{what}: {owner}", spec)
        mounts(f"{what}: {owner}", spec)
    (deployment,) = of_kind("Deployment", found)
    daemon(what, deployment["spec"]["template"]["spec"])
    for check in (secrets, selected, rollout, apart, movable, tests, policy):
        check(what, found)
