#!/usr/bin/env bash
# Builds the images: `outbox-harness-stack`, which has PostgreSQL, Kafka and Toxiproxy, and `outbox-harness`, which has the
# program too. Calling it again builds what has changed.
#
#   images.sh           both
#   images.sh stack     the first alone
#
# Both are made from debian:bookworm-slim. Where that cannot be pulled, a base like it is made by debootstrap; where
# an image with Rust cannot, one is made of the toolchain that is here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BASE=debian:bookworm-slim
RUST=rust:slim-bookworm
OWN_BASE=outbox-harness-base
OWN_RUST=outbox-harness-rust
# Names of certificates that this machine trusts beside the distribution's: a proxy may stand before the registries.
OWN_CERTIFICATES=/usr/local/share/ca-certificates
PULLED_WITHIN_S=300

say() { echo "images: $*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_there() { docker image inspect "$1" >/dev/null 2>&1; }
can_be_had() { is_there "$1" || timeout "$PULLED_WITHIN_S" docker pull --quiet "$1" >/dev/null 2>&1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make_base() {
    say "$BASE cannot be pulled; making a base like it"
    [ "$(id -u)" = 0 ] || die "that takes root: \`sudo make images\`"
    have debootstrap || {
        have apt-get || die "missing: debootstrap; install it and call again"
        DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends debootstrap </dev/null >&2
    }
    debootstrap --variant=minbase bookworm "$work/root" >"$work/log" 2>&1 ||
        die "debootstrap failed: $(tail -n 3 "$work/log")"
    rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
    tar -C "$work/root" -c . | docker import - "$OWN_BASE" >&2
    rm -rf "$work/root"
}

# With the certificates of this machine, where it has some of its own.
trust() {
    mkdir "$work/trust"
    cp "$OWN_CERTIFICATES"/*.crt "$work/trust/"
    cat >"$work/trust/Dockerfile" <<DOCKERFILE
ARG BASE
FROM \${BASE}
COPY *.crt $OWN_CERTIFICATES/
RUN apt-get update -qq && apt-get install --yes -qq --no-install-recommends ca-certificates && \\
    update-ca-certificates && rm -rf /var/lib/apt/lists/*
DOCKERFILE
    docker build --quiet --build-arg BASE="$base" --tag "$OWN_BASE-trusting" "$work/trust" >&2
    base=$OWN_BASE-trusting
}

make_rust() {
    local toolchain
    say "$RUST cannot be pulled; making an image of the toolchain that is here"
    toolchain=$(rustc --print sysroot) || die "there is no Rust here either: stack/install.sh brings it"
    cat >"$work/rust" <<'DOCKERFILE'
ARG BASE
FROM ${BASE}
COPY bin /usr/local/bin
COPY lib /usr/local/lib
DOCKERFILE
    docker build --quiet --build-arg BASE="$base" --tag "$OWN_RUST" --file "$work/rust" "$toolchain" >&2
}

docker version >/dev/null 2>&1 || die "no Docker engine answers: \`make docker-engine\` installs and starts one"
base=$BASE
can_be_had "$BASE" || {
    base=$OWN_BASE
    is_there "$OWN_BASE" || make_base
}
! compgen -G "$OWN_CERTIFICATES/*.crt" >/dev/null || trust
say "building outbox-harness-stack from $base"
docker build --build-arg BASE="$base" --file stack/Dockerfile --tag outbox-harness-stack . >&2
case "${1:-}" in
    stack) exit ;;
    "") ;;
    *) die "\`$1\` is no image of this; possible: stack" ;;
esac
rust=$RUST
can_be_had "$RUST" || {
    rust=$OWN_RUST
    is_there "$OWN_RUST" || make_rust
}
say "building outbox-harness with $rust"
docker build --build-arg RUST="$rust" --tag outbox-harness . >&2
