#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches the one version of Cloud Hypervisor that this release was written for, and keeps it only if it is the very file whose SHA-256 you
# have written down. For operators: nothing here or in the Makefile calls it.
#
#   get-cloud-hypervisor.sh --sums FILE [--out PATH] [--from URL]
#
#   --sums FILE   what you trust: lines as sha256sum prints them; one must name cloud-hypervisor-static-VERSION or cloud-hypervisor-static
#   --out PATH    default: /usr/local/bin/cloud-hypervisor
#   --from URL    another place that has the file: https, file, or http on this machine
#
# The sum is not in here on purpose: a script that fetches a program and also says what it should be has checked nothing. Take it from the
# project's release page, from your distribution, or from a build of your own.
set -euo pipefail
export LC_ALL=C
umask 022

VERSION=v53.0
NAME=cloud-hypervisor-static
BYTES_MAX=$((64 << 20)) # it has some 5 MiB
sums='' out=/usr/local/bin/cloud-hypervisor
from=https://github.com/cloud-hypervisor/cloud-hypervisor/releases/download/$VERSION/$NAME

die() { echo "get-cloud-hypervisor: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
	case $1 in
	--sums) sums=${2:?--sums needs a file}; shift 2 ;;
	--out) out=${2:?--out needs a path}; shift 2 ;;
	--from) from=${2:?--from needs a URL}; shift 2 ;;
	-h | --help) sed -n '3,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0"; exit 0 ;;
	*) die "unknown argument $1; --help says more" ;;
	esac
done
[ "$(uname -m)" = x86_64 ] || die "$NAME is for x86_64; this is $(uname -m)"
[ -n "$sums" ] || die "--sums FILE is missing: a file with the SHA-256 that you trust, in a line like \"<64 hex digits>  $NAME-$VERSION\""
[ -r "$sums" ] || die "$sums cannot be read"
case $from in
https://* | file:///*) ;;
http://127.0.0.1[:/]* | http://localhost[:/]* | 'http://[::1]'[:/]*) ;;
*) die "--from $from: only https, file, or http on this machine" ;;
esac

# A line may have sha256sum's mark of binary mode; a name may stand in a folder.
wanted=$(awk -v a="$NAME-$VERSION" -v b="$NAME" '
	NF == 2 { name = $2; sub(/^\*/, "", name); sub(/.*\//, "", name)
		if ((name == a || name == b) && $1 ~ /^[0-9a-fA-F]+$/ && length($1) == 64) print tolower($1) }' "$sums" | sort -u)
[ -n "$wanted" ] || die "$sums has no line for $NAME-$VERSION or $NAME"
[ "$(echo "$wanted" | wc -l)" = 1 ] || die "$sums has several sums for $NAME: leave one"

folder=$(dirname "$out")
[ -d "$folder" ] || die "there is no folder $folder"
new=$(mktemp "$folder/.cloud-hypervisor.XXXXXX") || die "$folder cannot be written"
trap 'rm -f "$new"' EXIT
curl --fail --silent --show-error --location --proto '=https,http,file' --proto-redir '=https' --max-filesize "$BYTES_MAX" \
	--max-time 300 --output "$new" "$from" || die "$from cannot be fetched"
got=$(sha256sum <"$new" | cut -c1-64)
[ "$got" = "$wanted" ] || die "what came has the SHA-256 $got, but $sums says $wanted: thrown away"
chmod 755 "$new"
mv -f "$new" "$out"
trap - EXIT
echo "$out is Cloud Hypervisor $VERSION as named by $sums; tell the helper: binaries = cloud-hypervisor=$out ... (terrarium-netd(8))"
