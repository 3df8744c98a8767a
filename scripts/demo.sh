#!/usr/bin/env bash
# Replays two recorded bootstraps, one for each region, through the adapter into a new server.
# DEMO_ADDR: address of the server. DEMO_SPEED: speed factor, or max. DEMO_ONCE: stop at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
addr=${DEMO_ADDR:-127.0.0.1:8080} speed=${DEMO_SPEED:-10} flow=bootstrap
url=http://$addr
recordings=products/openova-flow/adapter-flux/testdata/recordings

if bin/openova-flow-server healthcheck --listen-addr="$addr" 2>/dev/null; then
	echo "Another server answers at $addr. Choose another address: make demo DEMO_ADDR=127.0.0.1:8090" >&2
	exit 1
fi
FLOW_SERVER_LOG_LEVEL=warn bin/openova-flow-server --listen-addr="$addr" &
server=$!
player=
trap 'kill $player $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
until bin/openova-flow-server healthcheck --listen-addr="$addr" 2>/dev/null; do
	kill -0 $server 2>/dev/null || { echo "The server did not start; is $addr taken? Choose another: make demo DEMO_ADDR=127.0.0.1:8090" >&2; exit 1; }
	sleep 0.1
done

pace="$speed times as fast"
[ "$speed" != max ] || pace="as fast as possible"
cat <<EOF

  OpenovaFlow is at   $url/?flow=$flow

  It replays five and a half minutes of a recorded bootstrap, $pace: 24 releases in fsn1, 23 in hel1. Look at
    - what waits for what: in the first seconds nearly everything waits for bp-cilium
    - fsn1/bp-seaweedfs: its install fails twice, blocks loki, mimir, tempo, harbor and grafana, and is repaired
    - hel1/bp-powerdns: is rejected until it stalls, blocks external-dns, and is repaired; loki is suspended for a while
    - hel1/bp-valkey: is deleted, so 46 releases are left
    - fsn1/bp-keycloak: an upgrade fails, rolls back, and is repaired

  The same as text:   curl $url/v1/flows/$flow/snapshot
                      curl -N $url/v1/flows/$flow/stream

EOF
rebase=--rebase
[ "$speed" != max ] || rebase=
# --stay keeps renewing the claims of the regions; the first line of output comes at the end of the recordings.
exec 3< <(FLOW_SERVER_URL=$url FLOW_ID=$flow LOG_LEVEL=warn exec bin/openova-flow-adapter-flux replay --stay --speed "$speed" $rebase \
	fsn1=$recordings/kit-fsn1.jsonl hel1=$recordings/kit-hel1.jsonl)
player=$!
read -r <&3 || exit 1
bin/openova-flow-server wait --url "$url" --flow $flow --settle 0s --timeout 10s
if [ -z "${DEMO_ONCE:-}" ]; then
	echo "The replay is over. The server keeps running at $url/?flow=$flow until Ctrl-C."
	wait $server
fi
