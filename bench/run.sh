#!/usr/bin/env bash
# What pg_warden costs: interleaved pgbench rounds against a bare server, pg_stat_statements and pgaudit.
# README.md explains the method and the parameters; report.py makes the tables.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pg_config=${PG_CONFIG:-pg_config}
# Somebody's PGHOST or PGOPTIONS must not steer a measurement.
for v in "${!PG@}"; do unset "$v"; done

rounds=${BENCH_ROUNDS:-7}
seconds=${BENCH_SECONDS:-10}
warmup=${BENCH_WARMUP:-1}
scale=${BENCH_SCALE:-10}
seed=${BENCH_SEED:-1}
cores=$(nproc)
# Enough to saturate the cores, and more than one client per core: README.md, Clients.
clients=${BENCH_CLIENTS:-$(( 4 * cores ))}
jobs=${BENCH_JOBS:-$(( cores < clients ? cores : clients ))}
all_variants='bare pg_stat_statements pgaudit warden_idle warden_guards warden_audit'
all_workloads='select_prepared update_prepared select_simple tpcb_prepared'
variants=${BENCH_VARIANTS:-$all_variants}
workloads=${BENCH_WORKLOADS:-select_prepared update_prepared select_simple}
variants=${variants//,/ } workloads=${workloads//,/ }
conf=${BENCH_CONF:-}
shared_buffers=${BENCH_SHARED_BUFFERS:-512MB}
out=${BENCH_OUT:-$here}
python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }
die() { say "bench: error: $*"; exit 2; }

for n in "$rounds" "$seconds" "$scale" "$clients" "$jobs"; do
    [[ $n =~ ^[1-9][0-9]*$ ]] || die "'$n' is not a positive whole number (BENCH_ROUNDS, _SECONDS, _SCALE, _CLIENTS, _JOBS)"
done
for n in "$warmup" "$seed"; do
    [[ $n =~ ^[0-9]+$ ]] || die "'$n' is not a whole number (BENCH_WARMUP, BENCH_SEED)"
done
for v in $variants; do
    [[ " $all_variants " == *" $v "* ]] || die "BENCH_VARIANTS: unknown variant '$v'; known: $all_variants"
done
for w in $workloads; do
    [[ " $all_workloads " == *" $w "* ]] || die "BENCH_WORKLOADS: unknown workload '$w'; known: $all_workloads"
done
command -v "$python" >/dev/null || die "python3 is needed for the report"

# ---- what is installed -------------------------------------------------------------------------------------------

install_packages() {   # only for what is missing, only where that is possible
    [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null || return 1
    say "bench: installing $*"
    { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
      { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }; } >/dev/null 2>&1
}

find_server() {
    bindir='' sharedir='' libdir=''
    local c
    # pg_config may belong to libpq-dev while the server is not there: pgbench and postgres are what counts.
    for c in "$pg_config" /usr/lib/postgresql/15/bin/pg_config; do
        command -v "$c" >/dev/null || continue
        bindir=$("$c" --bindir) sharedir=$("$c" --sharedir) libdir=$("$c" --pkglibdir)
        [[ -x $bindir/postgres && -x $bindir/pgbench && -x $bindir/initdb ]] && return 0
    done
    return 1
}

if ! find_server; then
    install_packages postgresql-15 || die "no PostgreSQL 15 server with pgbench found; install postgresql-15 or set PG_CONFIG"
    # The package starts a cluster of its own, which would compete with the measurement.
    pg_ctlcluster 15 main stop >/dev/null 2>&1 || true
    find_server || die "postgresql-15 was installed, but pgbench was not found beside it"
fi
server_version=$("$bindir/postgres" --version)
[[ $server_version == *" 15."* ]] || die "PostgreSQL 15 is needed, found: $server_version"

has_extension() { [[ -e $sharedir/extension/$1.control && -e $libdir/$1.so ]]; }

[[ -e $sharedir/extension/pg_prewarm.control ]] || die "the contrib modules of PostgreSQL 15 (pg_prewarm) are missing"

# Missing pg_warden stops the run now, not after ten minutes; a missing pgaudit is only a line in the table.
if [[ " $variants " == *" warden_"* ]] && ! has_extension pg_warden; then
    die "pg_warden is not installed for $server_version: run 'make install' first ('make bench' does), or measure only the others: BENCH_VARIANTS='bare pg_stat_statements pgaudit'"
fi

declare -A skipped=()
active=''
for v in $variants; do
    case $v in
        pgaudit) has_extension pgaudit || install_packages postgresql-15-pgaudit || true
                 has_extension pgaudit || skipped[$v]='package postgresql-15-pgaudit is not installed and could not be installed' ;;
        pg_stat_statements) has_extension pg_stat_statements || skipped[$v]='contrib module pg_stat_statements is not installed' ;;
    esac
    if [[ -n ${skipped[$v]:-} ]]; then say "bench: $v left out: ${skipped[$v]}"; else active+="$v "; fi
done
[[ -n $active ]] || die "no variant left to measure"

pgaudit_version=$(dpkg-query -W -f '${Version}' postgresql-15-pgaudit 2>/dev/null || true)
[[ -n $pgaudit_version ]] || pgaudit_version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$sharedir/extension/pgaudit.control" 2>/dev/null || true)
control=$here/../pg_warden.control
[[ -e $control ]] || control=$sharedir/extension/pg_warden.control
warden_version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$control" 2>/dev/null || true)
warden_commit=$(git -C "$here" rev-parse --short HEAD 2>/dev/null || true)

# ---- a private place, and its end --------------------------------------------------------------------------------

work=$(mktemp -d -t pgw-bench.XXXXXX)
runner=''
cleanup() {
    local rc=$? d pid
    set +e   # whatever fails here, the rest of the cleaning is still to be done
    trap '' INT TERM HUP
    trap - EXIT
    # Only servers whose pid stands in our own directories; a timed pgbench ends with its server.
    for d in "$work"/*/data; do
        [[ -e $d/postmaster.pid ]] || continue
        pid=$(head -n 1 "$d/postmaster.pid") || continue
        kill -QUIT "$pid" 2>/dev/null || continue
        for _ in {1..100}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    done
    [[ -n $runner ]] && wait "$runner" 2>/dev/null
    cd /
    if [[ -n ${BENCH_KEEP:-} ]]; then
        say "bench: kept $work"
    else   # a log collector may still be writing its last lines
        rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; }
    fi
    exit "$rc"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

as_pg() { "$@"; }
if [[ $EUID -eq 0 ]]; then   # the server refuses to run as root
    id postgres >/dev/null 2>&1 || die "run as root, but there is no OS user postgres to run the servers"
    chown postgres "$work"
    as_pg() { runuser -u postgres -- "$@"; }
fi
chmod 711 "$work"
cd "$work"   # a directory that the OS user postgres may stand in
(( ${#work} < 80 )) || die "TMPDIR is too long for a Unix socket path"
mkdir "$work/raw"

# ---- clusters ----------------------------------------------------------------------------------------------------

sql() {   # sql VARIANT psql-arguments...
    local v=$1; shift
    "$bindir/psql" -XqAt -v ON_ERROR_STOP=1 -h "$work/$v" -U postgres -d bench "$@"
}

start() {
    if ! as_pg "$bindir/pg_ctl" -D "$work/$1/data" -l "$work/$1/start.log" -w -t 120 start >/dev/null 2>&1; then
        { cat "$work/$1/start.log"; tail -n 20 "$work/$1/data/log/postgresql.log"; } >&2 2>/dev/null || true
        die "the server of variant $1 did not start (its log is above)"
    fi
    postmaster=$(head -n 1 "$work/$1/data/postmaster.pid")
}

stop() {
    as_pg "$bindir/pg_ctl" -D "$work/$1/data" -m fast -w -t 180 stop >/dev/null 2>&1 && return
    say "bench: WARNING: variant $1 did not shut down within 180 s, stopped at once"
    as_pg "$bindir/pg_ctl" -D "$work/$1/data" -m immediate -w -t 60 stop >/dev/null 2>&1 || die "variant $1 does not stop"
}

# The same for every variant. The log goes to a file everywhere, not only where pgaudit uses it. Autovacuum and timed checkpoints
# would hit some measurements and not others: VACUUM and CHECKPOINT run untimed before each instead. fsync stays on.
common_conf() {
    cat <<CONF
listen_addresses = ''
max_connections = $(( clients + 20 ))
shared_buffers = $shared_buffers
autovacuum = off
checkpoint_timeout = 1h
min_wal_size = 1GB
max_wal_size = 8GB
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql.log'
log_rotation_age = 0
log_rotation_size = 0
CONF
    if [[ -n $conf ]]; then tr ';' '\n' <<<"$conf"; fi
}

variant_conf() {
    case $1 in
        bare) ;;
        pg_stat_statements) echo "shared_preload_libraries = 'pg_stat_statements'" ;;
        pgaudit)            echo "shared_preload_libraries = 'pgaudit'"; echo "pgaudit.log = 'all'" ;;
        warden_idle)        echo "shared_preload_libraries = 'pg_warden'" ;;
        warden_guards)      echo "shared_preload_libraries = 'pg_warden'"; echo "warden.audit = 'none'" ;;
        warden_audit)       echo "shared_preload_libraries = 'pg_warden'"; echo "warden.audit = 'all'" ;;
    esac
}

fail_checks=()
setup() {
    local v
    say "bench: one cluster with pgbench tables at scale $scale, copied for each variant"
    as_pg mkdir "$work/template"
    as_pg "$bindir/initdb" -D "$work/template/data" -U postgres -A trust -E UTF8 --locale=C >"$work/raw/initdb.log" 2>&1 ||
        { cat "$work/raw/initdb.log" >&2; die "initdb failed"; }
    { common_conf; echo "unix_socket_directories = '$work/template'"; } >>"$work/template/data/postgresql.conf"
    start template
    "$bindir/psql" -Xq -h "$work/template" -U postgres -d postgres -c 'CREATE DATABASE bench'
    "$bindir/pgbench" -i -q -s "$scale" -h "$work/template" -U postgres bench >"$work/raw/init.log" 2>&1 ||
        { cat "$work/raw/init.log" >&2; die "pgbench -i failed"; }
    # pgbench runs as an ordinary role that owns nothing: the way applications connect, and no short cuts for superusers.
    sql template -c 'CREATE EXTENSION pg_prewarm' -c 'CREATE ROLE app LOGIN' \
        -c 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app' -c 'VACUUM (FREEZE, ANALYZE)'
    stop template
    for v in $active; do
        # A copy, so that all variants start from the same pages.
        as_pg mkdir "$work/$v"
        as_pg cp -a "$work/template/data" "$work/$v/data"
        { echo "unix_socket_directories = '$work/$v'"; variant_conf "$v"; } >>"$work/$v/data/postgresql.conf"
        start "$v"
        case $v in
            pg_stat_statements|pgaudit) sql "$v" -c "CREATE EXTENSION $v" ;;
            warden_idle) ;;   # preloaded, and no database has the extension
            warden_*)
                sql "$v" -c 'CREATE EXTENSION pg_warden' || die "CREATE EXTENSION pg_warden failed (above)"
                check_warden "$v" ;;
        esac
        stop "$v"
    done
    rm -rf "$work/template"
}

# An extension that does nothing costs nothing: make sure that what is measured is at work.
check_warden() {
    local want=none got state
    [[ $1 == warden_audit ]] && want=all
    got=$(sql "$1" -c 'SHOW warden.audit')
    [[ $got == "$want" ]] || die "$1: warden.audit is '$got', not '$want'"
    state=$(sql "$1" -v VERBOSITY=sqlstate -c 'DELETE FROM pgbench_tellers' 2>&1 || true)
    if [[ $state != *42501* ]]; then
        say "bench: WARNING: $1: a DELETE without WHERE was not refused with 42501: ${state:-it ran}"
        fail_checks+=("$1: the built-in guard whole-table-dml did not refuse a DELETE without WHERE (${state:-it ran}): its cost is not in these figures")
        sql "$1" -c "INSERT INTO pgbench_tellers SELECT t, (t - 1) / 10 + 1, 0 FROM generate_series(1, 10 * $scale) t ON CONFLICT DO NOTHING" || true
    fi
}

# ---- one measurement ---------------------------------------------------------------------------------------------

# Statements of the script itself (pgbench sends a few others at its start) and how many of them one transaction has.
pattern='(SELECT abalance FROM|UPDATE|INSERT INTO) pgbench_'
per_transaction() { case $1 in select_*) echo 1 ;; update_*) echo 3 ;; tpcb_*) echo 5 ;; esac; }

workload_options() {
    # -n: pgbench would otherwise VACUUM and TRUNCATE at its start, which a guard rightly wants approved.
    case $1 in
        select_prepared) echo '-n -S -M prepared' ;;
        select_simple)   echo '-n -S -M simple' ;;
        update_prepared) echo '-n -N -M prepared' ;;
        tpcb_prepared)   echo '-n -M prepared' ;;
    esac
}

pgbench_run() {   # VARIANT WORKLOAD SECONDS SEED; output to run.out, run.err, CPU time of pgbench to run.time
    local options
    read -ra options <<<"$(workload_options "$2")"
    # In the background, because bash runs a trap only when `wait` returns, not while a command is in the foreground.
    ( TIMEFORMAT='%U %S'
      time "$bindir/pgbench" "${options[@]}" -c "$clients" -j "$jobs" -T "$3" --random-seed="$4" \
          -h "$work/$1" -U app bench >run.out 2>run.err ) 2>run.time &
    runner=$!
    local rc=0
    wait "$runner" || rc=$?
    runner=''
    return "$rc"
}

children() {   # of the postmaster: pid and CPU ticks of its own, one a line
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v pm="$postmaster" '{ pid = $1; sub(/^.*\) /, ""); if ($2 == pm) print pid, $12 + $13 }' || true
}

# A backend's CPU time reaches the postmaster's books when it is reaped, shortly after its client is gone.
wait_backends_gone() {
    local pid rest busy
    for _ in {1..100}; do
        busy=''
        while read -r pid rest; do
            if [[ $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" || true) == *'[local]'* ]]; then busy=1; fi
        done < <(children)
        [[ -z $busy ]] && return
        sleep 0.05
    done
}

cpu_machine()    { awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8, $9, $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9 }' /proc/stat; }   # busy, steal, all
cpu_backends()   { awk '{ sub(/^.*\) /, ""); print $14 + $15 }' "/proc/$postmaster/stat"; }
cpu_background() { children | awk '{ t += $2 } END { print t + 0 }'; }

# A question that pg_warden cannot answer spoils one measurement and is reported, the run goes on.
ask() { sql "$1" -c "$2" 2>ask.out || cat ask.out >>ask.err; }

counters() { sql "$1" -c "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0'), pg_database_size('bench')" | tr '|' ' '; }

ticks=$(getconf CLK_TCK)
csv_header='round,workload,variant,position,tps,transactions,failed,seconds,busy_pct,other_pct,steal_pct,backend_us,background_us,pgbench_us,wal_bytes,size_bytes,expected,found,window,window_found,drain_s,error'

measure() {   # ROUND WORKLOAD VARIANT POSITION
    local round=$1 w=$2 v=$3 position=$4
    local error='' expected='' found='' window='' window_found='' drain='' seq0='' seq1=''
    local busy0 steal0 all0 busy1 steal1 all1 backends0 backends1 background0 background1 wal0 size0 wal1 size1 t0

    start "$v"
    : >ask.err
    # Also before reads: they would otherwise clean up behind the updates of the workload before, and write WAL for it.
    sql "$v" -c 'VACUUM pgbench_accounts, pgbench_branches, pgbench_tellers, pgbench_history'
    sql "$v" -c CHECKPOINT -c "SELECT sum(pg_prewarm(c.oid)) FROM pg_class c WHERE relname LIKE 'pgbench%' AND relkind IN ('r', 'i')" >/dev/null
    if (( warmup > 0 )); then
        pgbench_run "$v" "$w" "$warmup" $(( seed * 1000 + 500 + round )) || true   # an error shows in the timed run
    fi
    case $v in
        pg_stat_statements) sql "$v" -c 'SELECT pg_stat_statements_reset()' >/dev/null ;;
        pgaudit)            sql "$v" -c "SELECT 'bench-mark'" >/dev/null ;;   # found again in the log
        warden_idle) ;;
        warden_*)           seq0=$(ask "$v" "SELECT coalesce(warden.flush('120 seconds'), 0)") ;;
    esac
    read -r wal0 size0 < <(counters "$v")
    wait_backends_gone

    backends0=$(cpu_backends) background0=$(cpu_background)
    read -r busy0 steal0 all0 < <(cpu_machine)
    pgbench_run "$v" "$w" "$seconds" $(( seed * 1000 + round )) || error="pgbench: $(grep -m 1 -E 'error|ERROR|fatal' run.err || tail -n 1 run.err)"
    t0=$EPOCHREALTIME
    read -r busy1 steal1 all1 < <(cpu_machine)
    wait_backends_gone
    backends1=$(cpu_backends)

    local tps transactions failed user system
    tps=$(awk '/^tps = / { print $3 }' run.out)
    transactions=$(awk '/^number of transactions actually processed/ { split($6, a, "/"); print a[1] }' run.out)
    failed=$(awk '/^number of failed transactions/ { print $5 }' run.out)
    read -r user system < <(tail -n 1 run.time)
    [[ -n $transactions ]] && expected=$(( transactions * $(per_transaction "$w") ))
    [[ $v == warden_idle ]] && expected=

    if [[ $v == warden_* && $v != warden_idle ]]; then
        seq1=$(ask "$v" "SELECT coalesce(warden.flush('120 seconds'), 0)")
        drain=$(awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f", b - a }')
    fi
    background1=$(cpu_background)   # after the flush: what the writer still owed belongs to its bill
    read -r wal1 size1 < <(counters "$v")
    case $v in
        pg_stat_statements)
            found=$(ask "$v" "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ~ '^$pattern'") ;;
        warden_guards)
            # Records of other events may exist, but none of a statement of the script.
            expected=0 found=$(ask "$v" "SELECT count(*) FROM warden.audit_log WHERE seq > ${seq0:-0} AND statement ~ '^$pattern'") ;;
        warden_audit)
            if [[ -n $seq0 && -n $seq1 ]]; then
                # Every statement once, and no hole among the sequence numbers given out meanwhile.
                window=$(( seq1 - seq0 ))
                IFS='|' read -r window_found found <<<"$(ask "$v" "SELECT count(DISTINCT seq), count(*) FILTER (WHERE event = 'statement' AND statement ~ '^$pattern') FROM warden.audit_log WHERE seq > $seq0 AND seq <= $seq1")"
            fi ;;
    esac
    if [[ -s ask.err ]]; then error+="${error:+; }$(head -n 1 ask.err)"; fi
    stop "$v"
    if [[ $v == pgaudit ]]; then   # after the stop: the collector has written everything
        read -r found size1 < <(awk -v p="AUDIT: .*$pattern" '/AUDIT: .*bench-mark/ { n = b = 0 } { b += length($0) + 1 } $0 ~ p { n++ } END { print n + 0, b + 0 }' "$work/$v/data/log/postgresql.log")
        size0=0
    fi
    rm -f "$work/$v/data/log/postgresql.log"

    local derived
    derived=$(awk -v hz="$ticks" -v tx="${transactions:-0}" -v busy=$(( busy1 - busy0 )) -v steal=$(( steal1 - steal0 )) -v all=$(( all1 - all0 )) \
        -v be=$(( backends1 - backends0 )) -v bg=$(( background1 - background0 )) -v pb="$user $system" 'BEGIN {
            split(pb, p, " "); pgbench = p[1] + p[2]; us = 1e6 / hz
            if (all < 1) all = 1
            other = busy - be - bg - pgbench * hz; if (other < 0) other = 0
            printf "%.1f,%.1f,%.1f,", 100 * busy / all, 100 * other / all, 100 * steal / all
            if (tx > 0) printf "%.2f,%.2f,%.2f", be * us / tx, bg * us / tx, pgbench * 1e6 / tx; else printf ",,"
        }')
    error=$(tr -c '[:alnum:] :._()-' ' ' <<<"$error" | sed 's/ *$//')
    echo "$round,$w,$v,$position,$tps,$transactions,$failed,$seconds,$derived,$(( wal1 - wal0 )),$(( size1 - size0 )),$expected,$found,$window,$window_found,$drain,$error" >>"$work/raw/rounds.csv"
    printf '  %-19s %10s tps%s%s\n' "$v" "${tps%.*}" "${found:+   recorded $found of ${expected:-?}}" "${error:+   $error}" >&2
}

# ---- the run -----------------------------------------------------------------------------------------------------

setup
read -ra active_list <<<"$active"
read -ra workload_list <<<"$workloads"
total=$(( rounds * ${#active_list[@]} * ${#workload_list[@]} ))
say "bench: $total measurements of $seconds s, $clients clients, $jobs pgbench threads, $cores cores: about $(( total * (seconds + warmup + 2) / 60 + 1 )) minutes"

load_before=$(cut -d ' ' -f 1-3 /proc/loadavg)
echo "$csv_header" >"$work/raw/rounds.csv"
"$python" "$here/report.py" plan "$rounds" "$seed" "$workloads" "$active" >"$work/raw/plan"
last=''
while read -r round w v position <&3; do
    [[ $last == "$round $w" ]] || say "round $round of $rounds, $w"
    last="$round $w"
    measure "$round" "$w" "$v" "$position" 3<&-
done 3<"$work/raw/plan"

{
    echo "date=$(date -u '+%Y-%m-%d %H:%M UTC')"
    echo "cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)"
    echo "cores=$cores"
    echo "memory=$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
    echo "kernel=$(uname -srm)"
    echo "load=$load_before before, $(cut -d ' ' -f 1-3 /proc/loadavg) after"
    echo "postgresql=$server_version"
    echo "pgaudit=${pgaudit_version:-not installed}"
    echo "pg_warden=${warden_version:+$warden_version${warden_commit:+ (commit $warden_commit)}}"
    echo "rounds=$rounds"; echo "seconds=$seconds"; echo "warmup=$warmup"; echo "scale=$scale"
    echo "clients=$clients"; echo "jobs=$jobs"; echo "seed=$seed"
    echo "variants=$variants"; echo "workloads=$workloads"
    for v in "${!skipped[@]}"; do echo "skipped.$v=${skipped[$v]}"; done
    for w in $workloads; do echo "options.$w=pgbench $(workload_options "$w") -c $clients -j $jobs -T $seconds"; done
    common_conf | sed 's/^/common=/'
    for v in $active; do variant_conf "$v" | sed "s/^/conf.$v=/"; done
    for c in ${fail_checks[@]+"${fail_checks[@]}"}; do echo "failed=$c"; done
} >"$work/raw/run.txt"

# Only a finished run replaces earlier results.
mkdir -p "$out/results"
cp "$work/raw/rounds.csv" "$work/raw/run.txt" "$out/results/"
rc=0
"$python" "$here/report.py" report "$out/results/run.txt" "$out/results/rounds.csv" "$out/RESULTS.md" || rc=$?
say "bench: written to RESULTS.md and results/ (in bench/ or BENCH_OUT)"
exit "$rc"
