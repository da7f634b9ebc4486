# syntax=docker/dockerfile:1.9
# docker build -f deploy/docker/gateway.Dockerfile -t sightline-gateway .

# By tag, since no registry could be asked for digests where this was written: give images by digest with
# --build-arg RUST_IMAGE=rust@sha256:… and --build-arg DEBIAN_IMAGE=debian@sha256:….
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS chef
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The image has it. rust-toolchain.toml asks for clippy and rustfmt, too, which rustup would fetch in each stage that calls cargo.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make nasm python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && cargo install --locked cargo-chef --version 0.1.78
WORKDIR /src
# .cargo/config.toml names them.
COPY deploy/setup/tools deploy/setup/tools

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS libtorch-cpu
# What `setup.py libtorch` reads, alone: with any other file here, a change of that file would fetch libtorch and build the
# dependencies again.
COPY deploy/setup/setup.py deploy/setup/libtorch.py deploy/setup/lock.json \
     deploy/setup/disk.py deploy/setup/download.py deploy/setup/errors.py deploy/setup/lock.py deploy/setup/paths.py \
     deploy/setup/process.py deploy/setup/stamp.py deploy/setup/unpack.py \
     deploy/setup/
RUN python3 deploy/setup/setup.py libtorch

FROM libtorch-cpu AS build
# Only the dependencies: this layer is made anew when Cargo.lock changes, not when the code does.
COPY --from=plan /src/recipe.json recipe.json
ENV LIBTORCH=/src/.local/libtorch
RUN cargo chef cook --locked --release --package sightline-gateway --recipe-path recipe.json
COPY . .
RUN cargo build --locked --release --package sightline-gateway --bin sightline-gateway \
    && strip target/release/sightline-gateway \
    && python3 tools/dist/licences.py > crates.txt

FROM ${DEBIAN_IMAGE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
# Programs look for libtorch in lib beside their own folder.
COPY --from=build /src/.local/libtorch/lib/*.so* /opt/sightline/lib/
COPY --from=build /src/.local/libtorch/licenses /opt/sightline/licenses
COPY LICENSE /opt/sightline/licenses/sightline/LICENSE
COPY --from=build /src/crates.txt /opt/sightline/licenses/crates.txt
COPY --from=build /src/target/release/sightline-gateway /opt/sightline/bin/sightline-gateway
USER 65532:65532
EXPOSE 7303 9090
# Fixed, so that the check knows it, and for this container alone until a variable says 0.0.0.0:9090. The check is a process of its own,
# and reads variables, not the arguments of the one that serves: configure by SIGHTLINE_… variables, or by the file of SIGHTLINE_CONFIG.
# Each check loads libtorch: 0.3 s of a core, so not more often.
ENV SIGHTLINE_OBSERVABILITY__ADDRESS=127.0.0.1:9090
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 CMD ["/opt/sightline/bin/sightline-gateway", "--check-ready"]
ENTRYPOINT ["/opt/sightline/bin/sightline-gateway"]
# At the end, since a commit or a time would have every layer behind it made anew. Who builds says them: --build-arg SOURCE=https://…
# --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(date --utc +%FT%TZ)".
ARG DEBIAN_IMAGE
ARG VERSION=0.1.0
ARG SOURCE=""
ARG REVISION=""
ARG CREATED=""
ARG VENDOR="The Sightline authors"
# torch, its libgomp, and the two libraries of NVIDIA's that libtorch_cpu.so does not load without, GPU or not.
LABEL org.opencontainers.image.title="sightline-gateway" \
      org.opencontainers.image.description="Answers queries of Sightline" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.vendor="${VENDOR}" \
      org.opencontainers.image.base.name="${DEBIAN_IMAGE}" \
      org.opencontainers.image.licenses="MIT AND BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1 AND LicenseRef-NVIDIA-Proprietary"
