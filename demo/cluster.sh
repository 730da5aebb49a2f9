# shellcheck shell=bash
# Where the demo's private cluster lives and who runs it; sourced by run.sh and stop.sh.

pg_config=${PG_CONFIG:-pg_config}

# The caller's PostgreSQL settings (PGHOST, PGOPTIONS, PGSERVICE …) are about other servers.
while read -r variable; do unset "$variable"; done < <(compgen -v | grep -E '^(PG|PSQL)')
export LC_ALL=C PGCLIENTENCODING=UTF8 PGTZ=UTC

base=$(CDPATH='' cd -- "${TMPDIR:-/tmp}" && pwd)/pg_warden_demo
data=$base/data
# shellcheck disable=SC2034  # run.sh uses it
socket=$base/socket
# Says that the folder is ours to remove, even when it holds no cluster yet.
marker=$base/.pg_warden_demo

die() {
    echo "demo: $*" >&2
    exit 1
}

bindir=$("$pg_config" --bindir) || die "no $pg_config; name it in PG_CONFIG"

# A server refuses to run as root.
server_user=$(id -un)
[[ $(id -u) != 0 ]] || server_user=postgres

# as_server COMMAND...: runs it as the cluster's owner, in a folder which that user can enter.
as_server() (
    cd /
    if [[ $(id -un) == "$server_user" ]]; then
        "$@"
    else
        runuser -u "$server_user" -- "$@"
    fi
)

is_running() {
    [[ -f $data/postmaster.pid ]] && as_server "$bindir/pg_ctl" -D "$data" status >/dev/null 2>&1
}

stop_server() {
    is_running || return 0
    as_server "$bindir/pg_ctl" -D "$data" -m fast -w -s stop ||
        as_server "$bindir/pg_ctl" -D "$data" -m immediate -w -s stop
}

# Others may write to the parent folder: a folder without our mark, or somebody else's, is left alone.
remove_cluster() {
    [[ -e $base || -L $base ]] || return 0
    [[ -d $base && ! -L $base && -f $marker && $(stat -c %U "$base") == "$server_user" ]] ||
        die "$base was not made by this demo for user $server_user; remove it, or set TMPDIR"
    stop_server
    rm -rf -- "$base"
}
