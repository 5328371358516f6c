# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# An archive in cpio's format "newc", entry by entry from a list, to standard output. For build.sh, which has set $epoch.

# One archive entry in cpio's "newc" format. entry PATH MODE SIZE: the header and the name, padded to four bytes.
inode=0
entry() {
	local length=$((${#1} + 1))
	inode=$((inode + 1))
	printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\0' \
		$inode $((0$2)) 0 0 1 "$epoch" "$3" 0 0 0 0 $length 0 "$1"
	pad $((110 + length))
}
pad() { head -c $(((4 - $1 % 4) % 4)) /dev/zero; }
dir() { entry "$1" 40755 0; }
link() { entry "$1" 120777 ${#2}; printf %s "$2"; pad ${#2}; }
file() { # PATH MODE SOURCE
	local size
	size=$(stat -c %s "$3")
	entry "$1" "100$2" "$size"
	cat "$3"
	pad "$size"
}
