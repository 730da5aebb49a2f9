# Sourced by the scripts that need private servers: compat.sh, sqlsmith.sh. Makes $work, a directory that goes when the
# script ends, with the servers in it.

export LC_ALL=C
pg_config=${PG_CONFIG:-pg_config}
bindir=$("$pg_config" --bindir) || exit 1

# The caller's PostgreSQL settings are about other servers. (PG_CONFIG and PG_SOURCE are not among those.)
while read -r variable; do unset "$variable"; done < <(compgen -v | grep -E '^PG[A-Z]+$')

# In /tmp: a socket's path has room for 107 bytes.
work=$(mktemp -d /tmp/warden_run.XXXXXX)
chmod 755 "$work"
[[ $(id -u) != 0 ]] || chown postgres "$work"

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
die() { say "$*"; exit 1; }

# Servers refuse to run as root.
as_server_user() {
    if [[ $(id -u) == 0 ]]; then setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; else "$@"; fi
}

clean_up() {
    local data
    for data in "$work"/*/data; do
        [[ ! -f $data/postmaster.pid ]] || as_server_user "$bindir/pg_ctl" -D "$data" -m immediate -s stop
    done
    rm -rf "$work"
}
trap clean_up EXIT

# start_cluster PLACE SETTING…: a fresh cluster in PLACE, that listens on a socket in PLACE and logs to PLACE/server.log.
# compute_query_id: as the server's own tests set it where an extension asks for identifiers: EXPLAIN does not show them.
start_cluster() {
    local place=$1
    shift
    as_server_user mkdir -p "$place" &&
        as_server_user "$bindir/initdb" -D "$place/data" -U postgres -A trust --no-locale --encoding=UTF8 --no-sync \
            --no-instructions >/dev/null || return 1
    printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$place'" "fsync = off" "max_worker_processes = 16" \
        "max_prepared_transactions = 10" "compute_query_id = regress" "log_line_prefix = '%m [%p] %e %q%a '" "$@" \
        >>"$place/data/postgresql.conf"
    as_server_user "$bindir/pg_ctl" -D "$place/data" -l "$place/server.log" -w -s start
}

stop_cluster() { as_server_user "$bindir/pg_ctl" -D "$1/data" -m fast -w -s stop; }

# sql PLACE DATABASE TEXT
sql() { "$bindir/psql" -XAqt -h "$1" -U postgres -d "$2" -v ON_ERROR_STOP=1 -c "$3"; }

# log_is_clean LOG: no crash, whatever else was said.
log_is_clean() { ! grep -nE 'PANIC:|TRAP:|was terminated by signal|could not (write|record).*audit' "$1"; }

# What the log has of internal errors, each once, without its numbers.
internal_errors() {
    grep -E ' XX[0-9]{3} .*(ERROR|FATAL|WARNING): ' "$1" | sed -E 's/.*(ERROR|FATAL|WARNING): /\1: /; s/[0-9]+/N/g' | sort -u
}
