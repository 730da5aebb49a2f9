#!/usr/bin/env bash
# The runner behind `make fuzz`: the core's functions with arbitrary facts, policies, texts and ring memory, guided by
# coverage (libFuzzer), with the address sanitizer and its leak detector. What falls out is a file in FUZZ_OUT; as a line
# of Tests/FuzzCases/corpus.txt it becomes a case of the ordinary tests.
#
#   SECONDS_TO_RUN=600 ci/fuzz.sh             fuzzes
#   ci/fuzz.sh FILE…                          runs single inputs again
#
# Environment: SWIFTC; FUZZ_JOBS (1); FUZZ_OUT, a directory that keeps the corpus and what falls out; FUZZ_SANITIZE
# (address), empty for none, which is faster.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
seconds=${SECONDS_TO_RUN:-600}
out=${FUZZ_OUT:-$root/.build/fuzz}
sanitize=fuzzer${FUZZ_SANITIZE-,address}
mkdir -p "$out/corpus"

"${SWIFTC:-swiftc}" -O -parse-as-library -wmo -module-name Interceptor -sanitize="$sanitize" -I Sources/Contract/include \
    -Xcc -fmodule-map-file="$root/ci/contract.modulemap" -o "$out/fuzzer" \
    Sources/Interceptor/*.swift Tests/FuzzCases/*.swift Tests/Fuzzer/*.swift

if (($# > 0)); then exec "$out/fuzzer" "$@"; fi

number=0
while read -r line; do
    [[ -z $line || $line == \#* ]] || printf '%s' "$line" | python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' \
        >"$out/corpus/committed-$((number += 1))"
done <Tests/FuzzCases/corpus.txt

# The memory of one input is bounded: what goes beyond it grows.
# Swift's own crash report would read beyond what the sanitizer allows.
export SWIFT_BACKTRACE=enable=no
cd "$out"
./fuzzer -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -malloc_limit_mb=512 -timeout=20 -print_final_stats=1 \
    -jobs="${FUZZ_JOBS:-0}" -workers="${FUZZ_JOBS:-0}" -artifact_prefix="$out/" corpus
