#!/usr/bin/env bash
# Runs every fuzz target for a time such as 60s each.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off
for module in products/openova-flow/server products/openova-flow/adapter-flux; do
	while IFS=: read -r file _ line; do
		target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
		(cd $module && go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" "./$(dirname "${file#"$module"/}")")
	done < <(grep -rnE --include='*_test.go' '^func Fuzz' $module)
done
