# syntax=docker/dockerfile:1.9
# docker build -f deploy/docker/worker-cuda.Dockerfile -t sightline-worker-cuda .
# libtorch is that of the torch package of the same version, with the CUDA libraries that it names; the driver comes from the
# node, by the container runtime.

# By tag, since no registry could be asked for digests where this was written: give images by digest with
# --build-arg RUST_IMAGE=rust@sha256:… and --build-arg DEBIAN_IMAGE=debian@sha256:….
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS chef
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# The image has it. rust-toolchain.toml asks for clippy and rustfmt, too, which rustup would fetch in each stage that calls cargo.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make nasm python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && cargo install --locked cargo-chef --version 0.1.78
WORKDIR /src
# .cargo/config.toml names them.
COPY deploy/setup/tools deploy/setup/tools

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS torch
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
COPY deploy/setup/requirements/torch-cuda.txt deploy/setup/requirements/
# Every package by its digest, none but those, and nothing that would be built.
RUN python3 -m venv /opt/torch \
    && /opt/torch/bin/pip install --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
        --requirement deploy/setup/requirements/torch-cuda.txt
ENV PATH=/opt/torch/bin:$PATH VIRTUAL_ENV=/opt/torch LIBTORCH_USE_PYTORCH=1
# The libraries alone, where programs look for them: in lib beside their own folder. Licences keep the folders of their distributions,
# since most have the same names.
RUN mkdir -p /opt/sightline/lib /opt/sightline/licenses \
    && packages=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
    && find "$packages/torch/lib" "$packages/nvidia" -name '*.so*' -exec cp -P {} /opt/sightline/lib/ ';' \
    && rm -f /opt/sightline/lib/libtorch_python.so \
    && find "$packages/" -type f '(' -path '*/torch-*.dist-info/*' -o -path '*/nvidia*.dist-info/*' ')' \
        '(' -iname 'LICENSE*' -o -iname 'NOTICE*' ')' -printf '%P\n' \
        | tar -C "$packages" -cT - | tar -C /opt/sightline/licenses -x

FROM torch AS build
# Only the dependencies: this layer is made anew when Cargo.lock changes, not when the code does.
COPY --from=plan /src/recipe.json recipe.json
RUN cargo chef cook --locked --release --package sightline-worker --recipe-path recipe.json
COPY . .
RUN cargo build --locked --release --package sightline-worker --bin sightline-worker \
    && strip target/release/sightline-worker \
    && python3 tools/dist/licences.py > crates.txt

FROM ${DEBIAN_IMAGE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=torch /opt/sightline /opt/sightline
COPY LICENSE /opt/sightline/licenses/sightline/LICENSE
COPY --from=build /src/crates.txt /opt/sightline/licenses/crates.txt
COPY --from=build /src/target/release/sightline-worker /opt/sightline/bin/sightline-worker
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
EXPOSE 7302 9090
# Fixed, so that the check knows it, and for this container alone until a variable says 0.0.0.0:9090. The check is a process of its own,
# and reads variables, not the arguments of the one that serves: configure by SIGHTLINE_… variables, or by the file of SIGHTLINE_CONFIG.
# Each check loads libtorch: 0.3 s of a core, so not more often.
# An encoder (`… encoder`) asks otherwise: --health-cmd '/opt/sightline/bin/sightline-worker encoder --check-ready'.
ENV SIGHTLINE_OBSERVABILITY__ADDRESS=127.0.0.1:9090
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 CMD ["/opt/sightline/bin/sightline-worker", "--check-ready"]
ENTRYPOINT ["/opt/sightline/bin/sightline-worker"]
# At the end, since a commit or a time would have every layer behind it made anew. Who builds says them: --build-arg SOURCE=https://…
# --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(date --utc +%FT%TZ)".
ARG DEBIAN_IMAGE
ARG VERSION=0.1.0
ARG SOURCE=""
ARG REVISION=""
ARG CREATED=""
ARG VENDOR="The Sightline authors"
# torch, its libgomp, and NVIDIA's libraries.
LABEL org.opencontainers.image.title="sightline-worker-cuda" \
      org.opencontainers.image.description="Makes rows of items for Sightline, on NVIDIA GPUs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.vendor="${VENDOR}" \
      org.opencontainers.image.base.name="${DEBIAN_IMAGE}" \
      org.opencontainers.image.licenses="MIT AND BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1 AND LicenseRef-NVIDIA-Proprietary"
