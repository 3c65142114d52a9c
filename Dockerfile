# outbox-harness with the servers that it needs, in one container: nothing outside it is used, and nothing is left.
#
#   make images
#   docker run --rm --volume "$PWD/runs:/runs" outbox-harness run scenarios/broker-outage.toml --out /runs
#
# The servers are those of the image outbox-harness-stack, which stack/Dockerfile describes.
ARG RUST=rust:slim-bookworm
ARG STACK=outbox-harness-stack

FROM ${RUST} AS built
RUN apt-get update -qq && \
    apt-get install --yes -qq --no-install-recommends ca-certificates gcc g++ make libc6-dev && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package outbox-harness --bin outbox-harness

FROM ${STACK}
COPY --from=built /source/target/release/outbox-harness /usr/local/bin/outbox-harness
COPY scenarios /opt/outbox-harness/scenarios
ENV OUTBOX_HARNESS_PROGRAMS=/opt/outbox-harness/.stack
WORKDIR /opt/outbox-harness
ENTRYPOINT ["outbox-harness"]
CMD ["--help"]
