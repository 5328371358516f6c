#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A second, independent OpenID Connect service: Debian's Glewlwyd, from an installed package or unpacked beside the build, with a database of its own.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules ws
needs curl sqlite3
free_ports GLEWLWYD_PORT
CACHE=$ROOT/build/glewlwyd

# Its package brings a service and a database server along when it is installed; unpacking leaves the machine as it is.
unpack() {
	local packages
	needs apt-get dpkg
	mkdir -p "$CACHE.new/debs"
	packages=$(apt-get install -s --no-install-recommends glewlwyd dbconfig-no-thanks 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p' |
		grep -Ev '^(fonts-|libjs-|dbconfig|mysql-common|mariadb-common)')
	[ -n "$packages" ] || return 1
	# shellcheck disable=SC2086
	(cd "$CACHE.new/debs" && timeout 60 apt-get download -qq $packages) >"$T/apt.txt" 2>&1 || return 1
	for deb in "$CACHE.new"/debs/*.deb; do
		dpkg -x "$deb" "$CACHE.new/root" || return 1
	done
	rm -rf "$CACHE" "$CACHE.new/debs"
	mv "$CACHE.new" "$CACHE"
}

if command -v glewlwyd >/dev/null; then
	TOP=
else
	TOP=$CACHE/root
	[ -x "$TOP/usr/bin/glewlwyd" ] || unpack || skip "glewlwyd is neither installed nor to be had from a mirror"
fi
export LD_LIBRARY_PATH="$TOP/usr/lib/$(gcc -print-multiarch 2>/dev/null || echo x86_64-linux-gnu)"
sqlite3 "$T/glewlwyd.db" <"$TOP/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3" || fail "its database"
mkdir "$T/none"
cat >"$T/glewlwyd.conf" <<CONF
port=$GLEWLWYD_PORT
bind_address="127.0.0.1"
external_url="http://127.0.0.1:$GLEWLWYD_PORT"
login_url="login.html"
api_prefix="api"
log_mode="console"
log_level="WARNING"
cookie_domain="127.0.0.1"
cookie_secure=0
cookie_same_site="empty"
session_expiration=3600
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="$TOP/usr/lib/glewlwyd/user"
user_middleware_module_path="$T/none"
client_module_path="$TOP/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="$TOP/usr/lib/glewlwyd/scheme"
plugin_module_path="$TOP/usr/lib/glewlwyd/plugin"
hash_algorithm = "SHA512"
database = { type = "sqlite3" path = "$T/glewlwyd.db" };
CONF
background glewlwyd.log "$TOP/usr/bin/glewlwyd" -c "$T/glewlwyd.conf"
unset LD_LIBRARY_PATH

for name in lenient strict; do
	identity $name "type = oidc" "issuer = http://127.0.0.1:$GLEWLWYD_PORT/api/oidc" "client_id = terrarium" "scopes = openid" \
		"email_verified = $([ $name = strict ] && echo require || echo not_false)"
done
start_identity_gateway
node tests/run/glewlwyd.mjs || fail "the story"
