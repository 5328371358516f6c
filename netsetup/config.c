/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define KEY(field, kind, lo, hi, def, text) CONF_KEY(config, field, kind, lo, hi, def, text)

static const struct conf_key keys[] = {
	KEY(socket, CONF_STR, 0, 0, "/run/terrarium/netd.sock", "unix socket for terrariumd"),
	KEY(gateway_user, CONF_STR, 0, 0, "", "user name or uid that may connect; empty = the helper's own"),
	KEY(log_level, CONF_STR, 0, 0, "info", "error, warn, info or debug"),
	KEY(slots, CONF_INT, 1, NETD_SLOTS_MAX, "1000", "machines at the same time"),
	KEY(start_rate, CONF_INT, 1, 100000, "1000", "starts per second, on average over a second"),
	{ .name = "binaries",
	  .type = CONF_STR,
	  .offset = offsetof(struct config, binary_list),
	  .size = sizeof(((struct config *)0)->binary_list),
	  .preset = "qemu=/usr/bin/qemu-system-x86_64 shell=/bin/bash",
	  .help = "programs that may be started, NAME=PATH with spaces between" },
	KEY(network, CONF_STR, 0, 0, "auto", "auto, required (end if it cannot be had) or off"),
	KEY(ifname, CONF_STR, 0, 0, "trm", "letters that names of bridges and TAPs begin with"),
	KEY(subnet4, CONF_STR, 0, 0, "10.213.0.0/19", "IPv4 range of the guests"),
	KEY(subnet6, CONF_STR, 0, 0, "fd7a:7272:6d00::/64", "IPv6 range of the guests; empty = no IPv6"),
	KEY(inner_subnet4, CONF_STR, 0, 0, "",
	    "range whose second address every guest has, its gateway the first, each behind a translation of its own; empty = own addresses"),
	KEY(dns, CONF_STR, 0, 0, "",
	    "resolvers of the guests, an IPv4 and an IPv6 one; empty = from /etc/resolv.conf"),
	KEY(deny, CONF_STR, 0, 0, "", "address ranges that guests may not reach"),
	{ .name = "cgroups",
	  .type = CONF_BOOL,
	  .offset = offsetof(struct config, use_cgroups),
	  .size = sizeof(bool),
	  .preset = "yes",
	  .help = "use control groups as far as the host has them" },
	KEY(uid_base, CONF_INT, 0, INT32_MAX, "1900000000",
	    "slot n runs as uid_base + n; 0 = as the helper itself"),
	KEY(memory_max, CONF_BYTES, 0, 0, "18G", "most memory that one slot may ask for"),
	KEY(cpu_max, CONF_INT, 1, 100000, "800", "most processor time per slot, in percent of one core"),
	KEY(pids_max, CONF_INT, 1, 4194304, "1024", "most processes and threads per slot"),
	{ .name = NULL },
};

static const char *const other_sections[] = { "gateway", "identity ", NULL };

static const struct conf_program program = {
	.name = "terrarium-netd",
	.purpose = "Privileged helper of terrariumd: network, processes and control groups of virtual machines.",
	.section = "netd",
	.other_sections = other_sections,
	.file = "/etc/terrarium/terrarium.conf",
	.keys = keys,
};

/* Calls @take for each word of a copy of @text. */
static int for_words(const char *text, int (*take)(struct config *, const char *, struct err *),
		     struct config *c, struct err *e)
{
	char copy[1024], *save = NULL;
	int r = 0;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " \t,", &save); w && r == 0; w = strtok_r(NULL, " \t,", &save))
		r = take(c, w, e);
	return r;
}

/* What others could write to is no list of trusted programs. A missing one only is not offered. */
static int take_binary(struct config *c, const char *word, struct err *e)
{
	const char *eq = strchr(word, '=');
	struct config_binary *b = &c->binaries[c->nbinaries];
	size_t len = eq ? (size_t)(eq - word) : 0;
	struct stat st;

	if (len == 0 || len >= sizeof(b->name) || eq[1] != '/' || strlen(eq + 1) >= sizeof(b->path))
		return err_set(e, -EINVAL, "binaries: %.64s is not NAME=/PATH (NAME up to %zu bytes)", word,
			       sizeof(b->name) - 1);
	if (c->nbinaries == NETD_BINARIES_MAX)
		return err_set(e, -E2BIG, "binaries: at most %d entries", NETD_BINARIES_MAX);
	for (size_t i = 0; i < c->nbinaries; i++)
		if (strlen(c->binaries[i].name) == len && memcmp(c->binaries[i].name, word, len) == 0)
			return err_set(e, -EEXIST, "binaries: %s is there twice", c->binaries[i].name);
	if (stat(eq + 1, &st) < 0 || !S_ISREG(st.st_mode) || access(eq + 1, X_OK) < 0) {
		log_warn("binaries: %s cannot be executed and is not offered", word);
		return 0;
	}
	if (st.st_mode & 022)
		return err_set(e, -EPERM, "binaries: %s may be written by others than its owner", eq + 1);
	memset(b, 0, sizeof(*b));
	memcpy(b->name, word, len);
	(void)snprintf(b->path, sizeof(b->path), "%s", eq + 1);
	c->nbinaries++;
	return 0;
}

static int take_deny(struct config *c, const char *word, struct err *e)
{
	if (c->rules.ndeny == NFT_DENY_MAX)
		return err_set(e, -E2BIG, "deny: at most %d ranges", NFT_DENY_MAX);
	if (subnet_parse(word, &c->rules.deny[c->rules.ndeny], e) < 0)
		return err_prefix(e, "deny");
	c->rules.ndeny++;
	return 0;
}

static int take_dns(struct config *c, const char *word, struct err *e)
{
	struct subnet s, *to;

	if (subnet_parse(word, &s, e) < 0)
		return err_prefix(e, "dns");
	if (strchr(word, '/'))
		return err_set(e, -EINVAL, "dns: %s is a range, not an address", word);
	to = s.family == AF_INET ? &c->rules.dns4 : &c->rules.dns6;
	if (to->family)
		return err_set(e, -E2BIG, "dns: at most one IPv4 and one IPv6 address");
	*to = s;
	return 0;
}

/* Reachable from a guest by routing. */
static bool is_useful_resolver(const struct subnet *s)
{
	const uint8_t *a = s->addr;
	static const uint8_t loopback6[16] = { [15] = 1 };

	if (s->family == AF_INET)
		return a[0] != 127 && a[0] != 0 && !(a[0] == 169 && a[1] == 254);
	return memcmp(a, loopback6, sizeof(loopback6)) != 0 && !(a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

void config_resolvers(struct nft_config *rules, const char *text)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char word[64];
		struct subnet s, *to;

		if (sscanf(line, "nameserver %63s", word) != 1 || strchr(word, '/') ||
		    subnet_parse(word, &s, NULL) < 0 || !is_useful_resolver(&s))
			continue;
		to = s.family == AF_INET ? &rules->dns4 : &rules->dns6;
		if (!to->family)
			*to = s;
	}
}

static int set_gateway_uid(struct config *c, struct err *e)
{
	char *end;
	unsigned long uid;
	const struct passwd *pw;

	c->gateway_uid = geteuid();
	if (!c->gateway_user[0])
		return 0;
	uid = strtoul(c->gateway_user, &end, 10);
	if (*end == '\0' && uid < UINT32_MAX) {
		c->gateway_uid = (uid_t)uid;
		return 0;
	}
	pw = getpwnam(c->gateway_user);
	if (!pw)
		return err_set(e, -ENOENT, "gateway_user: there is no user %s", c->gateway_user);
	c->gateway_uid = pw->pw_uid;
	return 0;
}

static int set_mode(struct config *c, struct err *e)
{
	static const char *const words[] = { "auto", "required", "off" };

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(c->network, words[i]) != 0)
			continue;
		c->mode = (enum network_mode)i;
		return 0;
	}
	return err_set(e, -EINVAL, "network = %s: must be auto, required or off", c->network);
}

static int set_plan(struct config *c, struct err *e)
{
	int r;

	memcpy(c->plan.prefix, c->ifname, sizeof(c->plan.prefix));
	c->plan.uid_base = (uid_t)c->uid_base;
	r = subnet_parse(c->subnet4, &c->plan.net4, e);
	if (r < 0)
		return err_prefix(e, "subnet4");
	r = c->subnet6[0] ? subnet_parse(c->subnet6, &c->plan.net6, e) : 0;
	if (r < 0)
		return err_prefix(e, "subnet6");
	r = c->inner_subnet4[0] ? subnet_parse(c->inner_subnet4, &c->plan.inner4, e) : 0;
	if (r < 0)
		return err_prefix(e, "inner_subnet4");
	c->rules.plan = &c->plan;
	c->rules.bridges = plan_bridges((uint32_t)c->slots) * (1 + plan_cards(&c->plan, (uint32_t)c->slots));
	return plan_check(&c->plan, (uint32_t)c->slots, e);
}

static int derive(struct config *c, struct err *e)
{
	char text[8192];
	int r;

	if (log_open("terrarium-netd", c->log_level) < 0)
		return err_set(e, -EINVAL, "log_level = %s: must be error, warn, info or debug", c->log_level);
	if ((r = set_gateway_uid(c, e)) < 0 || (r = set_mode(c, e)) < 0 || (r = set_plan(c, e)) < 0 ||
	    (r = for_words(c->binary_list, take_binary, c, e)) < 0 ||
	    (r = for_words(c->deny, take_deny, c, e)) < 0 || (r = for_words(c->dns, take_dns, c, e)) < 0)
		return r;
	if (c->nbinaries == 0)
		return err_set(e, -ENOENT, "binaries: none of them is installed");
	if (!c->dns[0] && fd_read_file(AT_FDCWD, "/etc/resolv.conf", text, sizeof(text)) > 0)
		config_resolvers(&c->rules, text);
	return 0;
}

int config_read(struct config *c, int argc, char **argv, struct err *e)
{
	int r, outcome;

	memset(c, 0, sizeof(*c));
	(void)log_open("terrarium-netd", "info");
	outcome = conf_read(&program, c, argc, argv, NULL, e);
	if (outcome != 0 && outcome != CONF_E_CHECK)
		return outcome;
	r = derive(c, e);
	return r < 0 ? r : outcome;
}
