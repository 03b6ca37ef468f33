"""A receiver of notifications: records the requests it receives, and answers as configured.

Usage: receiver.py PORT LOG [SECRET]

Each complete request is written to LOG as a line of JSON before it is answered: its time, its path, its headers with
names in lower case, its body, and whether its signature is valid, checked with Python's standard library alone.
GET / returns the next answers; PUT / sets them: a list of {"status", "headers", "body", "hang"}. The last one is
repeated.
"""

import base64
import hashlib
import hmac
import http.server
import json
import sys
import threading
import time

PORT, LOG = int(sys.argv[1]), sys.argv[2]
KEY = base64.b64decode(sys.argv[3].removeprefix("whsec_")) if len(sys.argv) > 3 else None
ANSWERS = [{"status": 204}]
LOCK = threading.Lock()


def signature_is_right(headers, body):
    """Verifies a request as Standard Webhooks specifies: its time is close, and one of its signatures is valid."""
    if KEY is None or "webhook-signature" not in headers:
        return None
    sent_at = int(headers["webhook-timestamp"])
    if abs(time.time() - sent_at) > 300:
        return False
    signed = b".".join([headers["webhook-id"].encode(), str(sent_at).encode(), body])
    wanted = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
    versions = [part.split(",", 1) for part in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(given, wanted) for version, given in versions)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, body=json.dumps(ANSWERS).encode())

    def do_PUT(self):
        with LOCK:
            ANSWERS[:] = json.loads(self.body())
        self.answer(204)

    def do_POST(self):
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        line = {
            "at": time.time(),
            "path": self.path,
            "headers": headers,
            "body": body.decode(),
            "signed": signature_is_right(headers, body),
        }
        with LOCK:
            answer = ANSWERS.pop(0) if len(ANSWERS) > 1 else ANSWERS[0]
            with open(LOG, "a") as log:
                log.write(json.dumps(line) + "\n")
        if answer.get("hang"):
            threading.Event().wait()
        self.answer(answer["status"], answer.get("headers", {}), answer.get("body", "").encode())


http.server.ThreadingHTTPServer.daemon_threads = True
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
