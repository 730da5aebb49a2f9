#!/usr/bin/env bash
# The runner behind `make test`: every part runs, whatever became of the parts before it, and one summary closes.
#
#   ci/test.sh                          everything
#   TEST_PARTS="units servers" ci/test.sh
#
# Parts: install lint units servers regress isolation. How many tests a part ran is read from what it reports; a part
# that ran none has failed: `swift test --filter` that matches nothing, for one, exits with 0.
#
# Environment: PG_CONFIG, SWIFT, TEST_PARTS, TEST_TIMEOUT (seconds a part may take), WARDEN_TEST_LOGS (a directory
# where the server tests leave their servers' logs).
set -uo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
export PG_CONFIG=${PG_CONFIG:-pg_config}
swift=${SWIFT:-swift}
parts=${TEST_PARTS:-install lint units servers regress isolation}
PG_INCLUDEDIR_SERVER=$("$PG_CONFIG" --includedir-server) || exit 1
bindir=$("$PG_CONFIG" --bindir)
test_tools=$("$PG_CONFIG" --pkglibdir)/pgxs/src/test
export PG_INCLUDEDIR_SERVER

# The caller's PostgreSQL settings are about other servers.
while read -r variable; do unset "$variable"; done < <(compgen -v | grep -E '^PG[A-Z]+$')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed_total=0
failed_total=0
summary=()
failures=()

# part_ended NAME PASSED FAILED STATUS: the part's line in the summary. A part that failed without a failing test (it
# did not build, it crashed) or that ran no test counts as one failure.
part_ended() {
    local name=$1 passed=$2 failed=$3 status=$4 remark=""
    if ((failed == 0 && status != 0)); then
        failed=1 remark=" (ended with status $status)"
    elif ((passed + failed == 0)); then
        failed=1 remark=" (no test was run)"
    fi
    passed_total=$((passed_total + passed))
    failed_total=$((failed_total + failed))
    summary+=("$(printf '%-10s %4d passed, %d failed%s' "$name" "$passed" "$failed" "$remark")")
}

limited() { timeout --kill-after=30 "${TEST_TIMEOUT:-1800}" "$@"; }

# --- parts without a count of their own: one test each ----------------------

run_check() {
    local name=$1 status=0
    shift
    limited "$@" || status=$?
    if ((status == 0)); then part_ended "$name" 1 0 0; else part_ended "$name" 0 1 "$status"; fi
}

# --- Swift tests ------------------------------------------------------------

# The report in JUnit's format has an element per test, and in it one per failure.
count_xunit() {
    awk '/<testcase / { tests++; open = !/\/>/; bad = 0 }
         open && /<failure/ && !bad { failed++; bad = 1 }
         END { printf "%d %d\n", tests - failed, failed }' "$1"
}

# Which tests of that report failed, and how each failed first: the end of a log is what one gets to see.
failures_xunit() {
    awk '/<testcase / { name = $0; sub(/.*<testcase classname="/, "", name); sub(/" name="/, ".", name)
                        sub(/".*/, "", name); bad = 0 }
         /<failure/ && !bad { why = $0; sub(/.*<failure message="/, "", why); sub(/"[^"]*$/, "", why); bad = 1
                              print name ": " substr(why, 1, 1000) }' "$1"
}

run_swift() {
    local name=$1 target=$2 status=0 passed=0 failed=0
    limited "$swift" test --filter "^$target\\." --xunit-output "$work/$name.xml" || status=$?
    if [[ -f $work/$name-swift-testing.xml ]]; then
        read -r passed failed < <(count_xunit "$work/$name-swift-testing.xml")
        mapfile -t -O "${#failures[@]}" failures < <(failures_xunit "$work/$name-swift-testing.xml")
    fi
    part_ended "$name" "$passed" "$failed" "$status"
}

# --- PostgreSQL's own test drivers ------------------------------------------

# Servers refuse to run as root.
as_server_user() {
    if [[ $(id -u) == 0 ]]; then
        limited setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        limited "$@"
    fi
}

# names_in FOLDER SUFFIX: the tests there are, in order of name; extension goes first, it makes the extension.
names_in() {
    local file name
    for file in "$1"/*"$2"; do
        name=$(basename "$file" "$2")
        [[ $name == extension ]] || echo "$name"
    done
}

# count_driver LOG: up to PostgreSQL 15 "test NAME ... ok", from 16 on TAP.
count_driver() {
    awk '/^(test|ok|not ok) / {
             if (/ \.\.\. ok( |$)/ || /^ok [0-9]/) passed++
             else if (/ \.\.\. FAILED/ || /^not ok [0-9]/) failed++
         }
         END { printf "%d %d\n", passed, failed }' "$1"
}

# run_driver NAME DRIVER FOLDER TESTS...: in a copy of FOLDER that the server's user may write to.
run_driver() {
    local name=$1 driver=$2 folder=$3 status=0 passed failed
    local place=$work/$name
    shift 3
    chmod 755 "$work"
    cp -R "$folder" "$place"
    [[ $(id -u) != 0 ]] || chown -R postgres "$place"
    (
        cd "$place" || exit 1
        as_server_user "$driver" --bindir="$bindir" --inputdir="$place" --outputdir="$place" \
            --temp-instance="$place/instance" --temp-config="$root/Tests/regress/regress.conf" \
            --dbname="warden_$name" --no-locale --encoding=UTF8 "$@"
    ) 2>&1 | tee "$place.log" || status=$?
    [[ ! -f $place/regression.diffs ]] || cat "$place/regression.diffs"
    read -r passed failed < <(count_driver "$place.log")
    part_ended "$name" "$passed" "$failed" "$status"
}

# --- the run ----------------------------------------------------------------

for part in $parts; do
    echo
    echo "=== $part"
    case $part in
        # With the checks of the wall; `make install` puts the plain library back.
        install) run_check install make --no-print-directory install WARDEN_DEBUG=1 ;;
        lint) run_check lint make --no-print-directory lint ;;
        units) run_swift units InterceptorTests ;;
        servers) run_swift servers ServerTests ;;
        regress)
            mapfile -t tests < <(names_in Tests/regress/sql .sql)
            run_driver regress "$test_tools/regress/pg_regress" Tests/regress extension "${tests[@]}"
            ;;
        isolation)
            mapfile -t tests < <(names_in Tests/isolation/specs .spec)
            run_driver isolation "$test_tools/isolation/pg_isolation_regress" Tests/isolation --load-extension=pg_warden "${tests[@]}"
            ;;
        *) echo "no part $part" >&2; part_ended "$part" 0 1 2 ;;
    esac
done

echo
echo "=== summary"
((${#failures[@]} == 0)) || printf 'failed: %s\n' "${failures[@]}"
printf '%s\n' "${summary[@]}"
echo
echo "$passed_total passed, $failed_total failed"
((failed_total == 0))
