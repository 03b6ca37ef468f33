#!/usr/bin/env python3
"""The alert rules and the dashboard in a real Prometheus that scrapes a real rotator.

The rotator's services are made to fail and are mended; each time exactly the alerts that belong to it
fire and end. Every query of the dashboard is asked and must have an answer. The only change made to
the rules is that they wait two seconds and not minutes.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 90  # seconds for a condition: only reached when it will never hold
TOKEN = "canary-flashback-token"
TELLING = ("key", "source", "service", "task")  # the label that tells two alerts of a name apart


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fetch(url, method="GET", body=None):
    request = urllib.request.Request(url, data=body, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def eventually(what, condition):
    """Polls until the condition gives something true."""
    deadline = time.monotonic() + LIMIT
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (OSError, urllib.error.URLError) as error:
            last = error
        time.sleep(0.2)
    raise SystemExit(f"alerts: {what}: not within {LIMIT} s; the last answer was {last!r}")


def proven(what):
    print(f"alerts: ok: {what}", flush=True)


class Stage:
    """A sandbox, a rotator, a Prometheus, and the directory of all three."""

    def __init__(self, binary, directory):
        self.binary, self.directory = binary, directory
        self.running = {}
        self.flashback = f"http://127.0.0.1:{free_port()}"
        self.rotator = f"127.0.0.1:{free_port()}"
        self.prometheus = f"127.0.0.1:{free_port()}"

    def start(self, name, *command, **environment):
        log = open(self.directory / f"{name}.log", "a", encoding="utf-8")
        self.running[name] = subprocess.Popen(
            command,
            cwd=self.directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()

    def end(self, name):
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def log(self, name):
        return (self.directory / f"{name}.log").read_text(encoding="utf-8")

    def write(self, name, text):
        """Written beside and renamed, so that nobody reads half of it."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(text, encoding="utf-8")
        new.rename(path)

    def start_sandbox(self):
        listen = urllib.parse.urlparse(self.flashback).netloc
        self.start("sandbox", self.binary, "sandbox", "--listen", listen, "--token", TOKEN)
        eventually("the sandbox", lambda: fetch(f"{self.flashback}/_sandbox"))

    def switch(self, switches):
        body = json.dumps(switches).encode()
        fetch(f"{self.flashback}/_sandbox/switches", "PATCH", body)

    def start_rotator(self, **environment):
        self.start("rotator", self.binary, "run", "--config", "config.toml", **environment)
        eventually("the rotator's metrics", self.metrics)

    def metrics(self):
        return fetch(f"http://{self.rotator}/metrics")

    def pushes(self, outcome):
        """How many pushes the rotator has counted that ended so."""
        counted = re.findall(
            rf'^flashback_rotator_pushes_total{{.*outcome="{outcome}".*}} (\d+)$',
            self.metrics(),
            re.MULTILINE,
        )
        return sum(map(int, counted))

    def configure(self, keys):
        self.write("token", TOKEN)
        text = f"""
[flashback]
base_url = "{self.flashback}"
workspace_id = "workspace-123"
[flashback.auth]
token = {{ file = "token" }}
[state]
url = "sqlite://{self.directory}/state.db"
[schedule]
check = "1s"
check_with_events = "1s"
[retry]
initial = "100ms"
max = "500ms"
[http]
listen = "{self.rotator}"
[sources.one]
type = "file"
dir = "one"
[sources.two]
type = "file"
dir = "two"
"""
        for key, source in keys.items():
            text += f'[keys.{key}]\nai_type = "OPENAI"\nsource = "{source}"\npath = "{key}"\n'
        return text

    def start_prometheus(self):
        rules = (ROOT / "deploy/prometheus/rules.yaml").read_text(encoding="utf-8")
        self.write("rules.yaml", re.sub(r"\bfor: \d+m\b", "for: 2s", rules))
        self.write(
            "prometheus.yml",
            f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: flashback-rotator
    static_configs: [{{targets: ["{self.rotator}"]}}]
""",
        )
        self.start(
            "prometheus",
            "prometheus",
            "--config.file=prometheus.yml",
            f"--web.listen-address={self.prometheus}",
            "--storage.tsdb.path=tsdb",
            "--log.level=warn",
        )
        eventually("Prometheus", lambda: fetch(f"http://{self.prometheus}/-/ready"))

    def api(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        answer = json.loads(fetch(f"http://{self.prometheus}/api/v1/{path}?{query}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        return self.api("query", query=expression)["result"]

    def firing(self):
        """The alerts that fire, each with what tells it from others of its name."""
        found = set()
        for alert in self.api("alerts")["alerts"]:
            labels = alert["labels"]
            about = next((labels[name] for name in TELLING if name in labels), "")
            if alert["state"] == "firing":
                name = labels["alertname"].removeprefix("FlashbackRotator")
                found.add(f"{name} {about}".strip())
        return found

    def fire(self, expected, why):
        expected = set(expected)
        what = f"{why}: {sorted(expected)} fire and no others"

        try:
            eventually(what, lambda: self.firing() == expected)
        except SystemExit:
            raise SystemExit(f"alerts: {what}; instead: {sorted(self.firing())}") from None
        proven(what if expected else f"{why}: no alert fires")

    def stop(self):
        for name in list(self.running):
            self.end(name)


def dashboard_queries():
    """Every query of the dashboard: where it stands, and whether it must have an answer now."""
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text(encoding="utf-8"))
    row = None
    for panel in dashboard["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        for target in panel.get("targets", []):
            # No key of the stage is rotated.
            yield panel["title"], target["expr"], row != "Rotations"
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            yield annotation["name"], annotation["expr"], False
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            inner = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
            metric, label = inner.groups()
            yield f"${variable['name']}", f"group by ({label}) ({metric})", True


def check_dashboard(stage):
    count = 0
    for title, expression, answered in dashboard_queries():
        filled = re.sub(r"\$(job|instance|source|key)\b", ".*", expression)
        filled = filled.replace("$__rate_interval", "10s").replace("$__range", "1m")
        assert "$" not in filled, f"{title}: an unknown variable in {expression}"
        result = stage.query(filled)
        assert result or not answered, f"{title}: no answer to {filled}"
        count += 1
    proven(f"each of the dashboard's {count} queries has an answer")


def check_rules(stage):
    groups = stage.api("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    for rule in rules:
        assert rule["health"] == "ok", rule
    proven(f"Prometheus evaluates the {len(rules)} rules without an error")


def check_metrics(stage):
    lint = subprocess.run(
        ["promtool", "check", "metrics"],
        input=stage.metrics(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0 and not lint.stderr, lint.stderr
    proven("promtool finds nothing wrong with the real /metrics")


def in_step(stage):
    eventually("all keys in step", lambda: stage.query("sum(flashback_rotator_key_in_sync) == 3"))


def begin(stage):
    """All is well, as long as nothing is touched."""
    good = stage.configure({"a": "one", "b": "one", "c": "two"})
    for path in ("one/a", "one/b", "two/c"):
        stage.write(path, f"sk-{path[-1]}-0")
    stage.write("config.toml", good)
    stage.start_sandbox()
    stage.start_rotator()
    stage.start_prometheus()
    in_step(stage)
    stage.fire([], "all is well")
    return good


def configurations(stage, good):
    stage.write("config.toml", good + "surprise = 1\n")
    stage.fire(["ConfigRejected"], "a broken configuration")
    stage.write("config.toml", good)
    stage.fire([], "it is put back")

    starved = good.replace('dir = "two"', 'dir = "two"\nmax_rps = 0.05')
    stage.write("config.toml", starved)
    stage.fire(["KeyNotChecked c"], "one call in 20 s for a key that is due each second")
    stage.write("config.toml", good)
    stage.fire([], "the limit is lifted")


def sources(stage):
    stage.write("one/b", "")
    stage.fire(["KeyOutOfSync b"], "an empty secret")
    stage.write("one/b", "sk-b-1")
    stage.fire([], "it is written")

    (stage.directory / "two").rename(stage.directory / "elsewhere")
    stage.fire(["SourceDown two", "KeyOutOfSync c"], "a directory that is gone")
    (stage.directory / "elsewhere").rename(stage.directory / "two")
    stage.fire([], "it is back")


def flashback(stage):
    away = ["FlashbackDown", "KeyOutOfSync a", "PushesFailing"]
    stage.switch({"faults": [{"fault": "status", "status": 503}]})
    stage.write("one/a", "sk-a-1")
    stage.fire(away, "a rotation while Flashback answers 503")
    stage.switch({"faults": [{"fault": "status", "status": 401}]})
    stage.fire(["SignInFailing flashback", *away], "now it answers 401")
    stage.switch({"faults": []})
    in_step(stage)
    # More writes must succeed than have failed.
    number = 1
    while stage.pushes("succeeded") < stage.pushes("failed") + 5:
        number += 1
        done = stage.pushes("succeeded")
        for path in ("one/a", "one/b", "two/c"):
            stage.write(path, f"sk-{path[-1]}-{number}")
        eventually("the keys are pushed", lambda: stage.pushes("succeeded") >= done + 3)
    stage.fire([], "writes succeed again")


def process(stage):
    stage.running["rotator"].send_signal(signal.SIGSTOP)
    stage.fire(["Absent", "Down"], "a process that is stopped")
    stage.running["rotator"].send_signal(signal.SIGCONT)
    stage.fire([], "it goes on")

    for number in range(1, 4):
        stage.end("rotator")
        # A debug build panics where it is told to, in the look that reads the next version.
        stage.start_rotator(FLASHBACK_ROTATOR_PANIC_AT="secret_read")
        starts = f"changes(process_start_time_seconds[1h]) == {number}"
        eventually("a start that is noticed", lambda: stage.query(starts))
    stage.fire(["Restarting"], "the third restart within an hour")
    stage.write("one/a", "sk-a-last")
    # The key waits half a minute after that.
    stage.fire(["Restarting", "Panicked look", "KeyNotChecked a"], "a look that panics")


def play(stage):
    good = begin(stage)
    configurations(stage, good)
    sources(stage)
    flashback(stage)
    check_metrics(stage)
    check_dashboard(stage)
    check_rules(stage)
    process(stage)


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="flashback-rotator-alerts-"))
    stage = Stage(binary, directory)
    try:
        play(stage)
    except BaseException:
        for name in ("rotator", "prometheus", "sandbox"):
            if (directory / f"{name}.log").exists():
                print(f"--- {name}\n{stage.log(name)[-6000:]}", file=sys.stderr)
        raise
    finally:
        stage.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
