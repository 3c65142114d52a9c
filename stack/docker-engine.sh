#!/usr/bin/env bash
# Has a Docker engine answer on this machine, with `docker compose`: what is lacking is installed, as root on Debian or
# Ubuntu, and named otherwise. An engine that answers already is left as it is.
#
#   docker-engine.sh        installs and starts it
#   docker-engine.sh stop   ends one that this script started; what it installed stays
set -euo pipefail

# The newest that an engine of Debian 12 (20.10) still takes, for where there is no package of it.
COMPOSE_VERSION=2.40.3
STARTS_WITHIN_S=60
STOPS_WITHIN_S=30

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
log=/var/log/outbox-harness-dockerd.log
pid_file=/run/outbox-harness-dockerd.pid

say() { echo "docker-engine: $*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
answers() { timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null; }
have_compose() { docker compose version --short 2>/dev/null | grep -q '^v\?[2-9]'; }

must_be_root() {
    [ "$(id -u)" = 0 ] || die "$1. This needs root: \`sudo make docker-engine\`, or have your own engine answer" \
        "(\`docker version\` shows whether it does, and DOCKER_HOST names another one)"
}

install() {
    have apt-get || die "missing: $* (names as in Debian); install them and call again"
    say "installing packages: $*"
    DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends "$@" </dev/null >&2
}

start() {
    local waited=0
    if [ -d /run/systemd/system ]; then
        systemctl start docker
    else
        is_ours "$(cat "$pid_file" 2>/dev/null)" || rm -f "$pid_file"
        say "starting dockerd; it logs to $log"
        # Of a session of its own: it outlives this shell.
        setsid dockerd --pidfile "$pid_file" >>"$log" 2>&1 </dev/null &
    fi
    until answers >/dev/null; do
        [ $((waited += 1)) -le "$STARTS_WITHIN_S" ] ||
            die "no engine answers after $STARTS_WITHIN_S s; the end of $log: $(tail -n 3 "$log" 2>/dev/null)"
        sleep 1
    done
}

# A package of it that is the second generation, which is a part of `docker`.
compose_package() {
    local package version
    for package in docker-compose-v2 docker-compose-plugin docker-compose; do
        version=$(apt-cache show "$package" 2>/dev/null | sed -n 's/^Version: \([0-9]*:\)\?//p' | head -n 1)
        case "$version" in
            "" | 0* | 1.*) ;;
            *)
                echo "$package"
                return
                ;;
        esac
    done
}

# Go's modules have it where the distribution's is too old.
build_compose() {
    local work go module=github.com/docker/compose/v2
    have go || install golang-go
    go=$("$checkout/stack/install.sh" go)
    work=$(mktemp -d)
    # What the build leaves is in its folder, which goes with it whatever comes of it.
    # shellcheck disable=SC2064
    trap "chmod -R u+w '$work'; rm -rf '$work'" EXIT
    say "building Docker Compose $COMPOSE_VERSION, which takes some minutes"
    (
        cd "$work"
        export GOFLAGS=-mod=mod GOROOT='' CGO_ENABLED=0 GOPATH="$work/path" GOCACHE="$work/cache"
        printf 'module compose\n' >go.mod
        "$go" get "$module/cmd@v$COMPOSE_VERSION"
        "$go" build -trimpath -buildvcs=false -o docker-compose \
            -ldflags "-s -w -X $module/internal.Version=v$COMPOSE_VERSION" "$module/cmd"
    ) </dev/null >"$work/said" 2>&1 || die "Go could not build Docker Compose: $(tail -n 5 "$work/said")"
    command install -D -m 755 "$work/docker-compose" /usr/local/lib/docker/cli-plugins/docker-compose
}

bring_compose() {
    local package
    must_be_root "\`docker compose\` is missing, or older than 2"
    package=$(compose_package)
    if [ -n "$package" ]; then
        install "$package"
    else
        build_compose
    fi
    have_compose || die "\`docker compose\` does not work: $(docker compose version 2>&1 | head -n 1)"
}

# Whether this is a dockerd: of one that died, the number may be somebody else's by now.
is_ours() { [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = dockerd ]; }

stop() {
    local pid waited=0
    pid=$(cat "$pid_file" 2>/dev/null) || die "it has started none ($pid_file is not there)"
    is_ours "$pid" || {
        rm -f "$pid_file"
        die "the one that it started has ended by itself"
    }
    kill "$pid"
    # It removes the file last; its own entry may stay until somebody asks how it ended.
    while [ -e "$pid_file" ] && kill -0 "$pid" 2>/dev/null; do
        [ $((waited += 1)) -le "$STOPS_WITHIN_S" ] || die "dockerd ($pid) has not ended within $STOPS_WITHIN_S s"
        sleep 1
    done
    say "dockerd ($pid) has ended"
}

case "${1:-}" in
    "") ;;
    stop)
        stop
        exit
        ;;
    *) die "\`$1\` is nothing that it can do; possible: stop" ;;
esac
if ! answers >/dev/null; then
    must_be_root "no Docker engine answers"
    have dockerd || { apt-get update -qq </dev/null >&2 && install docker.io; }
    start
fi
have_compose || bring_compose
say "an engine answers: $(answers), with Docker Compose $(docker compose version --short)"
