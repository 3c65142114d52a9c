#!/usr/bin/env bash
# The first process of a container of stack/Dockerfile: one server, on ports of 127.0.0.1, as provider `local` starts it.
#
#   serve.sh postgres    with OUTBOX_POSTGRES_PORT, OUTBOX_POSTGRES_PASSWORD
#   serve.sh kafka       with OUTBOX_KAFKA_DIRECT, OUTBOX_KAFKA_CONTROLLER, OUTBOX_KAFKA_CLUSTER, OUTBOX_KAFKA_TIERS (of
#                        the JVM's compilers: 1 is C1 alone, 4 all), and OUTBOX_KAFKA_LINKS: of each link's listener NAME:PORT:PROXY, where PROXY is what it advertises
#   serve.sh toxiproxy   with OUTBOX_TOXIPROXY_PORT
#   serve.sh works NAME  whether that one answers, for a health check
#   serve.sh versions    what Kafka does not say of itself
#
# What a server wrote is there when its container is started again.
set -euo pipefail

programs=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)/.stack
data=/var/lib/outbox-harness/data

postgres_bin() { printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1; }

make_cluster() {
    local new=$data/cluster.new
    rm -rf "$new"
    (
        umask 077
        printf '%s' "$OUTBOX_POSTGRES_PASSWORD" >"$data/password"
    )
    "$(postgres_bin)/initdb" --username postgres --auth scram-sha-256 --no-locale --encoding UTF8 \
        --no-sync --no-instructions --pwfile "$data/password" -D "$new"
    rm "$data/password"
    cat >>"$new/postgresql.conf" <<'SETTINGS'
# outbox-harness
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
max_prepared_transactions = 100
max_connections = 300
fsync = on
synchronous_commit = on
dynamic_shared_memory_type = mmap
log_line_prefix = '%m [%p] %q%u '
timezone = 'UTC'
log_timezone = 'UTC'
SETTINGS
    mv "$new" "$data/cluster"
}

serve_postgres() {
    [ -e "$data/cluster" ] || make_cluster
    exec "$(postgres_bin)/postgres" -D "$data/cluster" -p "$OUTBOX_POSTGRES_PORT"
}

# listeners KIND: each of Kafka's but the controller's, as `listeners`, `advertised` or `protocols` say it, and a comma.
listeners() {
    local link name port proxy
    for link in "DIRECT:$OUTBOX_KAFKA_DIRECT:$OUTBOX_KAFKA_DIRECT" $OUTBOX_KAFKA_LINKS; do
        IFS=: read -r name port proxy <<<"$link"
        case "$1" in
            listeners) printf '%s://127.0.0.1:%s,' "$name" "$port" ;;
            advertised) printf '%s://127.0.0.1:%s,' "$name" "$proxy" ;;
            protocols) printf '%s:PLAINTEXT,' "$name" ;;
        esac
    done
}

format_log() {
    mkdir -p "$data/log" "$data/tmp"
    printf '%s\n' version=1 "cluster.id=$OUTBOX_KAFKA_CLUSTER" node.id=1 \
        directory.id=b3V0Ym94LWhhcm5lc3M0Mg >"$data/log/meta.properties"
}

properties() {
    cat <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$OUTBOX_KAFKA_CONTROLLER
listeners=$(listeners listeners)CONTROLLER://127.0.0.1:$OUTBOX_KAFKA_CONTROLLER
advertised.listeners=$(listeners advertised | sed 's/,$//')
listener.security.protocol.map=$(listeners protocols)CONTROLLER:PLAINTEXT
inter.broker.listener.name=DIRECT
controller.listener.names=CONTROLLER
log.dirs=log
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
log.retention.ms=-1
log.retention.bytes=-1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
PROPERTIES
}

serve_kafka() {
    local jars archive=()
    cd "$data"
    [ -e log/meta.properties ] || format_log
    properties >server.properties
    # A class archive is of its class path, to the letter: all jars, sorted by name.
    jars=$(printf '%s\n' "$programs"/kafka/*.jar | LC_ALL=C sort | paste -sd:)
    [ ! -s "$programs/kafka.jsa" ] ||
        archive=("-XX:SharedArchiveFile=$programs/kafka.jsa" -Xlog:cds=off -Xlog:cds+dynamic=off)
    exec java -Xmx512m -XX:-UsePerfData -XX:+ExitOnOutOfMemoryError -Djava.io.tmpdir="$data/tmp" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
        -Dorg.slf4j.simpleLogger.dateTimeFormat="yyyy-MM-dd'T'HH:mm:ss.SSS" \
        "-XX:TieredStopAtLevel=$OUTBOX_KAFKA_TIERS" "${archive[@]}" -cp "$jars" kafka.Kafka server.properties
}

serve_toxiproxy() {
    # With two threads, small packets lose more in hand-overs than the second one gains.
    GOMAXPROCS=1 LOG_LEVEL=warn exec "$programs/bin/toxiproxy-server" -host=127.0.0.1 -port="$OUTBOX_TOXIPROXY_PORT"
}

works() {
    case "$1" in
        postgres) "$(postgres_bin)/pg_isready" --quiet --host=127.0.0.1 --port="$OUTBOX_POSTGRES_PORT" ;;
        kafka)
            # Which versions it speaks (ApiVersions), asked without a JVM: it answers once it is up.
            exec 3<>"/dev/tcp/127.0.0.1/$OUTBOX_KAFKA_DIRECT"
            printf '\0\0\0\12\0\22\0\0\0\0\0\1\377\377' >&3
            [ "$(timeout 2 head -c 4 <&3 | wc -c)" = 4 ]
            ;;
        toxiproxy)
            exec 3<>"/dev/tcp/127.0.0.1/$OUTBOX_TOXIPROXY_PORT"
            printf 'GET /version HTTP/1.0\r\n\r\n' >&3
            timeout 2 grep -q version <&3
            ;;
    esac
}

versions() {
    local jar java
    jar=$(printf '%s\n' "$programs"/kafka/kafka_2*.jar)
    jar=${jar##*-}
    echo "kafka=${jar%.jar}"
    java=$(readlink -f "$(command -v java)")
    sed -n 's/^JAVA_VERSION="\(.*\)"/jvm=\1/p' "${java%/bin/java}/release"
}

case "${1:-}" in
    postgres | kafka | toxiproxy)
        mkdir -p "$data"
        "serve_$1"
        ;;
    works) works "${2:-}" ;;
    versions) versions ;;
    *)
        echo "serve: \`${1:-}\` is no server; possible: postgres, kafka, toxiproxy" >&2
        exit 2
        ;;
esac
