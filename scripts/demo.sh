#!/usr/bin/env bash
# Plays two recorded bootstraps, one a region, through the adapter into a server of its own.
# DEMO_ADDR: where the server listens. DEMO_SPEED: times as fast as it happened, or max. DEMO_ONCE: stop when it is over.
set -euo pipefail
cd "$(dirname "$0")/.."
addr=${DEMO_ADDR:-127.0.0.1:8080} speed=${DEMO_SPEED:-10} flow=bootstrap
url=http://$addr
recordings=products/openova-flow/adapter-flux/testdata/recordings

FLOW_SERVER_LOG_LEVEL=warn bin/openova-flow-server --listen-addr="$addr" &
server=$!
player=
trap 'kill $player $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
until bin/openova-flow-server healthcheck --listen-addr="$addr" 2>/dev/null; do
	kill -0 $server 2>/dev/null || { echo "The server did not start; is $addr taken? Choose another: make demo DEMO_ADDR=127.0.0.1:8090" >&2; exit 1; }
	sleep 0.1
done

cat <<EOF

  OpenovaFlow is at   $url/?flow=$flow

  Two regions come up there now, $speed times as fast as it was recorded: 24 releases in fsn1, 23 in hel1. Look for
    - what waits and for what: hardly anything works in the first seconds, everything waits for bp-cilium
    - fsn1/bp-seaweedfs: fails to install twice, holds up loki, mimir, tempo, harbor and grafana, is repaired
    - hel1/bp-powerdns: is rejected until it stalls, holds up external-dns, is repaired; loki is suspended for a while
    - fsn1/bp-keycloak: an upgrade that fails, rolls back and is repaired

  The same as text:   curl $url/v1/flows/$flow/snapshot
                      curl -N $url/v1/flows/$flow/stream

EOF
rebase=--rebase
[ "$speed" != max ] || rebase=
# It stays, so that the regions are heard of, and says when all has been played.
exec 3< <(FLOW_SERVER_URL=$url FLOW_ID=$flow LOG_LEVEL=warn exec bin/openova-flow-adapter-flux replay --stay --speed "$speed" $rebase \
	fsn1=$recordings/kit-fsn1.jsonl hel1=$recordings/kit-hel1.jsonl)
player=$!
read -r <&3 || exit 1
bin/openova-flow-server wait --url "$url" --flow $flow --settle 0s --timeout 10s
if [ -z "${DEMO_ONCE:-}" ]; then
	echo "It is over; the server goes on at $url/?flow=$flow until Ctrl-C."
	wait $server
fi
