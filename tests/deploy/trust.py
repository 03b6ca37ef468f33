"""What `ca.replaceSystem` claims: one bundle is trusted for Flashback and for AWS, and no other."""

import contextlib
import datetime
import http.server
import os
import pathlib
import ssl
import tempfile
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support import binary, expect, of_kind, proven, run, template, values


def certificate(directory):
    """A certificate for localhost that signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of one's own")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "ca.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (directory / "key.pem").write_bytes(private)


class Teapot(http.server.BaseHTTPRequestHandler):
    """Answers everything with a status that nothing else gives."""

    def answer(self):
        self.send_response(418)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that does not trust the certificate hangs up, as it should."""


@contextlib.contextmanager
def serving(directory):
    """A server with that certificate, on a port of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "ca.crt", directory / "key.pem")
    server = Server(("127.0.0.1", 0), Teapot)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def connected(directory, port, more):
    """What `check --connect` says of Flashback and of AWS at this port."""
    (directory / "config.toml").write_text(f"""
        [flashback]
        base_url = "https://localhost:{port}"
        workspace_id = "workspace-123"
        [flashback.auth]
        token = {{ env = "FLASHBACK_TOKEN" }}
        [retry]
        initial = "10ms"
        max = "10ms"
        give_up_after = "50ms"
        [sources.aws]
        type = "aws-secrets-manager"
        region = "eu-west-1"
        endpoint_url = "https://localhost:{port}"
        [keys.openai]
        ai_type = "OPENAI"
        source = "aws"
        path = "llm/openai"
    """)
    environment = {"PATH": os.environ["PATH"], "FLASHBACK_TOKEN": "token"}
    environment |= {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"} | more
    done = run(binary(), "check", "--connect", "--config", directory / "config.toml", env=environment)
    failures = done.stderr.splitlines()
    found = lambda what: [line for line in failures if line.startswith(f"error: {what}: ")]
    return [(found(what) or [done.stdout + done.stderr])[0] for what in ("Flashback", "source aws")]


def examine():
    (deployment,) = of_kind("Deployment", template(values("own-ca"))[0])
    spec = deployment["spec"]["template"]["spec"]
    environment = {one["name"]: one.get("value") for one in spec["containers"][0]["env"]}
    (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["name"] == "ca"]
    expect(environment["SSL_CERT_FILE"] == f"{mount['mountPath']}/ca.crt", "replaceSystem names another file")
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        certificate(directory)
        with serving(directory) as port:
            for row in connected(directory, port, {}):
                expect("an authority that is not trusted here" in row, f"a stranger's certificate is trusted: {row}")
            for row in connected(directory, port, {"SSL_CERT_FILE": str(directory / "ca.crt")}):
                expect("418" in row, f"SSL_CERT_FILE is not what it trusts: {row}")
    proven("with ca.replaceSystem the bundle is trusted for Flashback and for AWS, and without it is not")
