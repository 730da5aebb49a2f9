#!/usr/bin/env bash
# Tools that people use, against a governed database in enforce mode: each works as with a bare one, or the guard says why not.
# Part of `make compat`. What the package managers of Debian and Python bring goes into a directory that is removed.
#
# Environment: PG_CONFIG; COMPAT_TOOLS, some of: psql pgbench pgbouncer django.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=ci/cluster.sh
source "$root/ci/cluster.sh"
place=$work/tools
tools=${COMPAT_TOOLS:-psql pgbench pgbouncer django}
passed=0
failed=0

passes() { passed=$((passed + 1)); echo "ok      $1"; }
fails() { failed=$((failed + 1)); echo "FAILED  $1"; [[ -z ${2:-} ]] || printf '%s\n' "$2" | head -30 | sed 's/^/        /'; }

# check NAME COMMAND…: passes where the command succeeds; its output is shown where it does not.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then passes "$name"; else fails "$name" "$output"; fi
}

psql_in() { "$bindir/psql" -X -h "$place" -U "${2:-postgres}" -d "$1" "${@:3}"; }

# --- psql: what \d and its family print ----------------------------------------------

describe() {
    local command
    for command in '\d' '\d+' '\dt+' '\di+' '\dv+' '\ds' '\dm+' '\df shop.*' '\dp shop.*' '\dT shop.*' '\dy' '\dX' '\dRp' '\dD' \
        '\d shop.*' '\d+ shop.*' '\sf shop.email_of' '\sv shop.addresses' '\dt shop.*' '\dn shop' '\ddp' '\drds' '\dconfig work_mem'; do
        echo "== $command"
        psql_in "$1" postgres -c "$command" 2>&1
    done
}

test_psql() {
    local line
    sql "$place" postgres "CREATE DATABASE bare" && sql "$place" postgres "CREATE DATABASE described" &&
        sql "$place" described "CREATE EXTENSION pg_warden" || return 1
    for database in bare described; do
        # the scene without what is pg_warden's
        sed -n '/^SET ROLE/,/^RESET ROLE/p' "$root/Tests/compat/sqlsmith.sql" |
            { echo "CREATE SCHEMA shop AUTHORIZATION shop_owner; CREATE SCHEMA secrets AUTHORIZATION shop_owner;"; cat; } |
            psql_in "$database" postgres -q -v ON_ERROR_STOP=1 >/dev/null || return 1
    done
    sql "$place" described "SELECT warden.mask('shop.customers.email', 'email'); SELECT warden.mask('shop.events.email', 'email')" >/dev/null
    describe bare >"$work/bare.txt"
    describe described >"$work/described.txt"
    line=$(grep -c . "$work/bare.txt")
    ((line > 200)) || { echo "only $line lines were printed"; return 1; }
    diff "$work/bare.txt" "$work/described.txt"
}

# --- pgbench ----------------------------------------------------------------------------

test_pgbench() {
    local options=(-h "$place" -U postgres -n) mode refused
    sql "$place" postgres "CREATE DATABASE bench" && sql "$place" bench "CREATE EXTENSION pg_warden" || return 1
    # it truncates its tables before it fills them
    refused=$("$bindir/pgbench" "${options[@]}" -i -q bench 2>&1)
    [[ $refused == *destructive-ddl* ]] || { echo "TRUNCATE was not refused: $refused"; return 1; }
    sql "$place" bench "SELECT warden.guard('bench', 'allow', '{drop,truncate}', '{public.*}', priority => 1)" || return 1
    "$bindir/pgbench" "${options[@]}" -i -q --foreign-keys bench || return 1
    "$bindir/pgbench" "${options[@]}" -i -q --partitions=3 bench || return 1
    for mode in simple extended prepared; do
        "$bindir/pgbench" "${options[@]}" -M "$mode" -c 4 -t 100 bench && "$bindir/pgbench" "${options[@]}" -S -M "$mode" -c 4 -t 100 bench ||
            return 1
    done
    [[ $(sql "$place" bench "SELECT count(*) FROM pgbench_history") == 1200 ]] &&
        [[ $(sql "$place" bench "SELECT warden.flush() > 0 AND (SELECT ok FROM warden.verify_audit())") == t ]]
}

# --- PgBouncer in transaction mode --------------------------------------------------------

find_pgbouncer() {
    bouncer=$(command -v pgbouncer || true)
    [[ -z $bouncer ]] || return 0
    # taken apart rather than installed: the package starts a service
    mkdir -p "$work/debs" && (cd "$work/debs" && apt-get download pgbouncer libevent-2.1-7 libc-ares2 &&
        for package in *.deb; do dpkg -x "$package" tree; done) >/dev/null 2>&1 || return 1
    bouncer=$work/debs/tree/usr/sbin/pgbouncer
    libraries=$(dirname "$(find "$work/debs/tree" -name 'libevent-2.1.so*' | head -1)")
}

test_pgbouncer() {
    local libraries="" bouncer status=0 pooled
    find_pgbouncer || { echo "no pgbouncer: install it, or run where apt-get can fetch it"; return 1; }
    as_server_user mkdir -p "$place/pool"
    as_server_user tee "$place/pool/pgbouncer.ini" >/dev/null <<INI
[databases]
shop = host=$place dbname=shop
[pgbouncer]
listen_addr =
unix_socket_dir = $place/pool
auth_type = trust
auth_file = $place/pool/users
pool_mode = transaction
pidfile = $place/pool/pid
default_pool_size = 2
server_reset_query_always = 1
ignore_startup_parameters = extra_float_digits
INI
    as_server_user tee "$place/pool/users" >/dev/null <<<'"postgres" ""
"analyst" ""
"shop_owner" ""'
    as_server_user env LD_LIBRARY_PATH="$libraries" "$bouncer" -q "$place/pool/pgbouncer.ini" >"$work/pgbouncer.log" 2>&1 &
    pooled=(-X -A -t -h "$place/pool" -p 6432 -d shop)
    for _ in $(seq 50); do "$bindir/psql" "${pooled[@]}" -U analyst -c 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
    through_pool || status=1
    kill "$(cat "$place/pool/pid")"
    ((status == 0)) || cat "$work/pgbouncer.log"
    return $status
}

# Several clients by one server connection each: whose statement it is, and what is masked, changes from transaction to transaction.
through_pool() {
    local seen i
    for i in 1 2 3 4 5; do
        seen=$("$bindir/psql" "${pooled[@]}" -U analyst -c "SELECT email FROM shop.customers WHERE id = 1") || return 1
        [[ $seen == 'n***@***.example' ]] || { echo "analyst saw $seen"; return 1; }
        seen=$("$bindir/psql" "${pooled[@]}" -U shop_owner -c "SELECT email FROM shop.customers WHERE id = 1") || return 1
        [[ $seen == n1@raw.example ]] || { echo "shop_owner saw $seen"; return 1; }
        # break-glass is a session's, and the session goes back into the pool: DISCARD ALL ends it
        "$bindir/psql" "${pooled[@]}" -U postgres -c "SELECT warden.break_glass('by the pool')" >/dev/null || return 1
        seen=$("$bindir/psql" "${pooled[@]}" -U postgres -c "DROP TABLE shop.orders" 2>&1)
        [[ $seen == *destructive-ddl* ]] || { echo "break-glass came with the pooled session: $seen"; return 1; }
        seen=$("$bindir/psql" "${pooled[@]}" -U analyst -c "SET warden.intent = 'one'; DELETE FROM shop.orders" 2>&1)
        [[ $seen == *whole-table-dml* ]] || { echo "DELETE was not refused: $seen"; return 1; }
    done
    "$bindir/pgbench" -h "$place/pool" -p 6432 -U analyst -n -c 8 -t 50 -f <(echo 'SELECT email FROM shop.customers WHERE id = 7;') shop
}

# --- Django's migrations --------------------------------------------------------------------

test_django() {
    local python=$work/venv/bin/python
    "${PYTHON:-python3}" -m venv "$work/venv" && "$work/venv/bin/pip" -q install 'django<6' psycopg2-binary || return 1
    sql "$place" postgres "CREATE DATABASE django" && sql "$place" django "CREATE EXTENSION pg_warden" || return 1
    "$python" "$root/Tests/compat/django_project.py" "$place" "$work/project"
}

# --- the run ----------------------------------------------------------------------------------

start_cluster "$place" "shared_preload_libraries = 'pg_warden'" || die "the server does not start"
sql "$place" postgres "CREATE DATABASE shop" && sql "$place" shop "CREATE EXTENSION pg_warden" || die "no extension"
psql_in shop postgres -q -v ON_ERROR_STOP=1 -f "$root/Tests/compat/sqlsmith.sql" >/dev/null || die "the scene cannot be set"
for tool in $tools; do check "$tool" "test_$tool"; done
if log_is_clean "$place/server.log"; then passes "the server's log"; else fails "the server's log"; fi
stop_cluster "$place"
echo "tools: $passed passed, $failed failed"
((failed == 0))
