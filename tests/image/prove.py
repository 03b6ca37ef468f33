"""Proves that the image is built, runs and can be toured as docs/install-container.md says. tests/image/run sets the
scene and calls this."""

import subprocess
import sys
import traceback

import built
import daemon
import scene
import tour


def containers_logs():
    """What there is to see when something is not as it should be."""
    names = subprocess.run(
        ["podman", "ps", "--all", "--format", "{{.Names}}: {{.Status}}"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    for line in filter(None, names):
        print(f"--- {line}", file=sys.stderr, flush=True)
        name = line.split(":")[0]
        subprocess.run(["podman", "logs", "--tail", "40", name], stdout=sys.stderr, check=False)


def main():
    """Each part in turn; the exit code."""
    parts = [
        ("The image", built.prove),
        ("The container, as docs/install-container.md runs it", daemon.prove),
        ("The tour of compose.yaml", tour.prove),
    ]
    for name, part in parts:
        print(name, flush=True)
        try:
            part()
        except Exception as error:
            if not isinstance(error, scene.Failure):
                traceback.print_exc()
            print(f"  FAILED: {error}", file=sys.stderr, flush=True)
            containers_logs()
            print(f"image: {scene.count()} passed, 1 failed")
            return 1
    print(f"image: {scene.count()} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
