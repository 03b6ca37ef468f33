"""The image: how it is built, and what is in it."""

import re
import shutil

import daemon
import scene
from scene import CHECKOUT, PROFILE, REPOSITORY, VENV, attempt, must, proven, run

IMAGE = "flashback-rotator"
LIMIT = 25_000_000


def prove():
    """From the Dockerfile to the files."""
    files_are_sound()
    scene.checkout()
    daemon.lay_out()
    builds()
    dependencies_are_a_layer()
    nothing_else_is_read()
    says_what_it_is()
    holds_one_program()
    keeps_no_secret()


def files_are_sound():
    """What the linters and the files' own versions say."""
    run(str(VENV / "bin/hadolint"), "Dockerfile", directory=REPOSITORY)
    proven("hadolint has nothing against the Dockerfile")
    schema = ("--builtin-schema", "vendor.compose-spec")
    run(str(VENV / "bin/check-jsonschema"), *schema, "compose.yaml", directory=REPOSITORY)
    proven("compose.yaml is what the Compose specification allows")

    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    manifest = (REPOSITORY / "Cargo.toml").read_text()
    rust = re.search(r"^ARG RUST_IMAGE=.*/rust:([\d.]+)-slim-(\w+)$", dockerfile, re.MULTILINE)
    base = re.search(r"^ARG BASE_IMAGE=.*-debian(\d+):nonroot$", dockerfile, re.MULTILINE)
    version = re.search(r"^ARG VERSION=(.*)$", dockerfile, re.MULTILINE)
    must(rust and base and version, "the Dockerfile's images and version are not where they were")
    must(f'\nrust-version = "{rust[1]}"\n' in manifest, "another Rust than Cargo.toml's")
    must(f'\nversion = "{version[1]}"\n' in manifest, "another version than Cargo.toml's")
    release = run("podman", "run", "--rm", "--network=none", "localhost/standin/rust",
                  "cat", "/etc/os-release", directory="/")
    must(f'VERSION_ID="{base[1]}"' in release, f"{rust[2]} is not Debian {base[1]}")
    proven(f"it is built with Rust {rust[1]} on {rust[2]}, which is the base's Debian {base[1]}")


def builds():
    """The page's command."""
    # One output, so that cargo's lines stand below their step.
    block = scene.commands("## Run it")[0]
    printed = scene.follow(f"exec 2>&1\n{block}")
    first, second = (compiled(part) for part in printed.split("COPY src src"))
    own = [f"{IMAGE}-{path.name}" for path in (REPOSITORY / "crates").iterdir()]
    must(sorted(second) == sorted([IMAGE, *own]), f"with the sources it compiles {second}")
    must(IMAGE in first, f"before them it compiles {first}")
    proven("the page's command builds it, and with the sources only the program's own crates are compiled")


def compiled(printed):
    """The crates that cargo says it compiles."""
    return re.findall(r"^ +Compiling (\S+) v", printed, re.MULTILINE)


def dependencies_are_a_layer():
    """A change of the program does not touch them."""
    main = CHECKOUT / "src/main.rs"
    kept = main.read_text()
    main.write_text(f"{kept}\n// Changed.\n")
    printed = scene.said(attempt("docker", "build", "--target", "dependencies", "."))
    main.write_text(kept)
    cached = printed.count("Using cache") == printed.count("STEP") - 1
    must(cached and not compiled(printed), f"built again:\n{printed}")
    proven("with a changed program, the layer of the dependencies is taken from the cache")


def nothing_else_is_read():
    """.dockerignore keeps what lies in the directory out."""
    run("docker", "build", "--target", "build", "--tag", "localhost/build-stage", ".")
    below = run("podman", "image", "mount", "localhost/build-stage", directory="/").strip()
    found = sorted(path.name for path in scene.Path(below, "src").iterdir())
    run("podman", "image", "unmount", "localhost/build-stage", directory="/")
    wanted = ["Cargo.lock", "Cargo.toml", "config", "crates", "src", "target"]
    must(found == wanted, f"the build sees {found}")
    beside = sorted(path.name for path in CHECKOUT.iterdir() if path.name not in wanted)
    must("rotator" in beside, "no secret lies beside the build")
    proven("the build sees nothing but manifests and sources: no configuration, no secret")


def says_what_it_is():
    """The image's own configuration."""
    image = scene.inspect(IMAGE, "image")
    config = image["Config"]
    must(config["User"] == "65532:65532", f"its user is {config['User']}")
    must(config["Entrypoint"] == ["/usr/bin/flashback-rotator"], "its entry point is another")
    must(config["Cmd"] == ["run"], "its command is another")
    must(list(config["ExposedPorts"]) == ["9464/tcp"], "it exposes another port")
    proven("it runs as 65532:65532, `/usr/bin/flashback-rotator run` without a shell, port 9464")
    health = (image.get("Healthcheck") or config["Healthcheck"])["Test"]
    must(health == ["CMD", "/usr/bin/flashback-rotator", "health"], f"its check is {health}")
    proven("its health check is `flashback-rotator health`")
    labels = config["Labels"]
    for name in ["title", "description", "version", "revision", "base.name"]:
        must(labels.get(f"org.opencontainers.image.{name}"), f"it has no label {name}")
    must(labels.get("org.opencontainers.image.licenses") == "Apache-2.0", "it does not name its licence")
    told = run("podman", "run", "--rm", "--network=none", IMAGE, "--version")
    version = labels["org.opencontainers.image.version"]
    must(told.split() == [IMAGE, version], f"label {version}, program {told}")
    proven(f"its labels are in place, and its version is the program's, {version}")


def files(image):
    """An image's files: by path, their owner, permissions and size."""
    below = scene.Path(run("podman", "image", "mount", image, directory="/").strip())
    found = {}
    for path in below.rglob("*"):
        stat = path.lstat()
        found[str(path.relative_to(below))] = (stat.st_uid, stat.st_mode & 0o7777, stat.st_size)
    run("podman", "image", "unmount", image, directory="/")
    return found


def holds_one_program():
    """What is on top of the base, and how large it is."""
    base, image = files("localhost/standin/cc"), files(IMAGE)
    added = {name: image[name] for name in image.keys() - base.keys()}
    program, state = "usr/bin/flashback-rotator", "var/lib/flashback-rotator"
    must(set(added) == {program, state}, f"it adds {sorted(added)}")
    must(added[program][:2] == (0, 0o755), f"the program is {added[program]}")
    must(added[state][:2] == (65532, 0o755), f"the state's directory is {added[state]}")
    must(not any(name.endswith(("/sh", "/bash")) for name in image), "it has a shell")
    proven("on top of the base there is one program, and a directory that its user owns")
    size = scene.inspect(IMAGE, "image")["Size"]
    size -= scene.inspect("localhost/standin/cc", "image")["Size"]
    if PROFILE == "release":
        must(size < LIMIT, f"{size} bytes are added, {LIMIT} are the limit")
        proven(f"it adds {size / 1e6:.1f} MB to its base: the limit is {LIMIT / 1e6:.0f} MB")
    else:
        slack = size - added[program][2]
        must(0 <= slack < 100_000, f"{slack} bytes are added beside the program")
        proven(f"it adds the program's size to its base and no more ({size / 1e6:.1f} MB, {PROFILE})")


def keeps_no_secret():
    """In what would be pushed to a registry."""
    shown = run("podman", "history", "--no-trunc", IMAGE) + run("podman", "image", "inspect", IMAGE)
    scene.has_no_canary("the image's history", shown)
    saved = scene.WORK / "saved"
    run("podman", "save", "--quiet", "--format", "docker-dir", "--output", str(saved), IMAGE)
    for path in saved.iterdir():
        scene.has_no_canary(f"the image's {path.name}", path.read_bytes())
    shutil.rmtree(saved)
    proven("no secret is in its layers, its configuration or its history")
