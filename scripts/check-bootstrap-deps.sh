#!/usr/bin/env bash
# Compares the bootstrap kit with scripts/expected-bootstrap-deps.yaml. Needs only Go; works from any directory.
#   check-bootstrap-deps.sh [--kit-dir DIR] [--expected FILE] [--json]
# Exit code: 0 fine, 1 drift, 2 cycle, 3 invalid arguments or input, or the check can't be built.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
# go run would turn every exit code into 1.
if ! GOWORK=off GOFLAGS=-mod=readonly go -C "$root/tools/bootstrapdeps" build -o "$work/bootstrapdeps" .; then
  exit 3
fi
status=0
"$work/bootstrapdeps" --kit-dir "$root/clusters/_template/bootstrap-kit" --expected "$root/scripts/expected-bootstrap-deps.yaml" "$@" || status=$?
exit "$status"
