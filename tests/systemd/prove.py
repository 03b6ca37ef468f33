"""Runs the proofs, in a copy of the tree. tests/systemd/run prepares what they need."""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import package
import service
from machine import Machine, Wrong
from scene import PROVED, REPOSITORY, Scene


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("tree", "binary", "bao", "package", "upgrade"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def check_out(tree, binary):
    """What is in somebody's checkout after `cargo build --release`."""
    checkout = tree / "srv/checkout"
    for directory in ("systemd", "config"):
        shutil.copytree(REPOSITORY / directory, checkout / directory)
    built = checkout / "target/release"
    built.mkdir(parents=True)
    shutil.copy(binary, built)


def prove(machine, given):
    scene = Scene(machine)
    try:
        package.install(scene, given.package)
        service.starts(scene)
        service.is_confined(scene)
        service.reloads(scene)
        service.reads_files(scene)
        service.comes_back(scene)
        service.is_never_given_up(scene)
        instances = service.instances(scene)
        package.upgrade(scene, given.upgrade, instances)
        scene.search_journal()
        package.remove(scene, given.upgrade, instances)
        package.starts_at_boot(scene)
        package.purge(scene)
        # The reboot emptied OpenBao and Flashback.
        scene = Scene(machine)
        package.install_by_hand(scene)
        scene.search_journal()
    except Exception:
        scene.tell()
        raise


def main():
    given = arguments()
    began = time.monotonic()
    # Beside the original: /tmp may be small.
    with tempfile.TemporaryDirectory(dir=given.tree.parent, prefix="machine-") as work:
        tree = Path(work) / "tree"
        subprocess.run(["cp", "--archive", given.tree, tree], check=True)
        check_out(tree, given.binary)
        binds = {given.binary: "/opt/flashback-rotator", given.bao: "/opt/bao"}
        with Machine(tree, binds, Path(work) / "console.log") as machine:
            prove(machine, given)
    print(f"PASS: {len(PROVED)} claims in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    # So that the machine is switched off and its files are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("FAIL: terminated"))
    try:
        main()
    except Wrong as error:
        sys.exit(f"FAIL: {error}")
