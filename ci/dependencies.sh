#!/usr/bin/env bash
# Installs what a machine with only the Swift toolchain lacks: PostgreSQL 15, its headers and its client library, from
# Debian. Does nothing where all is there; says what to install where it may not do so itself.
set -euo pipefail

pg_config=${PG_CONFIG:-pg_config}

missing=()
if ! command -v "$pg_config" >/dev/null 2>&1 || [ ! -f "$("$pg_config" --includedir-server)/postgres.h" ]; then
    missing+=(postgresql-server-dev-15)
fi
if ! command -v "$pg_config" >/dev/null 2>&1 || [ ! -x "$("$pg_config" --bindir)/initdb" ]; then
    missing+=(postgresql-15)
fi
[ -f "$("$pg_config" --includedir 2>/dev/null || echo /usr/include/postgresql)/libpq-fe.h" ] || missing+=(libpq-dev)
command -v make >/dev/null 2>&1 || missing+=(make)
command -v pkg-config >/dev/null 2>&1 || missing+=(pkg-config)
command -v strip >/dev/null 2>&1 || missing+=(binutils)
# compiles the translations, and checks that they have every text
command -v msgfmt >/dev/null 2>&1 || missing+=(gettext)
# the C++ runtime that the static Swift runtime is linked with
command -v g++ >/dev/null 2>&1 || missing+=(g++)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "pg_warden needs packages that are not installed: ${missing[*]}" >&2
    echo "Install them (Debian: apt-get install ${missing[*]}) and run make again." >&2
    exit 1
fi
echo "Installing from Debian: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
