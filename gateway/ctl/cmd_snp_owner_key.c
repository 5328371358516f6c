/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium snp owner-key`: the key that opens one's sealed terminals, made if there is none, and the HOST_DATA that goes with it. */
#include <stdio.h>
#include <string.h>

#include "base/cli.h"
#include "base/err.h"
#include "base/hex.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/owner_key.h"

int cmd_snp_owner_key(int argc, char **argv)
{
	const char *file = NULL;
	const struct ctl_option table[] = {
		{ .name = "file", .text = &file, .value = "FILE", .help = "where it is; ~/.config/terrarium/owner.key unless given" },
		{ 0 },
	};
	struct owner_key key;
	struct err e = { 0 };
	char hash[65];
	int r = ctl_options("snp owner-key", table, argc, argv);

	if (r != CTL_GO)
		return r;
	r = owner_key_read(file, &key, &e);
	if (r == 0) {
		hex_encode(key.hash, sizeof(key.hash), hash);
		r = puts(hash) < 0 || fflush(stdout) != 0 ? err_set(&e, -1, "cannot write") : 0;
	}
	explicit_bzero(&key, sizeof(key));
	return r < 0 ? ctl_refuse("snp owner-key", false, &e) : CLI_OK;
}
