#!/usr/bin/env bash
# Runs every fuzz target for a time such as 60s each, on one processor, from the corpus that is kept. What fails is left in testdata/fuzz, where
# go test finds it. With FUZZ_KEEP=1 the inputs that reached something new are kept as well.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off GOMAXPROCS=1
corpus=$PWD/test/fuzz/corpus.tar.gz found=$(go env GOCACHE)/fuzz # where Go looks for inputs and leaves new ones
mkdir -p "$found"
tar -xzf "$corpus" -C "$found" --skip-old-files
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The fuzzer of Go before 1.27 now and then fails when its time is up, without an input (go.dev/issue/75804). That is no finding.
only_late() { grep -qx '    context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; }
for module in products/openova-flow/server products/openova-flow/server-jetstream products/openova-flow/adapter-flux bench/fanout; do
	while IFS=: read -r file _ line; do
		target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
		# Making each input that is new as small as can be takes more time than looking for others.
		(cd $module && go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" -fuzzminimizetime 10x -parallel 1 "./$(dirname "${file#"$module"/}")") | tee "$log" || only_late
	done < <(grep -rnE --include='*_test.go' '^func Fuzz' $module || true)
done
if [ "${FUZZ_KEEP:-}" = 1 ]; then
	tar -c --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$found" github.com/openova-io/openova | gzip -9n > "$corpus"
fi
