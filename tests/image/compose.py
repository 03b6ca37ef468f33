"""Stands in for `docker compose`: podman-compose reads compose.yaml and makes the containers of it.

Two things are done here. The services share one network, as podman can make none in a sandbox of CI.
And they are started in the order of `depends_on`: without systemd podman runs no health checks by
itself, so podman-compose would wait for ever."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

WORK = Path(os.environ["IMAGE_TEST_WORK"])
VENV = Path(os.environ["IMAGE_TEST_VENV"])
PATIENCE = 90


def override(services):
    """One network for all services: that of the first one."""
    first, *others = order(services)
    network = {first: "none"} | {name: f"service:{first}" for name in others}
    lines = ["services:"]
    for name, mode in network.items():
        lines += [f"  {name}:", f"    network_mode: {mode}"]
        if "ports" in services[name]:
            lines.append("    ports: !reset []")
    path = WORK / "compose.override.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def order(services):
    """The services' names, each after what it depends on."""
    sorted_names = []
    while len(sorted_names) < len(services):
        ready = [
            name
            for name, service in services.items()
            if name not in sorted_names
            and all(other in sorted_names for other in service.get("depends_on", {}))
        ]
        if not ready:
            sys.exit("compose.yaml: `depends_on` goes in a circle")
        sorted_names += ready[:1]
    return sorted_names


def podman(*arguments):
    """The exit code and the output of podman."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def meets(container, condition):
    """Whether a container is as `depends_on` asks; ends the program where it never will be."""
    if condition == "service_healthy":
        return podman("healthcheck", "run", container)[0] == 0
    state = json.loads(podman("container", "inspect", container)[1])[0]["State"]
    if condition == "service_completed_successfully":
        if state["Status"] == "exited" and state["ExitCode"] != 0:
            sys.exit(f"{container} ended with exit code {state['ExitCode']}")
        return state["Status"] == "exited"
    return state["Running"]


def wait(container, condition):
    """Until it is as `depends_on` asks."""
    until = time.monotonic() + PATIENCE
    while not meets(container, condition):
        if time.monotonic() > until:
            sys.exit(f"{container} is not {condition} within {PATIENCE} s")
        time.sleep(0.2)


class Project:
    """compose.yaml of the working directory."""

    def __init__(self):
        self.file = yaml.safe_load(Path("compose.yaml").read_text())
        self.services = self.file["services"]
        self.files = ["compose.yaml", str(override(self.services))]

    def compose(self, *arguments):
        """podman-compose, whose exit code must be 0."""
        command = [str(VENV / "bin/podman-compose"), "--in-pod=0"]
        for file in self.files:
            command += ["--file", file]
        subprocess.run([*command, *arguments], check=True)

    def container(self, service):
        """The name that podman-compose gives."""
        return f"{self.file['name']}_{service}_1"

    def build(self):
        """The images, by the same way as `docker build`."""
        images = {one["image"]: one["build"] for one in self.services.values() if "build" in one}
        for image, context in images.items():
            docker = Path(__file__).with_name("docker")
            subprocess.run([docker, "build", "--tag", image, context], check=True)

    def up(self):
        """Every service, in order."""
        for name in order(self.services):
            for other, wanted in self.services[name].get("depends_on", {}).items():
                wait(self.container(other), wanted["condition"])
            self.compose("up", "--detach", "--no-build", "--no-deps", name)


def main(arguments):
    """`up [--detach] [--build]`, `exec SERVICE …` without a terminal, and what needs no help."""
    project = Project()
    if arguments[0] == "up":
        if "--build" in arguments:
            project.build()
        project.up()
    elif arguments[0] == "exec":
        project.compose("exec", "-T", *arguments[1:])
    else:
        project.compose(*arguments)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
