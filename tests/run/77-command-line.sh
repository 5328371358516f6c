#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The administrator's command line: the same list as REST and the page, over the control socket, known by uid.
. "$(dirname "$0")/../lib.sh"

start_netd --uid-base=0
start_gateway --driver=local
export TERRARIUM_CONTROL_SOCKET=$T/state/control.sock
t() { "$BUILD/terrarium" "$@"; }
says() { # says PATTERN COMMAND...
	local want=$1
	shift
	"$@" 2>&1 | grep -qE -- "$want"
}
status() { # status N COMMAND...
	local want=$1 got
	shift
	"$@" >/dev/null 2>&1
	got=$?
	[ "$got" -eq "$want" ]
}

check "the socket is private" test "$(stat -c %a "$T/state/control.sock")" = 600
check "an administrator is made" says '^allowed' t user allow root@example.org --role admin --note "the first"
check "a domain with a quota and an end" says '^allowed' t user allow @example.org --until 2099-01-01 --machines 2 --cpus 4 --memory 512
check "a deny beats the domain" says '^denied' t user deny mallory@example.org
check "why: by the domain" says 'allowed by the rule for @example.org' t user why bob@example.org
check "why: by the deny" says 'denied by the rule for mallory' t user why Mallory@Example.org
check "the list" says '^@example.org +allow +user +2099-01-01T00:00:00Z' t user list
check "a filter" says 'mallory' t user list --effect deny
check "the rule whole" says '"memory": ?536870912' t user show @example.org
check "everybody needs to be meant" status 2 t user allow '*'
check "a bad address is refused in words" says 'exactly one @' t user allow nobody
check "the last administrator stays" says 'Nobody would be administrator' t user remove root@example.org
check "a rule that is not there" status 1 t user remove x@y.z
check "an end is changed" says '^changed' t user expire @example.org --at never
check "and is gone" says '"expires_at": ?null' t user show @example.org

printf 'email,role\nnew@example.net,user\nbad\n' >"$T/list.csv"
check "a dry run tells of the bad line" says '^line 3: ' t user import --file "$T/list.csv" --dry-run
check "an import with a bad line changes nothing" status 1 t user import --file "$T/list.csv"
check "so it is not there" status 1 t user show new@example.net
for i in $(seq 1 10000); do echo "user$i@dept$((i % 100)).example.net,user"; done | sed '1i email,role' >"$T/big.csv"
check "ten thousand lines" says '10000 added' t user import --file "$T/big.csv"
check "and all of them come out again" test "$(t user export | wc -l)" -eq 10004
check "every page of them" test "$(t user list --search example.net | wc -l)" -eq 10001
check "an export comes back unchanged" says '^0 added, 0 changed' bash -c "'$BUILD/terrarium' user export >'$T/out.csv' && '$BUILD/terrarium' user import --file '$T/out.csv'"

check "the audit log has it" says 'rule.put +mallory@example.org' t audit show --object mallory@example.org
check "as JSON lines" test "$(t audit export --action rule. | wc -l)" -ge 10000
check "the chain is whole" says '^whole: ' t audit verify
head=$(t audit verify --json | sed -n 's/.*"head": *"\([0-9a-f]*\)".*/\1/p')
check "and its head is the one noted before" says '^whole: ' t audit verify --head "$head"
check "another head is not" status 1 t audit verify --head "${head//[0-9]/f}"
check "nobody is on" says '^EMAIL' t session list
check "an unknown command" status 2 t user frobnicate
check "no gateway" says 'is terrariumd running' t user list --socket "$T/none"

# Another uid does not get in, whatever the mode of the socket says.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 711 "$T" "$T/state"
	chmod 777 "$T/state/control.sock"
	# It may see the refusal, or only that the line is gone before it has asked: never the list.
	check "another uid is refused" status 1 setpriv --reuid=65534 --regid=65534 --clear-groups "$BUILD/terrarium" user list
fi
