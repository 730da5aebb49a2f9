#!/usr/bin/env bash
# Compiles every C file of the shim, with warnings as errors, against the
# server headers of each supported PostgreSQL major version.
#
#   ci/headers-check.sh            check (gets the headers first when missing)
#   ci/headers-check.sh --fetch    only get the headers and print where they are
#
# Version 15's headers are the machine's own (postgresql-server-dev-15). The
# newer ones come from newer Debian suites and are never installed: apt gets
# the packages through a private root (own sources, lists, cache), verified as
# always by Debian's archive keyring, and they are unpacked in .build/headers,
# where later runs find them without a network. Delete that folder to renew.
#
# A newer server's headers describe a newer libc (they leave strlcpy to glibc
# 2.38, for one), so that suite's libc headers are unpacked with them and serve
# as the compiler's sysroot. Headers of other libraries come from the machine.
#
# Environment: CC (default gcc, else clang), HEADERS_CFLAGS (more flags).
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.build/headers
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

versions=(15 17 18)
# Debian suites that carry the version, tried in this order.
declare -A suites=([15]="bookworm" [17]="trixie" [18]="forky sid")

die() { echo "headers-check: $*" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"        # apt downloads as its own user, not as root

# --- getting the headers ----------------------------------------------------

# The machine's own Debian mirror, as its apt configuration names it.
mirror() {
    local codename
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(RELEASE) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        awk -v c="$codename" 'uri == "" && ($1 == c || $2 == c) { uri = $3 }
                              END { print uri; exit uri == "" }'
}

# private_apt DIR SUITE: lays a private apt root in DIR and reads SUITE's lists.
private_apt() {
    local dir=$1 suite=$2 uri
    uri=$(mirror) || { echo "no Debian mirror in this machine's apt configuration" >&2; return 1; }
    [[ -r $keyring ]] || { echo "$keyring is missing (package debian-archive-keyring)" >&2; return 1; }
    mkdir -p "$dir"/{lists/partial,cache/archives/partial,debs}
    : >"$dir/status"
    echo "deb [signed-by=$keyring] $uri $suite main" >"$dir/sources.list"
    apt_options=(
        -o Dir::Etc::sourcelist="$dir/sources.list"
        -o Dir::Etc::sourceparts=/dev/null
        -o Dir::Etc::preferences=/dev/null
        -o Dir::Etc::preferencesparts=/dev/null
        -o Dir::State::lists="$dir/lists"
        -o Dir::State::status="$dir/status"
        -o Dir::Cache="$dir/cache"
        -o Acquire::Languages=none
        -o Acquire::Retries=3
        -o Acquire::AllowInsecureRepositories=false
        -o Acquire::AllowDowngradeToInsecureRepositories=false
        -o APT::Get::AllowUnauthenticated=false
    )
    if [[ $(id -u) == 0 ]] && id _apt >/dev/null 2>&1; then
        chown _apt "$dir/debs"
    fi
    apt-get -qq "${apt_options[@]}" --error-on=any update
}

# download VERSION SUITE: unpacks SUITE's headers in the cache, or fails.
download() {
    local version=$1 suite=$2 dir=$work/$1-$2 deb
    local packages=("postgresql-server-dev-$version" libc6-dev linux-libc-dev libcrypt-dev)
    private_apt "$dir" "$suite" || return 1
    (cd "$dir/debs" && apt-get -qq "${apt_options[@]}" download "${packages[@]}") || return 1

    rm -rf "${cache:?}/$version" "$cache/$version.new"
    mkdir -p "$cache/$version.new"
    for deb in "$dir"/debs/*.deb; do
        dpkg-deb -x "$deb" "$cache/$version.new" || return 1
        dpkg-deb --show --showformat "$suite \${Package} \${Version}\n" "$deb"
    done >"$dir/origin" || return 1
    # Only whole trees get their final name.
    mv "$dir/origin" "$cache/$version.new/ORIGIN" && mv "$cache/$version.new" "$cache/$version"
}

# is_version DIR VERSION: DIR holds that version's server headers.
is_version() {
    [[ -f $1/postgres.h ]] && grep -qs "^#define PG_MAJORVERSION_NUM $2\$" "$1/pg_config.h"
}

# locate VERSION: sets server (its include folder) and sysroot (empty when the
# headers are the machine's own).
locate() {
    local version=$1
    server=/usr/include/postgresql/$version/server sysroot=
    is_version "$server" "$version" && return
    sysroot=$cache/$version server=$cache/$version/usr/include/postgresql/$version/server
    is_version "$server" "$version"
}

obtain() {
    local version=$1 suite log=$work/log.$1
    locate "$version" && return
    mkdir -p "$cache"
    if [[ $version == 15 && $(id -u) == 0 ]]; then
        echo "headers-check: installing postgresql-server-dev-15" >&2
        { apt-get -qq update &&
            DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
                postgresql-server-dev-15; } >>"$log" 2>&1 || true
        locate "$version" && return
    fi
    for suite in ${suites[$version]}; do
        echo "headers-check: getting postgresql-server-dev-$version from Debian $suite" >&2
        download "$version" "$suite" >>"$log" 2>&1 && locate "$version" && return
    done
    cat "$log" >&2
    die "PostgreSQL $version: its server headers could not be had"
}

# --- compiling --------------------------------------------------------------

mode=${1:-check}
[[ $mode == check || $mode == --fetch ]] || die "usage: $0 [--fetch]"

if [[ $mode == check ]]; then
    compiler=${CC:-$(command -v gcc || command -v clang)} || die "no C compiler"
    sources=()
    for target in CShim Contract; do
        [[ -d $root/Sources/$target ]] || continue
        while IFS= read -r -d '' file; do sources+=("$file"); done \
            < <(find "$root/Sources/$target" -name '*.c' -type f -print0 | sort -z)
    done
    ((${#sources[@]})) || die "no C file in Sources/CShim or Sources/Contract"
fi

# One run at a time fills the cache.
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
for version in "${versions[@]}"; do obtain "$version"; done
exec 9>&-

failed=()
for version in "${versions[@]}"; do
    locate "$version"
    if [[ $mode == --fetch ]]; then
        echo "PostgreSQL $version: $server"
        continue
    fi
    flags=(-std=gnu11 -Wall -Wextra -Werror -O2 -fPIC -fwrapv -fno-strict-aliasing
        -I "$root/Sources/Contract/include" -I "$root/Sources/CShim/include" -I "$root/Sources/CShim"
        -isystem "$server")
    if [[ -n $sysroot ]]; then
        multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
        flags+=("--sysroot=$sysroot" -idirafter "/usr/include/$multiarch" -idirafter /usr/include)
    fi
    # -S, not -fsyntax-only: some warnings come only with the optimizer.
    # shellcheck disable=SC2086
    if printf '%s\0' "${sources[@]}" |
        xargs -0 -n 1 -P "$(nproc)" $compiler "${flags[@]}" ${HEADERS_CFLAGS:-} -S -o /dev/null; then
        echo "PostgreSQL $version: ${#sources[@]} files, no warnings"
    else
        echo "PostgreSQL $version: FAILED" >&2
        failed+=("$version")
    fi
done

((${#failed[@]} == 0)) || die "warnings or errors with PostgreSQL ${failed[*]}"
