#!/usr/bin/env bash
# The audit writer alone: how fast it empties the rings, against COPY of the same rows into a table of the same layout
# and indexes. The writer is stopped while records collect, then continued. EXTRA_INDEX, such as 'USING btree (session)', is
# made on both tables: what an index costs. Run as root or as the server's owner; pg_warden must be installed.
set -euo pipefail
export LC_ALL=C

pg_config=${PG_CONFIG:-pg_config}
for v in "${!PG@}"; do unset "$v"; done
bin=$("$pg_config" --bindir)
rounds=${BENCH_ROUNDS:-3}
each=${BENCH_TRANSACTIONS:-15000}
extra=${EXTRA_INDEX:-}

dir=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
[ "$(id -u)" = 0 ] && chown postgres "$dir"
finish() {
    as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap finish EXIT
sql() { as "$bin/psql" -h "$dir" -U postgres -qAtX -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }
cpu() { awk '{print $14, $15}' "/proc/$1/stat"; }
load() { as "$bin/pgbench" -h "$dir" -U postgres -S -M prepared -c 8 -j 2 -t "$1" gov >/dev/null 2>&1; }

as "$bin/initdb" -D "$dir/data" -A trust -U postgres --no-sync >/dev/null
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
shared_buffers = 512MB
autovacuum = off
checkpoint_timeout = 1h
max_wal_size = 8GB
min_wal_size = 2GB
max_connections = 30
CONF
start() { as "$bin/pg_ctl" -D "$dir/data" -o "$1" -w -l "$dir/log" start >/dev/null; }
start "-c shared_preload_libraries=pg_warden -c warden.spool_size=16MB"
sql postgres 'CREATE DATABASE bare'
sql postgres 'CREATE DATABASE gov'
as "$bin/pgbench" -h "$dir" -U postgres -i -s 5 -q gov >/dev/null 2>&1
sql gov 'CREATE EXTENSION pg_warden'
if [ -n "$extra" ]; then
    # nobody may do that to the audit while pg_warden is there
    as "$bin/pg_ctl" -D "$dir/data" -w stop >/dev/null
    start ""
    sql gov "CREATE INDEX ON warden.audit_record $extra"
    as "$bin/pg_ctl" -D "$dir/data" -w stop >/dev/null
    start "-c shared_preload_libraries=pg_warden -c warden.spool_size=16MB"
fi
load 2000
sql gov "SELECT warden.flush('60 s')" >/dev/null
columns=$(sql gov "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
                     FROM pg_attribute WHERE attrelid = 'warden.audit_record'::regclass AND attnum > 0")

for _ in $(seq "$rounds"); do
    writer=$(sql postgres "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_warden writer' AND datname = 'gov'")
    kill -STOP "$writer"
    load "$each"
    first=$(sql gov 'SELECT last_seq FROM warden.audit_chain')
    wal=$(sql postgres 'SELECT pg_current_wal_insert_lsn()')
    before="$(date +%s%N) $(cpu "$writer")"
    kill -CONT "$writer"
    last=$(sql gov "SELECT warden.flush('60 s')")
    after="$(date +%s%N) $(cpu "$writer")"
    bytes=$(sql postgres "SELECT pg_current_wal_insert_lsn() - '$wal'")
    echo "$before $after $((last - first)) $bytes" | awk '{
        printf "writer  %d records  %8.0f/s  cpu %.2f us (user %.2f, system %.2f)  WAL %.1f bytes\n", $7, $7 / (($4 - $1) / 1e9),
            ($5 + $6 - $2 - $3) * 1e4 / $7, ($5 - $2) * 1e4 / $7, ($6 - $3) * 1e4 / $7, $8 / $7}'

    sql gov "COPY (SELECT * FROM warden.audit_record WHERE seq > $first AND seq <= $last) TO STDOUT" >"$dir/rows"
    chmod 644 "$dir/rows"
    cat >"$dir/copy.sql" <<COPY
SET client_min_messages = error;
DROP TABLE IF EXISTS t;
CREATE TABLE t ($columns);
CREATE INDEX ON t USING brin (seq, at) WITH (pages_per_range = 16);
CREATE INDEX ON t (session, statement_no) WHERE event = 't';
${extra:+CREATE INDEX ON t $extra;}
SELECT pg_backend_pid() AS pid \gset
\setenv BACKEND :pid
\! echo "before \$(date +%s%N) \$(awk '{print \$14, \$15}' /proc/\$BACKEND/stat)"
COPY t FROM '$dir/rows';
\! echo "after \$(date +%s%N) \$(awk '{print \$14, \$15}' /proc/\$BACKEND/stat)"
SELECT 'rows ' || count(*) FROM t;
COPY
    chmod 644 "$dir/copy.sql"
    as "$bin/psql" -h "$dir" -U postgres -qAtX -d bare -f "$dir/copy.sql" | awk '
        $1 == "before" {t = $2; u = $3; s = $4}
        $1 == "after" {t = ($2 - t) / 1e9; u = $3 - u; s = $4 - s}
        $1 == "rows" {printf "COPY    %d rows     %8.0f/s  cpu %.2f us (user %.2f, system %.2f)\n", $2, $2 / t,
            (u + s) * 1e4 / $2, u * 1e4 / $2, s * 1e4 / $2}'
done
