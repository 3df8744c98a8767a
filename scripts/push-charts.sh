#!/usr/bin/env bash
# Pushes the charts of make charts to an OCI registry, and prints "chart REF@DIGEST" for each, to be signed.
# Usage: scripts/push-charts.sh REGISTRY/FOLDER [flags of helm push]
set -euo pipefail
cd "$(dirname "$0")/.."
to=$1
shift
for chart in bin/charts/*.tgz; do
	name=$(bin/helm show chart "$chart" | sed -n 's/^name: //p')
	digest=$(bin/helm push "$chart" "oci://$to" "$@" 2>&1 | tee /dev/stderr | sed -n 's/^Digest: //p')
	[[ $digest == sha256:* ]] || { echo "helm push of $name printed no digest" >&2; exit 1; }
	echo "chart $to/$name@$digest"
done
