"""A pod that takes another's place on one SQLite state: it waits, and says which pod has it."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from support import binary, expect, proven

PODS = ("flashback-rotator-5d9c7b6f4-x2k8p", "flashback-rotator-5d9c7b6f4-zr7mt")
# A process with the number 1 on a host of its own name, as a container's is.
POD = "import os, socket, sys; socket.sethostname(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
NAMESPACES = ["unshare", "--user", "--map-root-user", "--uts", "--pid", "--fork", "--kill-child"]
LIMIT = 60


class Pod:
    def __init__(self, name, config):
        self.log = open(config.parent / f"{name}.log", "w+")
        command = [*NAMESPACES, sys.executable, "-c", POD, name, binary(), "run", "--config", config]
        clean = {"PATH": os.environ["PATH"], "FLASHBACK_TOKEN": "canary-token"}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log, env=clean)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def says(self, event):
        """The first line of its log about an event."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            text = pathlib.Path(self.log.name).read_text()
            for line in text.splitlines(keepends=True):
                if line.endswith("}\n") and json.loads(line).get("event") == event:
                    return json.loads(line)
            expect(self.process.poll() is None, f"it ended before `{event}`: {text}")
            time.sleep(0.1)
        expect(False, f"no `{event}` within {LIMIT} s: {text}")


def examine():
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "llm").mkdir()
        config = directory / "config.toml"
        config.write_text(f"""
            [flashback]
            base_url = "http://127.0.0.1:1"
            workspace_id = "workspace-123"
            [flashback.auth]
            token = {{ env = "FLASHBACK_TOKEN" }}
            [state]
            url = "sqlite://{directory}/state.db"
            [http]
            listen = "127.0.0.1:0"
            [sources.mounted]
            type = "file"
            dir = "{directory}/llm"
            [keys.openai]
            ai_type = "OPENAI"
            source = "mounted"
            path = "openai"
        """)
        with Pod(PODS[0], config) as first:
            first.says("started")
            with Pod(PODS[1], config) as second:
                error = second.says("state_unavailable")["error"]
                expect(f"run on host {PODS[0]}, since " in error, f"it does not name the pod: {error}")
    proven("a pod that waits for another's SQLite state names that pod, and no process number")
