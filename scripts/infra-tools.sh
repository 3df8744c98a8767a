#!/usr/bin/env bash
# Prints the paths of the tools for the tests of infra/, as name=path. Puts missing ones into OPENOVA_FLOW_E2E_CACHE, else the user's cache:
#   tofu       OPENOVA_FLOW_TOFU, else tofu or terraform from PATH, else OpenTofu, built from its pinned module
#   providers  a mirror with the random provider, built from its pinned module, so that no registry is needed
#   cloud-init from PATH, else the distribution's package, unpacked: installed, it would run at this machine's next boot
set -euo pipefail
cache=$(realpath -m -- "${OPENOVA_FLOW_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openova-flow-e2e}")
cd "$(dirname "$0")/../test/install/cloudinit/tools"
export GOWORK=off CGO_ENABLED=0
mkdir -p "$cache"
tmp=$(mktemp -d "$cache/building-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# keep FOLDER NAME: moves a result into the cache. Of concurrent runs the first one wins.
keep() { mv -T "$1" "$cache/$2" 2>/dev/null || [ -d "$cache/$2" ]; }

# pinned MODULE: a name that changes with the module's pinned versions
pinned() { echo "$1-$(cat "$1/go.mod" "$1/go.sum" | sha256sum | cut -c1-8)"; }

tofu=${OPENOVA_FLOW_TOFU:-$(command -v tofu || command -v terraform || true)}
if [ -z "$tofu" ]; then
	name=$(pinned opentofu)
	if [ ! -d "$cache/$name" ]; then
		echo "building $name" >&2
		# Without optimization the build takes a quarter less time.
		(cd opentofu && go build -trimpath -gcflags='all=-N -l' -ldflags '-s -w' -o "$tmp/opentofu/tofu" github.com/opentofu/opentofu/cmd/tofu)
		keep "$tmp/opentofu" "$name"
	fi
	tofu=$cache/$name/tofu
fi

name=$(pinned random) version=3.6.0
if [ ! -d "$cache/$name" ]; then
	echo "building $name" >&2
	platform=$version/$(go env GOOS)_$(go env GOARCH)
	for registry in registry.opentofu.org registry.terraform.io; do
		mkdir -p "$tmp/random/$registry/hashicorp/random/$platform"
	done
	(cd random && go build -trimpath -ldflags '-s -w' -o "$tmp/provider" github.com/terraform-providers/terraform-provider-random)
	for registry in "$tmp"/random/*; do
		ln -f "$tmp/provider" "$registry/hashicorp/random/$platform/terraform-provider-random_v$version"
	done
	keep "$tmp/random" "$name"
fi
providers=$cache/$name

cloudinit=$(command -v cloud-init || true)
if [ -z "$cloudinit" ]; then
	name=cloud-init
	if [ ! -d "$cache/$name" ]; then
		echo "unpacking cloud-init" >&2
		command -v apt-get >/dev/null || { echo "The tests of infra/ need cloud-init: install your distribution's package." >&2; exit 1; }
		[ "$(id -u)" != 0 ] || apt-get update -qq >&2
		mkdir "$tmp/cloud-init" "$tmp/packages"
		# The package and its missing dependencies.
		packages=$(apt-get install --simulate --no-install-recommends cloud-init | awk '$1 == "Inst" { print $2 }')
		(cd "$tmp/packages" && apt-get download -qq -o APT::Sandbox::User=root $packages >&2)
		for package in "$tmp"/packages/*.deb; do dpkg-deb --extract "$package" "$tmp/cloud-init"; done
		cat >"$tmp/cloud-init/cloud-init" <<'EOF'
#!/bin/sh
PYTHONPATH="${0%/*}/usr/lib/python3/dist-packages" exec /usr/bin/python3 -m cloudinit.cmd.main "$@"
EOF
		chmod +x "$tmp/cloud-init/cloud-init"
		keep "$tmp/cloud-init" "$name"
	fi
	cloudinit=$cache/$name/cloud-init
fi

printf 'tofu=%s\nproviders=%s\ncloud-init=%s\n' "$tofu" "$providers" "$cloudinit"
