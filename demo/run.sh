#!/usr/bin/env bash
# Shows pg_warden at work on a small shop, in a private cluster that other servers do not notice.
# Stops with an error as soon as something turns out otherwise than it says.
#
#   demo/run.sh [--transcript FILE]     --transcript: write the output there too, without what differs by machine
#
# pg_warden has to be installed (make install). The cluster runs on afterwards; demo/stop.sh removes it.
# Environment: PG_CONFIG (default pg_config), TMPDIR (default /tmp).
set -euo pipefail

here=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=demo/cluster.sh
source "$here/cluster.sh"

# --- the cluster ------------------------------------------------------------

check_installed() {
    local name
    for name in initdb pg_ctl psql; do
        [[ -x $bindir/$name ]] || die "no $name in $bindir (package postgresql-15)"
    done
    [[ -f $("$pg_config" --sharedir)/extension/pg_warden.control ]] || die "pg_warden is not installed; run make install"
    id "$server_user" >/dev/null 2>&1 || die "no user $server_user to run the server as"
    # The address of a Unix socket holds 107 bytes.
    ((${#socket} < 90)) || die "the path $socket is too long for a socket; set TMPDIR to a shorter one"
    [[ $socket != *[\'\",\\]* ]] || die "the path $socket has a quote, comma or backslash in it; set TMPDIR to another"
}

create_cluster() {
    mkdir -m 0700 -- "$base"
    touch "$marker"
    mkdir -m 0700 "$socket"
    chown -R "$server_user" "$base"
    as_server test -w "$socket" || die "user $server_user cannot enter $base; set TMPDIR to a folder that it can"

    # Whoever can enter the folder may connect as anyone: that is its owner and root.
    as_server "$bindir/initdb" -D "$data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-instructions \
        >"$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; die "initdb failed"; }
    as_server tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '"$socket"'
shared_preload_libraries = 'pg_warden'
shared_buffers = 32MB
max_connections = 20
timezone = 'UTC'
CONF
    as_server "$bindir/pg_ctl" -D "$data" -l "$base/server.log" -w -s start || die "the server did not start"
    export PGHOST=$socket
    "$bindir/psql" -X -q -U postgres -d postgres -c 'CREATE DATABASE demo'
    export PGDATABASE=demo
}

# --- sessions: statements, and what is expected of them ----------------------
# session ROLE opens a list of steps, expect_… adds to it, run carries them out on one connection and checks each.

refusals=0

session() {
    role=$1
    statements=() checks=() states=() patterns=() limits=()
}

# step CHECK SQLSTATE PATTERN [--first LINES] STATEMENT
step() {
    local limit=0
    checks+=("$1") states+=("$2") patterns+=("$3")
    shift 3
    if [[ $1 == --first ]]; then
        limit=$2
        shift 2
    fi
    limits+=("$limit") statements+=("$1")
}

expect_ok() { step anything 00000 "" "$@"; }
# expect_text REGEX …: succeeds and prints it.
expect_text() { step text 00000 "$@"; }
# Succeeds, and prints real personal data; succeeds, and prints none.
expect_real() { step real 00000 "" "$@"; }
expect_masked() { step masked 00000 "" "$@"; }
# expect_refused SQLSTATE GUARD …: fails with that code, and names that guard. The code alone would not do: 42501 is
# also what a missing privilege gives.
expect_refused() {
    refusals=$((refusals + 1))
    step text "$@"
}

run() {
    local arguments=() statement number
    for statement in "${statements[@]}"; do
        arguments+=(-c "$statement" -c '\echo @@ :SQLSTATE')
    done
    rm -f "$work"/step.*
    # The sessions below call themselves "demo", to be told from the set-up in the audit.
    PGAPPNAME=demo "$bindir/psql" -X -P pager=off -P null=- -v VERBOSITY=verbose -U "$role" "${arguments[@]}" \
        >"$work/output" 2>&1 </dev/null || {
        cat "$work/output" >&2
        die "the session of $role broke off"
    }
    # LOCATION is a line of the server's source code, of no use here.
    awk -v file="$work/step." '
        { out = file (steps + 0) }
        /^@@ / { printf "" >out; close(out); print $2 >(out ".state"); close(out ".state"); steps++; next }
        !/^LOCATION: / { print >out }' "$work/output"
    for number in "${!statements[@]}"; do
        show "$number"
        check "$number"
    done
    # Gives the server time to record that this session ended before the next one begins: the numbers in the audit
    # then come out the same in each run.
    sleep 0.1
}

show() {
    local file=$work/step.$1 limit=${limits[$1]} lines terminator=';'
    [[ ${statements[$1]} != \\* ]] || terminator=
    printf '%s=> %s\n' "$role" "${statements[$1]}$terminator"
    lines=$(wc -l <"$file")
    if ((limit && lines > limit)); then
        head -n "$limit" "$file"
        echo "... ($((lines - limit)) more lines)"
    else
        cat "$file"
    fi
    # psql ends a table with an empty line, and nothing else.
    [[ -z $(tail -n 1 "$file") && $lines -gt 0 ]] || echo
}

check() {
    local file=$work/step.$1 state
    state=$(cat "$file.state")
    [[ $state == "${states[$1]}" ]] ||
        unexpected "$1" "SQLSTATE $state instead of ${states[$1]}"
    case ${checks[$1]} in
        text)
            grep -qE -- "${patterns[$1]}" "$file" || unexpected "$1" "nothing in the answer matches ${patterns[$1]}"
            ;;
        real)
            grep -qFf "$work/real_values" "$file" || unexpected "$1" "no real value in the answer"
            ;;
        masked)
            (($(wc -l <"$file") >= 5)) || unexpected "$1" "too few rows"
            ! grep -qFf "$work/real_values" "$file" || unexpected "$1" "real values in the answer"
            ;;
    esac
}

unexpected() {
    die "UNEXPECTED, as $role: ${statements[$1]}: $2"
}

heading() {
    printf -- '--- %s ---\n\n' "$1"
}

# --- the show ---------------------------------------------------------------

# PostgreSQL's own set-up, then the extension, then the policy: in this order, as in a database that is in use.
set_up() {
    local set_up=("$bindir/psql" -X -q -U postgres -v ON_ERROR_STOP=1)
    heading "A shop: 10,000 customers, 25,000 orders; nothing of pg_warden yet"
    echo '$ demo/load.sh'
    PSQL=$bindir/psql "$here/load.sh" -U postgres
    echo
    "${set_up[@]}" -At -o "$work/real_values" -c "
        SELECT DISTINCT value FROM shop.customers, unnest(ARRAY[full_name, email, phone, card_number, note]) AS value
         WHERE value <> ''"
    (($(wc -l <"$work/real_values") > 30000)) || die "the real values to look for are missing"

    heading "pg_warden comes in: one statement, and a policy"
    echo "\$ psql -U postgres -c 'CREATE EXTENSION pg_warden'"
    "${set_up[@]}" -c 'CREATE EXTENSION pg_warden'
    echo "\$ psql -U postgres -f demo/policy.sql"
    "${set_up[@]}" -o /dev/null -f "$here/policy.sql"
    sed -E '/^(--|$)/d; s/^/    /' "$here/policy.sql"
    echo
}

analyst_reads_masks() {
    heading "(a) The analyst reads customers: masked by every road"
    session analyst
    expect_masked "SELECT id, full_name, email, phone, card_number, note FROM shop.customers ORDER BY id LIMIT 5"
    expect_masked "SELECT * FROM shop.customer_contacts ORDER BY id LIMIT 5"
    expect_masked --first 5 "COPY (SELECT * FROM shop.customers WHERE country = 'Ireland' ORDER BY id) TO STDOUT"
    expect_masked --first 5 "COPY shop.customers TO STDOUT"
    run
}

owner_reads_values() {
    heading "(b) The owner reads the same: real"
    session shop_owner
    expect_real "SELECT id, full_name, email, phone, card_number, note FROM shop.customers ORDER BY id LIMIT 5"
    run
}

agent_drops_a_table() {
    heading "(c) The agent may not drop a table, not even its own"
    session agent_copilot
    expect_text agent_copilot \
        "SELECT schemaname, tablename, tableowner FROM pg_tables WHERE tablename = 'order_drafts'"
    expect_refused 42501 no-agent-ddl "DROP TABLE shop.order_drafts"
    expect_text '^ *[1-9][0-9]*$' "SELECT count(*) AS drafts_still_there FROM shop.order_drafts"
    run
}

agent_deletes_all() {
    heading "(d) DELETE without a condition is refused, by whatever road; with one it works"
    session agent_copilot
    expect_refused 42501 whole-table-dml "DELETE FROM shop.orders"
    # shellcheck disable=SC2016  # the dollar quotes are SQL
    expect_refused 42501 whole-table-dml 'DO $$ BEGIN DELETE FROM shop.orders; END $$'
    expect_ok "PREPARE purge AS DELETE FROM shop.orders"
    expect_refused 42501 whole-table-dml "EXECUTE purge"
    expect_text '^DELETE 1$' "DELETE FROM shop.orders WHERE id = 21"
    expect_text '^ *24999$' "SELECT count(*) AS orders_left FROM shop.orders"
    run
}

owner_and_superuser_are_bound() {
    heading "(e) Owners and superusers are bound too"
    session shop_owner
    expect_refused WD001 destructive-ddl "TRUNCATE shop.customers CASCADE"
    expect_text '^ *10000$' "SELECT count(*) AS customers_still_there FROM shop.customers"
    run
    session postgres
    # Should it run after all, it does no harm.
    expect_refused 42501 server-escape "COPY shop.customers TO PROGRAM 'cat >/dev/null'"
    expect_refused 42501 server-escape "ALTER SYSTEM SET log_statement = 'none'"
    run
}

owner_works_as_ever() {
    heading "(f) The owner works as ever"
    session shop_owner
    expect_text '^INSERT 0 1$' "INSERT INTO shop.customers (full_name, email, phone, card_number, city, country, signed_up)
VALUES ('Ada Example', 'ada@example.com', '+1 202-555-0100', '4242424242424242', 'Boston', 'United States', '2025-09-30')
RETURNING id"
    expect_text '^INSERT 0 1$' "INSERT INTO shop.orders (customer_id, placed_on, status, item, quantity, total)
VALUES (10001, '2025-09-30', 'placed', 'desk lamp', 1, 34.90)
RETURNING id"
    expect_text '^UPDATE 1$' "UPDATE shop.orders SET status = 'paid' WHERE customer_id = 10001"
    expect_text 'ada@example.com.*paid' "SELECT c.full_name, c.email, o.item, o.status
  FROM shop.customers c JOIN shop.orders o ON o.customer_id = c.id
 WHERE c.id = 10001"
    expect_text '^CREATE INDEX$' "CREATE INDEX orders_status_idx ON shop.orders (status)"
    run
}

auditor_reads_the_record() {
    heading "(g) The auditor asks who did what, and whether they saw real values"
    session auditor
    expect_ok "SELECT warden.flush()"
    expect_text '\| blocked ' "SELECT seq, role_name AS role, command, decision, outcome, rows, guard,
       left(regexp_replace(statement, '\s+', ' ', 'g'), 60) AS statement
  FROM warden.audit_log
 WHERE event = 'statement' AND application_name = 'demo' AND role_name <> 'auditor'
 ORDER BY seq"
    expect_text 'analyst .*full_name' "SELECT l.seq, l.role_name AS role, a.relation, a.action, a.columns, a.masked_columns
  FROM warden.audit_log l JOIN warden.audit_access a USING (seq)
 WHERE l.application_name = 'demo' AND a.relation LIKE '%customers%'
 ORDER BY l.seq, a.relation, a.action"
    # Refused statements were rolled back; their records were not.
    expect_text '^ *t$' "SELECT count(*) >= $refusals AS every_refusal_recorded
  FROM warden.audit_log
 WHERE application_name = 'demo' AND decision IN ('blocked', 'approval_required')"
    expect_text '^ *t *\|' "SELECT * FROM warden.verify_audit()"
    # Aligned, the table would be as wide as today's values.
    expect_ok '\pset format unaligned'
    expect_ok "SELECT name, value, healthy FROM warden.status()"
    run
}

how_to_go_on() {
    heading "Go on yourself"
    echo "connect:  psql -h \"$socket\" -d demo -U analyst      (or agent_copilot, shop_owner, auditor, postgres)"
    echo "stop:     demo/stop.sh${TMPDIR:+      (with the same TMPDIR)}"
}

main() {
    create_cluster
    set_up
    analyst_reads_masks
    owner_reads_values
    agent_drops_a_table
    agent_deletes_all
    owner_and_superuser_are_bound
    owner_works_as_ever
    auditor_reads_the_record
    how_to_go_on
}

# What is left after this is the same on every machine and in each run, up to the numbers in warden.status().
without_machine() {
    sed -E -e "s|$socket|\$PGHOST|g" -e "s|$base|\$DEMO|g" -e 's| +\(with the same TMPDIR\)$||' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?/<time>/g'
}

# A server that nobody was told of should not stay; its files do, until the next run.
finish() {
    local status=$?
    if ((status)) && [[ -f $base/server.log ]]; then
        echo "demo: failed; the end of $base/server.log:" >&2
        tail -n 15 "$base/server.log" >&2
        stop_server
    fi
    rm -rf "$work"
    exit "$status"
}

transcript=
while (($#)); do
    case $1 in
        --transcript) transcript=${2:?--transcript needs a file}; shift 2 ;;
        *) die "usage: demo/run.sh [--transcript FILE]" ;;
    esac
done

check_installed
remove_cluster
work=$(mktemp -d)
trap finish EXIT
main | tee "$work/transcript"
[[ -z $transcript ]] || without_machine <"$work/transcript" >"$transcript"
