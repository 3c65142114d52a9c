#!/usr/bin/env bash
# A short run of the relays on every version of PostgreSQL that the harness works with, and on one that
# is too old: `make test-postgres-matrix`. stack/install.sh brings the servers into
# .stack/postgres/VERSION; their folder goes first on PATH, as anybody's would.
#
#   stack/postgres-matrix.sh            all versions
#   stack/postgres-matrix.sh 14 18      these
#   HARNESS=... stack/postgres-matrix.sh   with a program that is built already
set -euo pipefail

VERSIONS=(13 14 15 16 17 18)
# Refused by name, before anything is made.
TOO_OLD=13

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
servers=$checkout/.stack/postgres
scenario=$checkout/stack/postgres-matrix.toml

say() { echo "matrix: $*" >&2; }

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
    local major failed=0
    cd "$checkout"
    harness=$(program)
    for major in "${VERSIONS[@]}"; do
        [ $# = 0 ] || [[ " $* " == *" $major "* ]] || continue
        stack/install.sh "postgres-$major"
        try "$major" || failed=1
    done
    return "$failed"
}

main "$@"
