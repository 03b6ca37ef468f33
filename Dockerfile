# The image of flashback-rotator: one binary on a base with nothing but glibc, CA certificates and
# time zones. `docker build -t flashback-rotator .` makes it.
#
# Both images below are of the same Debian release, so that the binary meets the C library it was
# linked with. Pin them by digest, or take them from a mirror of your own, with --build-arg.
ARG RUST_IMAGE=docker.io/library/rust:1.95-slim-trixie
ARG BASE_IMAGE=gcr.io/distroless/cc-debian13:nonroot
# A profile of Cargo.toml: `bench-quick` is built faster, for a larger binary.
ARG PROFILE=release

# The dependencies, around an empty program: made again only when a manifest changes.
FROM ${RUST_IMAGE} AS dependencies
ARG PROFILE
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY crates/core/Cargo.toml crates/core/
COPY crates/malloc/Cargo.toml crates/malloc/
COPY crates/sandbox/Cargo.toml crates/sandbox/
RUN mkdir src crates/core/src crates/malloc/src crates/sandbox/src \
    && for crate in . crates/*; do echo '//! Nothing yet.' > "$crate/src/lib.rs"; done \
    && printf '%s\n' '//! Nothing yet.' 'fn main() {}' > src/main.rs \
    && cargo build --locked --profile "${PROFILE}"

# The program. A copied file keeps its time, which may be older than the empty program's build:
# without the touch, cargo would take the one for the other.
FROM dependencies AS build
ARG PROFILE
COPY config/flashback-rotator.toml config/
COPY config/examples config/examples
COPY crates crates
COPY src src
RUN touch src/main.rs src/lib.rs crates/*/src/lib.rs \
    && cargo build --locked --profile "${PROFILE}" \
    && if [ "${PROFILE}" = dev ]; then built=debug; else built="${PROFILE}"; fi \
    && install -D -t /out "target/${built}/flashback-rotator" \
    && mkdir /out/state

FROM ${BASE_IMAGE}
COPY --from=build /out/flashback-rotator /usr/bin/
# The state's directory belongs to the user; so does a new volume that is mounted there.
COPY --from=build --chown=65532:65532 /out/state /var/lib/flashback-rotator
# The state is where [state] url says, and here where it says nothing.
ENV STATE_DIRECTORY=/var/lib/flashback-rotator \
    RUST_LIB_BACKTRACE=0
# The base's `nonroot`, by number: Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 9464
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/usr/bin/flashback-rotator", "health"]
ENTRYPOINT ["/usr/bin/flashback-rotator"]
CMD ["run"]

# Last, because they differ from build to build.
ARG BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="flashback-rotator" \
      org.opencontainers.image.description="Keeps the LLM provider keys in Flashback in step with the store where they are rotated" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
