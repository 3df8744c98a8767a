#!/usr/bin/env bash
# Makes sure that there is a Chromium for the browser tests: CHROME_PATH, else /usr/bin/chromium. Run by root, it installs the latter with apt-get.
set -euo pipefail
chrome=${CHROME_PATH:-/usr/bin/chromium}
[ -x "$chrome" ] && exit 0
if [ -z "${CHROME_PATH:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
	[ -x "$chrome" ] && exit 0
fi
echo "The browser tests need Chromium at $chrome: install your distribution's package chromium, or set CHROME_PATH to one." >&2
exit 1
