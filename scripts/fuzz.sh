#!/usr/bin/env bash
# Runs every fuzz target for a time such as 60s, on one processor, starting from the kept corpus. Failing inputs are written to testdata/fuzz, where
# go test finds them. With FUZZ_KEEP=1 new inputs are added to the corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off GOMAXPROCS=1
corpus=$PWD/test/fuzz/corpus.tar.gz found=$(go env GOCACHE)/fuzz # Go reads and writes inputs there
mkdir -p "$found"
tar -xzf "$corpus" -C "$found" --skip-old-files
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The fuzzer of Go before 1.27 sometimes fails without an input at the end of its time (go.dev/issue/75804).
only_late() { grep -qx '    context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; }
for module in products/openova-flow/server products/openova-flow/adapter-flux bench/fanout; do
	while IFS=: read -r file _ line; do
		target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
		# Full minimization of new inputs would take more time than the search for others.
		(cd $module && go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" -fuzzminimizetime 10x -parallel 1 "./$(dirname "${file#"$module"/}")") | tee "$log" || only_late
	done < <(grep -rnE --include='*_test.go' '^func Fuzz' $module || true)
done
if [ "${FUZZ_KEEP:-}" = 1 ]; then
	tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$found" github.com/openova-io/openova | gzip -9n > "$corpus"
fi
