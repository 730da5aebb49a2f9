#!/usr/bin/env bash
# The runner behind `make compat`: what works on a bare server works the same on a governed one.
#
#   regress     PostgreSQL's own regression schedule, on a bare server and on one with pg_warden in monitor mode that
#               records everything: what the two print has to be the same
#   isolation   PostgreSQL's own isolation schedule, likewise
#   tools       pg_dump, pgbench, psql, PgBouncer, an ORM's migrations …: Tests/compat/tools.py
#
# Differences that are meant are in Tests/compat/known-differences.txt, and statements that neither server is given in
# Tests/compat/left-out.txt, each with its reason; any other difference fails.
#
# Environment: PG_CONFIG; PG_SOURCE, a source tree of PostgreSQL or an archive of one (without it Debian's source package
# is fetched); COMPAT_PARTS; COMPAT_OUT, a directory that is to keep results and logs; COMPAT_TESTS, some tests of the
# schedule instead of all.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=ci/cluster.sh
source "$root/ci/cluster.sh"
test_tools=$("$pg_config" --pkglibdir)/pgxs/src/test
headers=$("$pg_config" --includedir-server)
source=${PG_SOURCE:-}
parts=${COMPAT_PARTS:-regress isolation tools}
read -r -a only <<<"${COMPAT_TESTS:-}"
out=${COMPAT_OUT:-$work/out}
mkdir -p "$out"

# --- PostgreSQL's source ------------------------------------------------------

# Asks the archives that this machine's apt knows for source packages, too, in lists of its own.
fetch_source() {
    local lists=$work/apt file
    command -v apt-get >/dev/null || return 1
    mkdir -p "$lists/parts" "$lists/lists/partial" "$lists/package"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
        case $file in
            *.sources) sed 's/^Types:.*/Types: deb-src/' "$file" ;;
            *.list) sed -n 's/^deb /deb-src /p' "$file" ;;
            *) continue ;;
        esac >"$lists/parts/$(basename "$file")"
    done 2>/dev/null
    local options=(-qq -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$lists/parts"
        -o "Dir::State::lists=$lists/lists" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update >&2
    (cd "$lists/package" && apt-get "${options[@]}" source --download-only "postgresql-${major}" >&2) || return 1
    echo "$lists"/package/postgresql-*.orig.tar.*
}

# The parts of the source that the schedules need, in $work/source.
unpack_source() {
    major=$("$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [[ -n $source ]] || { say "PG_SOURCE is not set: asking for Debian's source package"; source=$(fetch_source); }
    mkdir -p "$work/source/src/test" "$work/source/contrib"
    if [[ -d $source ]]; then
        cp -R "$source/src/test/regress" "$source/src/test/isolation" "$work/source/src/test/"
        cp -R "$source/contrib/spi" "$work/source/contrib/"
    elif [[ -f $source ]]; then
        tar -xf "$source" -C "$work/source" --strip-components=1 --wildcards \
            '*/src/test/regress' '*/src/test/isolation' '*/contrib/spi'
    else
        die "no source of PostgreSQL: set PG_SOURCE to a source tree or an archive of one"
    fi
    [[ -f $work/source/src/test/regress/parallel_schedule ]] || die "$source is no source of PostgreSQL"
}

# Statements that no server of these tests is to run.
leave_out() {
    local suite test edit
    while read -r suite test edit; do
        [[ -z $suite || $suite == \#* ]] || sed -i -E "$edit" "$work/source/src/test/$suite/"*"/$test".* || return 1
    done <"$root/Tests/compat/left-out.txt"
}

# The libraries that the regression scripts load.
build_libraries() {
    local name
    for name in src/test/regress/regress contrib/spi/refint contrib/spi/autoinc; do
        gcc -O1 -fPIC -shared -I"$headers" -o "$work/libraries/$(basename "$name").so" "$work/source/$name.c" || return 1
    done
}

# --- the schedules --------------------------------------------------------------

governed_settings=("shared_preload_libraries = 'pg_warden'" "warden.mode = monitor" "warden.audit = 'all'")

# run_schedule NAME SUITE DRIVER CLUSTER DATABASE OPTION…: results in $out/NAME/SUITE.
run_schedule() {
    local name=$1 suite=$2 driver=$3 place=$4 database=$5 copy=$work/$1/$2
    shift 5
    as_server_user mkdir -p "$copy/results"
    cp -R "$work/source/src/test/$suite/." "$copy"
    cp "$work/libraries/"*.so "$copy"
    [[ $(id -u) != 0 ]] || chown -R postgres "$copy"
    local schedule=(--schedule="$copy/$schedule_name")
    ((${#only[@]} == 0)) || schedule=("${only[@]}")
    # No pager, no colours, nobody's settings: psql prints what the scripts ask for.
    (cd "$copy" && as_server_user env HOME="$copy" "$driver" --bindir="$bindir" --host="$place" --user=postgres \
        --dlpath="$copy" --inputdir="$copy" --outputdir="$copy" --max-concurrent-tests=20 --dbname="$database" \
        "$@" "${schedule[@]}") >"$work/$name/$suite.log" 2>&1
    mkdir -p "$out/$name/$suite"
    cp "$copy/results/"*.out "$work/$name/$suite.log" "$out/$name/$suite"
}

# run_both SUITE DRIVER DATABASE SCHEDULE: on a bare server and a governed one, then compares.
run_both() {
    local suite=$1 driver=$2 database=$3 name place failed=0
    schedule_name=$4
    for name in bare governed; do
        place=$work/$name-$suite
        local settings=() options=()
        if [[ $name == governed ]]; then
            settings=("${governed_settings[@]}") options=(--load-extension=pg_warden)
        fi
        say "$suite on a $name server"
        start_cluster "$place" "${settings[@]}" || die "the $name server does not start: $(tail -5 "$place/server.log")"
        as_server_user mkdir -p "$work/$name"
        run_schedule "$name" "$suite" "$driver" "$place" "$database" "${options[@]}"
        if [[ $name == governed ]]; then
            sql "$place" "$database" "SELECT 'recorded: ' || warden.flush('5 minutes')" || failed=1
            sql "$place" "$database" "SELECT 'verified: ' || records || coalesce(', ' || problem, '') FROM warden.verify_audit()"
            [[ $(sql "$place" "$database" "SELECT ok FROM warden.verify_audit()") == t ]] || failed=1
            sql "$place" "$database" "SELECT 'unhealthy: ' || name || ' = ' || coalesce(value, '') FROM warden.status() WHERE NOT healthy"
        fi
        stop_cluster "$place"
        cp "$place/server.log" "$out/$name/$suite/server.log"
    done
    log_is_clean "$out/governed/$suite/server.log" || failed=1
    # an internal error that the bare server's log has, too, is the test's
    comm -13 <(internal_errors "$out/bare/$suite/server.log") <(internal_errors "$out/governed/$suite/server.log") |
        sed 's/^/internal error: /' | tee "$out/internal_errors"
    [[ ! -s $out/internal_errors ]] || failed=1
    "${PYTHON:-python3}" "$root/Tests/compat/compare.py" "$suite" "$out/bare/$suite" "$out/governed/$suite" \
        "$root/Tests/compat/known-differences.txt" || failed=1
    return $failed
}

# --- the run ----------------------------------------------------------------------

status=0
if [[ " $parts " == *" regress "* || " $parts " == *" isolation "* ]]; then
    unpack_source
    leave_out || die "Tests/compat/left-out.txt does not fit this source"
    mkdir -p "$work/libraries"
    build_libraries || die "the test libraries do not build: $headers and the source are of different versions?"
fi
for part in $parts; do
    case $part in
        regress) run_both regress "$test_tools/regress/pg_regress" regression parallel_schedule ;;
        isolation) run_both isolation "$test_tools/isolation/pg_isolation_regress" isolation_regression isolation_schedule ;;
        tools) "$root/Tests/compat/tools.sh" ;;
        *) die "no part $part: there are regress, isolation and tools" ;;
    esac || { say "$part: FAILED"; status=1; }
done
exit $status
