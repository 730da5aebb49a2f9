#!/usr/bin/env bash
# Stops the demo's cluster and removes it. TMPDIR and PG_CONFIG as for run.sh.
set -euo pipefail
# shellcheck source=demo/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
remove_cluster
