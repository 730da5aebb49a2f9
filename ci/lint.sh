#!/usr/bin/env bash
# The rules of the house, each a check that fails when it is broken. Prints a line per rule; the page
# docs/architecture.md says what each is for.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0
rule() { # rule NAME COMMAND…: passes where the command succeeds; its output is shown where it does not
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
        echo "ok      $name"
    else
        failed=$((failed + 1))
        echo "FAILED  $name"
        printf '%s\n' "$output" | head -40 | sed 's/^/        /'
    fi
}

absent() { # absent PATTERN PATH…: no line matches
    local pattern=$1
    shift
    [ -e "$1" ] || { echo "nothing to look at: $1"; return 1; }
    ! grep -rnE "$pattern" "$@"
}

swift_format() {
    swift format lint --strict --parallel --recursive Package.swift Sources Tests
}

c_warnings() {
    local headers file
    headers=$("${PG_CONFIG:-pg_config}" --includedir-server)
    for file in Sources/Contract/*.c Sources/CShim/*.c; do
        gcc -std=gnu11 -O2 -Wall -Wextra -Werror -fsyntax-only -ISources/Contract/include -ISources/CShim \
            -isystem "$headers" "$file" || return 1
    done
}

# Law 1: server headers in CShim only.
server_headers() { absent 'postgres\.h|#include "(access|catalog|utils|executor|nodes)/' Sources/Contract Sources/Interceptor; }

# The core knows no server, no Foundation, no threads, and does not look at itself at run time.
imports() { ! grep -rnE '^[[:space:]]*(@[a-zA-Z_]+ )?import ' Sources/Interceptor | grep -vE 'import Contract$'; }

# Law 3: nothing that traps. Array subscripts are judged in review and by fuzzing; these are judged here.
traps() {
    absent '\btry!|\bfatalError\(|\bprecondition\(|\bpreconditionFailure\(|\bassert\(|as!|\bunowned\b' Sources/Interceptor &&
        ! grep -rnE '[A-Za-z0-9_)\]]!([^=]|$)' Sources/Interceptor | grep -vE '^\S+:[0-9]+:\s*//|"[^"]*![^"]*"'
}

# Raw memory is touched by the files that cross the wall or know the ring's layout, and by no others: nothing that decides,
# checks a policy or words a refusal has `unsafe` in it.
unsafe_confined() {
    local allowed='[A-Za-z]*Entry|Bytes|Text|RingMemory|RingProducer|RingConsumer|RecordEncoder|RecordDecoder|ParameterList'
    allowed+='|AccessList|AlertJSON|SessionContext|CanonicalRow'
    ! grep -rlE '\bunsafe\b ' Sources/Interceptor | grep -vE "/($allowed)\.swift$"
}

exports() {
    local library=.build/release/libpg_warden.so names
    [ -f "$library" ] || { echo "build first: $library is not there"; return 1; }
    names=$(nm -D --defined-only "$library" | awk '{print $3}')
    [ -n "$names" ] || { echo "the library exports nothing"; return 1; }
    ! printf '%s\n' "$names" | grep -vE '^(_PG_init|Pg_magic_func|pg_finfo_warden_sql_[a-z0-9_]+|warden_sql_[a-z0-9_]+|warden_worker_(launcher|writer))$'
}

# It is read in the encoding of whatever database it is installed in.
sql_in_ascii() {
    ! grep -nP '[^\x00-\x7F]' sql/*.sql
}

self_contained() {
    ! ldd .build/release/libpg_warden.so | grep -iE 'swift|foundation|dispatch'
}

embedded() {
    local out
    out=$(mktemp -d)
    swiftc -parse-as-library -enable-experimental-feature Embedded -wmo -emit-object -o "$out/core.o" \
        -module-name Interceptor -I Sources/Contract/include -Xcc -fmodule-map-file="$PWD/ci/contract.modulemap" \
        Sources/Interceptor/*.swift
    local status=$?
    rm -rf "$out"
    return $status
}

one_version() {
    local version
    version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" pg_warden.control)
    [ -f "sql/pg_warden--$version.sql" ] && grep -q "\"version\": \"$version" META.json
}

no_machine_paths() { ! git grep -nIE '/(work|root|home)/[a-z]' -- . ':!ci/lint.sh'; }

rule "swift format, strict" swift_format
rule "C without warnings" c_warnings
rule "server headers in CShim only" server_headers
rule "no import but the contract in the core" imports
rule "no trap in the core" traps
rule "unsafe code in its own files" unsafe_confined
rule "exports are exactly the named ones" exports
rule "no Swift runtime needed on the server" self_contained
rule "the SQL is ASCII" sql_in_ascii
rule "the core compiles as Embedded Swift" embedded
rule "every text can be translated" po/update.sh --check
rule "one version everywhere" one_version
rule "no paths of a machine" no_machine_paths

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
