#!/usr/bin/env bash
# The runner behind `make sqlsmith`: random statements against a governed database with guards and masks in force, half of
# them by a masked role, half by the tables' owner. Any of these fails it: a crash, an internal error that names pg_warden or
# comes up on the governed server only, memory that grows, an audit that is not whole, a raw value that the masked role sees.
#
#   QUERIES=50000 ci/sqlsmith.sh
#
# Environment: PG_CONFIG; SEED (1); SMITH_OUT, a directory that is to keep the server's log.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=ci/cluster.sh
source "$root/ci/cluster.sh"
queries=${QUERIES:-50000}
seed=${SEED:-1}
place=$work/smith
status=0

command -v sqlsmith >/dev/null || die "sqlsmith is not installed (Debian: apt-get install sqlsmith)"

# --- the scene -----------------------------------------------------------------

# Compiled code is never given back to the system: without it memory that grows is ours to explain.
start_cluster "$place" "shared_preload_libraries = 'pg_warden'" "warden.mode = enforce" "warden.audit = 'all'" \
    "max_connections = 20" "jit = off" "log_min_messages = warning" "log_min_error_statement = error" || die "the server does not start"
sql "$place" postgres "CREATE DATABASE smith" || die "no database"
sql "$place" smith "CREATE EXTENSION pg_warden" || die "no extension"
"$bindir/psql" -XAqt -h "$place" -U postgres -d smith -v ON_ERROR_STOP=1 -f "$root/Tests/compat/sqlsmith.sql" >/dev/null ||
    die "the scene cannot be set"

# --- the run -------------------------------------------------------------------

# backends ROLE: resident memory that is the process's own, in kB, of each session of the role, with its process id.
memory() {
    local pid
    for pid in $(sql "$place" postgres "SELECT pid FROM pg_stat_activity WHERE usename = '$1'"); do
        awk -v pid="$pid" '/^RssAnon/ { print pid, $2 }' "/proc/$pid/status" 2>/dev/null
    done
}

smith() { # smith ROLE SEED OPTION…
    local role=$1 with_seed=$2
    shift 2
    nice -n "${SMITH_NICE:-10}" sqlsmith --target="host=$place dbname=smith user=$role" --seed="$with_seed" \
        --max-queries=$((queries / 2)) "$@" >"$work/$role.log" 2>&1
}

smith analyst "$seed" --exclude-catalog & analyst=$!
smith shop_owner $((seed + 1)) & owner=$!
while kill -0 "$analyst" 2>/dev/null || kill -0 "$owner" 2>/dev/null; do
    sleep 20
    for role in analyst shop_owner; do memory $role >>"$work/$role.memory"; done
done
wait "$analyst" || { say "sqlsmith as analyst: $(tail -2 "$work/analyst.log")"; status=1; }
wait "$owner" || { say "sqlsmith as shop_owner: $(tail -2 "$work/shop_owner.log")"; status=1; }

# --- what came of it -------------------------------------------------------------

# sqlsmith rolls back each of its statements.
random="event = 'statement' AND parent_no IS NULL AND application_name = 'sqlsmith::dut' AND
    coalesce(command, '') NOT IN ('BEGIN', 'ROLLBACK', 'SET')"
echo "recorded: $(sql "$place" smith "SELECT warden.flush('5 minutes')")"
sql "$place" smith "SELECT role_name || ': ' || count(*) || ' ' || decision || ', ' || coalesce(outcome, '?') ||
        coalesce(' ' || sqlstate, '') || coalesce(' by ' || guard, '')
    FROM warden.audit_log WHERE $random AND role_name IN ('analyst', 'shop_owner')
    GROUP BY role_name, decision, outcome, sqlstate, guard HAVING count(*) > 9 ORDER BY role_name, count(*) DESC"
for role in analyst shop_owner; do
    seen=$(sql "$place" smith "SELECT count(*) FROM warden.audit_log
        WHERE $random AND role_name = '$role'")
    echo "$role: $seen statements"
    ((seen >= queries / 2)) || { say "$role: only $seen statements were recorded"; status=1; }
done

verdict=$(sql "$place" smith "SELECT ok || ' ' || records || coalesce(' ' || problem, '') FROM warden.verify_audit()")
echo "verified: $verdict"
[[ $verdict == true* ]] || status=1

# sqlsmith finds bugs of the server, too: those are told, not counted.
internal_errors "$place/server.log" | sed 's/^/internal error: /' | cut -c1-300
! internal_errors "$place/server.log" | grep -qiE 'warden|swift|statement without|mask' || status=1
log_is_clean "$place/server.log" || status=1
[[ $(sql "$place" smith "SELECT count(*) FROM warden.status() WHERE name = 'swift depth' AND NOT healthy") == 0 ]] ||
    { say "a jump has crossed a Swift frame"; status=1; }

# A session keeps plans, catalog caches and what a large statement needed; what grows further with every thousand is a leak.
for role in analyst shop_owner; do
    awk -v role="$role" '
        { n[$1]++; last[$1] = $2; if (n[$1] == 3) settled[$1] = $2 }
        END { for (pid in last) if (n[pid] > 3) {
                  printf "%s: session %d from %d to %d kB in %d looks\n", role, pid, settled[pid], last[pid], n[pid]
                  if (last[pid] > settled[pid] + 100000) bad = 1 }
              exit bad }' "$work/$role.memory" || { say "$role: memory grows"; status=1; }
done

[[ -z ${SMITH_OUT:-} ]] || { mkdir -p "$SMITH_OUT" && cp "$place/server.log" "$work"/*.log "$work"/*.memory "$SMITH_OUT"; }
stop_cluster "$place"
((status == 0)) && echo "sqlsmith: $queries queries, nothing broke" || echo "sqlsmith: FAILED"
exit $status
