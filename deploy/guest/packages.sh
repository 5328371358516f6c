# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Debian packages by apt-get, which checks them against the signed lists, into a cache. For build.sh, here and in kernel/.

# Options for apt; filled by use_own_lists when the system's package lists are empty or out of date, which only root could mend.
apt_options=()
use_own_lists() {
	say "reading Debian's package lists"
	apt_options=(-o "Dir::State::lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt" -o Debug::NoLocking=1)
	apt-get "${apt_options[@]}" -qq update >&2 || die "apt-get update failed: is the package mirror reachable?"
}

# The meta package names the newest kernel of the release.
kernel_package() {
	apt-cache "${apt_options[@]}" depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'
}

# candidates PACKAGE...: "package version architecture sha256" of each, as the lists have them.
candidates() {
	apt-cache "${apt_options[@]}" show --no-all-versions "$@" 2>/dev/null | awk '
		/^(Package|Version|Architecture|SHA256):/ { field[$1] = $2 }
		/^$/ { print field["Package:"], field["Version:"], field["Architecture:"], field["SHA256:"] }'
}

# fetch_listed PACKAGE...: the cache is used where it holds just what the lists name. The paths go into the array debs.
fetch_listed() {
	local package version arch sum deb
	debs=()
	while read -r package version arch sum; do
		deb=$cache/debs/${package}_${version/:/%3a}_$arch.deb
		if ! echo "$sum  $deb" | sha256sum --check --status 2>/dev/null; then
			say "fetching $package $version"
			(cd "$cache/debs" && apt-get "${apt_options[@]}" -qq -o APT::Sandbox::User=root download "$package=$version" >&2) || return 1
		fi
		debs+=("$deb")
	done < <(candidates "$@")
	[ ${#debs[@]} = $# ]
}

# What the images without a root of Debian's are made of.
fetch_all() {
	local kernel=''
	[ "$small" ] || { kernel=$(kernel_package) && [ -n "$kernel" ]; } || return 1
	fetch_listed ${kernel:+"$kernel"} busybox-static bash-static ncurses-base
}
