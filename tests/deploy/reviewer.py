"""deploy/vault-reviewer.yaml: with its account's token a Vault outside the cluster lets pods in, and without it none.

OpenBao is real. The Kubernetes API is stood in for, by the one endpoint that it asks and the one rule there.
"""

import base64
import http.server
import json
import pathlib
import tempfile
import threading
import time

import certifi
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

import schemas
import vault
from support import ROOT, expect, objects, of_kind, proven, run

MANIFEST = ROOT / "deploy/vault-reviewer.yaml"
REVIEWER = "canary-reviewer-token"
ACCOUNT = {"name": "flashback-rotator", "uid": "uid-1"}
NAMESPACE = "flashback-rotator"


def bound():
    """The objects make one account that may have tokens reviewed, and a token for it, which Kubernetes writes."""
    found = objects(MANIFEST.read_text())
    schemas.validate(MANIFEST.name, found)
    (account,), (binding,), (secret,) = (
        of_kind(kind, found) for kind in ("ServiceAccount", "ClusterRoleBinding", "Secret")
    )
    name, namespace = (account["metadata"][field] for field in ("name", "namespace"))
    expect(binding["roleRef"]["name"] == "system:auth-delegator", f"{MANIFEST.name}: binds {binding['roleRef']}")
    wanted = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
    expect(binding["subjects"] == wanted, f"{MANIFEST.name}: binds {binding['subjects']}")
    expect(secret["type"] == "kubernetes.io/service-account-token", f"{MANIFEST.name}: {secret['type']}")
    expect(not {"data", "stringData"} & secret.keys(), f"{MANIFEST.name}: has a token in it")
    owner = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"]
    expect((owner, secret["metadata"]["namespace"]) == (name, namespace), f"{MANIFEST.name}: a token of {owner}")


class Kubernetes(http.server.BaseHTTPRequestHandler):
    """TokenReview, for the one account that has system:auth-delegator."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        allowed = self.headers["Authorization"] == f"Bearer {REVIEWER}"
        user = {"username": f"system:serviceaccount:{NAMESPACE}:{ACCOUNT['name']}", "uid": ACCOUNT["uid"]}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        review["status"] = {"authenticated": True, "user": user, "audiences": ["vault"]}
        refusal = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403}
        body = json.dumps(review if allowed else refusal).encode()
        self.send_response(201 if allowed else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def pod_token():
    """A service account's token as the kubelet mounts it. Vault leaves its signature to the Kubernetes API."""

    def text(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    claims = {
        "iss": "https://kubernetes.default.svc",
        "sub": f"system:serviceaccount:{NAMESPACE}:{ACCOUNT['name']}",
        "aud": ["vault"],
        "exp": int(time.time()) + 600,
        "iat": int(time.time()),
        "kubernetes.io": {"namespace": NAMESPACE, "serviceaccount": ACCOUNT},
    }
    signed = ".".join(text(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, claims))
    key = ec.generate_private_key(ec.SECP256R1())
    r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{text(r.to_bytes(32) + s.to_bytes(32))}"


def lets_in():
    kubernetes = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes)
    thread = threading.Thread(target=kubernetes.serve_forever)
    thread.start()
    try:
        with vault.Server() as server, tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            authority, end, _ = pathlib.Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
            (directory / "cluster-ca.crt").write_text(authority + end)
            (directory / "reviewer-token").write_text(f"{REVIEWER}\n")

            def bao(*words):
                return run(server.bao, *words, cwd=directory, env=server.environment)

            def done(*words):
                made = bao(*words)
                expect(made.returncode == 0, f"{words}: {made.stderr}")

            done("auth", "enable", "kubernetes")
            role = [f"bound_service_account_names={ACCOUNT['name']}", f"bound_service_account_namespaces={NAMESPACE}"]
            done("write", "auth/kubernetes/role/rotator", *role, "audience=vault", "token_policies=default")
            outside = [f"kubernetes_host=http://127.0.0.1:{kubernetes.server_address[1]}"]
            outside += ["kubernetes_ca_cert=@cluster-ca.crt", "disable_local_ca_jwt=true"]
            sign_in = ["write", "auth/kubernetes/login", "role=rotator", f"jwt={pod_token()}"]
            done("write", "auth/kubernetes/config", *outside)
            refused = bao(*sign_in)
            expect("Code: 403" in refused.stderr, f"without a reviewer: {refused.stdout}{refused.stderr}")
            done("write", "auth/kubernetes/config", *outside, "token_reviewer_jwt=@reviewer-token")
            done(*sign_in)
    finally:
        kubernetes.shutdown()
        thread.join()
        kubernetes.server_close()


def examine():
    bound()
    lets_in()
    proven("a Vault outside the cluster is 403 to the pod until it has the token of deploy/vault-reviewer.yaml")
