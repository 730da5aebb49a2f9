#!/usr/bin/env bash
# Creates the shop and loads its data into an empty database, all or nothing.
#
#   demo/load.sh [psql options]        for instance: demo/load.sh -h /tmp -U postgres -d demo
#
# Environment: PSQL (default psql).
set -euo pipefail

CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")"
exec "${PSQL:-psql}" -X -q -o /dev/null -v ON_ERROR_STOP=1 "$@" --single-transaction -f schema.sql -f load.sql
