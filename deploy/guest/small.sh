# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154,SC2034
#
# What the builders of the small kernel and of the small QEMU have in common. They set $what (kernel, qemu) and $top, and pass their arguments on.

die() { echo "$what: $*" >&2; exit 1; }
say() { echo "$what: $*"; }

out=$top/build/$what
cache=$top/build/cache
jobs=$(nproc)
while [ $# -gt 0 ]; do
	case $1 in
	--out) out=${2:?--out needs a directory}; shift 2 ;;
	--cache) cache=${2:?--cache needs a directory}; shift 2 ;;
	--jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
	*) die "unknown argument $1; usage: build.sh [--out DIR] [--cache DIR] [--jobs N]" ;;
	esac
done
mkdir -p "$out" "$cache/apt/lists/partial" "$cache/apt/archives/partial"
out=$(cd "$out" && pwd)
cache=$(cd "$cache" && pwd)

# need_tools TOOL...: gcc among them.
need_tools() {
	local tool
	for tool; do
		command -v "$tool" >/dev/null || die "$tool is missing; deploy/install-deps.sh $what installs it"
	done
	compiler=$(gcc --version | head -n 1)
}

# stamp_of FILE...: what a build depends on, the compiler too.
stamp_of() { cat "$@" <(echo "$compiler") | sha256sum | cut -c1-64; }

# leave_if_built FILE STAMP: it is there, made of the same.
leave_if_built() {
	[ -e "$out/$1" ] && grep -q "\"stamp\": \"$2\"" "$out/$what.json" 2>/dev/null || return 0
	say "$out is up to date"
	exit 0
}

# run COMMAND...: its words are shown when it fails.
run() { "$@" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; die "${*:1:2} failed"; }; }

# deliver MODE FILE...: from $work to $out, each at once.
deliver() {
	local mode=$1 name
	shift
	for name; do
		chmod "$mode" "$work/$name"
		cp --sparse=always "$work/$name" "$out/.$name.new"
		mv -f "$out/.$name.new" "$out/$name"
	done
}
