/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/err.h"

#define KEY(field, kind, lo, hi, def, text) CONF_KEY(settings, field, kind, lo, hi, def, text)

static const struct conf_key keys[] = {
	KEY(listen, CONF_STR, 0, 0, "127.0.0.1:7681 [::1]:7681", "addresses to listen on; ignored when systemd hands sockets over"),
	KEY(tls_cert, CONF_STR, 0, 0, "", "certificate with its chain, PEM: https on every address of listen; read anew when it changes. Empty: plain http"),
	KEY(tls_key, CONF_STR, 0, 0, "", "private key of tls_cert, PEM"),
	KEY(hosts, CONF_STR, 0, 0, "", "Host headers to let in; empty: localhost, 127.0.0.1 and [::1] with each port"),
	KEY(origins, CONF_STR, 0, 0, "", "Origins that may write, the first is the page's URL; empty: http://, or https:// with tls_cert, and each host"),
	KEY(preview_domain, CONF_STR, 0, 0, "", "domain whose hosts MACHINE-PORT show what runs in machines, with the port where it is not the scheme's; empty: none"),
	KEY(state_dir, CONF_STR, 0, 0, "/var/lib/terrarium", "directory of the database and of the demo's sign-in links"),
	KEY(helper_socket, CONF_STR, 0, 0, "/run/terrarium/netd.sock", "socket of terrarium-netd"),
	KEY(driver, CONF_STR, 0, 0, "auto", "what runs machines: auto, cloud-hypervisor, qemu or local (a process on a PTY, for trying out)"),
	KEY(snp_firmware, CONF_STR, 0, 0, "", "OVMF for confidential machines, with a place for kernel hashes; empty: where distributions have it"),
	KEY(snp_kds, CONF_STR, 0, 0, "", "service with AMD's certificates for attestation reports; empty: AMD's own; none: only what is kept in the state directory"),
	KEY(images, CONF_STR, 0, 0, "/var/lib/terrarium/images", "directory with one folder per guest image"),
	KEY(image_key, CONF_STR, 0, 0, "", "public key (PEM, from terrarium image key) that guest images must be signed with; empty: they need not be signed"),
	KEY(machine, CONF_STR, 0, 0, "microvm", "QEMU's machine type: microvm or q35"),
	KEY(accel, CONF_STR, 0, 0, "auto", "auto, kvm or tcg (software emulation)"),
	KEY(cloud_hypervisor_seccomp, CONF_STR, 0, 0, "true", "what Cloud Hypervisor does about a forbidden system call: true (end), log or errno"),
	KEY(cloud_hypervisor_landlock, CONF_STR, 0, 0, "auto", "Cloud Hypervisor locks itself in by Landlock: auto (where the kernel has it) or off"),
	KEY(local_command, CONF_STR, 0, 0, "/bin/sh -i", "what the local driver runs, split at spaces"),
	KEY(local_console, CONF_STR, 0, 0, "pty", "console of the local driver: pty or socket"),
	KEY(local_agent, CONF_STR, 0, 0, "", "name of terrarium-agent in the helper's binaries: runs local_command; empty: none"),
	KEY(ring_size, CONF_BYTES, 64 << 10, 64 << 20, "1M", "terminal output kept for each machine"),
	KEY(ring_dir, CONF_STR, 0, 0, "", "directory of the output of shells, better in memory; empty: rings in the unit's runtime directory, or the state directory"),
	KEY(shells_per_machine, CONF_INT, 0, 256, "32", "shells that one machine may have beside its console"),
	KEY(idle_timeout, CONF_MS, 0, 31536000000, "0s", "a terminal's connection closes when nobody has typed into it for so long; 0s: never"),
	KEY(idle_stop, CONF_MS, 0, 31536000000, "0s", "a machine stops when nobody has been at one of its terminals for so long; 0s: never"),
	KEY(idle_standby, CONF_MS, 0, 31536000000, "0s", "a machine is put aside to disk when nobody has been at one of its terminals for so long, and wakes at the next use; 0s: never"),
	KEY(boot_deadline, CONF_MS, 1000, 86400000, "3m", "time until a machine must be ready"),
	KEY(templates, CONF_BOOL, 0, 0, "no", "machines begin as clones of one like them that has booted"),
	KEY(pool_min, CONF_INT, 0, 1000, "0", "machines kept ready of each kind that was wanted within the last hour; with templates = yes"),
	KEY(pool_max, CONF_INT, 0, 1000, "0", "machines kept ready of each kind at most, as many as were wanted in the last minutes; 0: none"),
	KEY(pool_reserve, CONF_BYTES, 0, 0x4000000000000, "0", "memory of the host that machines kept ready leave free; 0: an eighth of it"),
	KEY(starts_at_once, CONF_INT, 0, 1000, "0", "machines that are on their way to a prompt at once, the others wait for their turn; 0: two for each processor, four at least"),
	KEY(start_wait, CONF_MS, 1000, 86400000, "10m", "time that a machine waits for its turn to start"),
	KEY(stop_deadline, CONF_MS, 100, 3600000, "10s", "time for each step of stopping a machine"),
	KEY(per_person, CONF_INT, 1, 1000, "1", "machines that one person may have"),
	KEY(identity, CONF_STR, 0, 0, "auto", "auto: the [identity ...] sections, or demo without any; demo: one-time links, loopback only"),
	KEY(demo_people, CONF_STR, 0, 0, "demo@localhost", "e-mail addresses of the demo identity"),
	KEY(control_socket, CONF_STR, 0, 0, "", "unix socket for the command line; empty: control.sock in the state directory; none: no socket"),
	KEY(bootstrap_admins, CONF_STR, 0, 0, "", "e-mail addresses that are administrators whatever the list says"),
	KEY(allow_file, CONF_STR, 0, 0, "", "file with a pattern a line that is watched: the list of those who keep it in git"),
	KEY(subject_binding, CONF_STR, 0, 0, "enforce", "enforce: an address stays with the account it came with first; warn"),
	KEY(on_removal, CONF_STR, 0, 0, "stop", "machines of a person who is removed: stop or keep"),
	KEY(quota_cpus, CONF_INT, 1, 4096, "8", "processors that one person may have in all, where no rule says else"),
	KEY(quota_memory, CONF_BYTES, 64 << 20, 0x4000000000000, "16G", "memory that one person may have in all, where no rule says else"),
	KEY(quota_networks, CONF_STR, 0, 0, "", "networks that people may choose, where no rule says else; empty: all"),
	KEY(quota_images, CONF_STR, 0, 0, "", "guest images that people may choose, where no rule says else; empty: all"),
	KEY(quota_lifetime, CONF_MS, 0, 31536000000, "0s", "a machine stops for good this long after it was made, where no rule says else; 0s: never"),
	KEY(quota_disk, CONF_BYTES, 0, 0x4000000000000, "20G", "disks and volumes that one person may have in all, where no rule says else; 0: no limit"),
	KEY(disk_dir, CONF_STR, 0, 0, "", "directory of volumes and disks of machines; empty: disks in the state directory; none: machines have no disks"),
	KEY(home_size, CONF_BYTES, 16 << 20, 1LL << 42, "2G", "size of a home that is made because its owner has none"),
	KEY(session_life, CONF_MS, 60000, 31536000000, "7d", "time until a person must sign in again"),
	KEY(token_life, CONF_MS, 60000, 31536000000, "90d", "time until an API token ends that was made without a date, as by terrarium login"),
	KEY(recording, CONF_STR, 0, 0, "allowed", "recordings of terminals: off, allowed (people start and stop them) or always"),
	KEY(record_retention, CONF_MS, 0, 315360000000, "30d", "a recording is deleted this long after it began; 0s: never"),
	KEY(record_quota, CONF_BYTES, 128 << 10, 0x4000000000000, "1G", "bytes of recordings that one person may have"),
	KEY(record_input, CONF_BOOL, 0, 0, "no", "record what is typed as well, where the terminal shows it"),
	KEY(smtp_url, CONF_STR, 0, 0, "", "mail server for invitations: smtps://HOST:PORT, or smtp://HOST:PORT with STARTTLS; empty: texts to copy"),
	KEY(smtp_from, CONF_STR, 0, 0, "", "address that mail comes from"),
	KEY(smtp_user, CONF_STR, 0, 0, "", "name at the mail server; empty: none"),
	KEY(smtp_password_file, CONF_STR, 0, 0, "", "file with the password for it"),
	KEY(smtp_ca_file, CONF_STR, 0, 0, "", "certificate authorities for the mail server, PEM; empty: the system's"),
	KEY(request_access, CONF_BOOL, 0, 0, "no", "people who are refused may ask to be let in"),
	KEY(share_open, CONF_BOOL, 0, 0, "no", "people may let others watch their terminal who have no account here, by a link"),
	KEY(max_connections, CONF_INT, 16, 200000, "8192", "connections in all"),
	KEY(connections_per_address, CONF_INT, 4, 200000, "512", "connections from one address (IPv6: one /64)"),
	KEY(log_level, CONF_STR, 0, 0, "info", "error, warn, info or debug"),
	{ 0 },
};

#define ITEM(field, kind, lo, hi, def, text) CONF_KEY(identity_settings, field, kind, lo, hi, def, text)

static const struct conf_key identity_keys[] = {
	ITEM(type, CONF_STR, 0, 0, "oidc", "oidc, hypha or proxy"),
	ITEM(title, CONF_STR, 0, 0, "", "what people see on the button; empty: the name"),
	ITEM(ca_file, CONF_STR, 0, 0, "", "certificate authorities to trust, PEM; empty: the system's"),
	ITEM(email_verified, CONF_STR, 0, 0, "require", "require, not_false (a service that says nothing is believed) or ignore"),
	ITEM(issuer, CONF_STR, 0, 0, "", "oidc, proxy: as the service writes itself"),
	ITEM(client_id, CONF_STR, 0, 0, "", "oidc: our name there"),
	ITEM(client_secret_file, CONF_STR, 0, 0, "", "oidc: file with the client secret; empty: a public client"),
	ITEM(scopes, CONF_STR, 0, 0, "openid email profile", "oidc: what to ask for"),
	ITEM(api_audience, CONF_STR, 0, 0, "", "oidc: audience of bearer tokens for the API; empty: none are accepted"),
	ITEM(server_url, CONF_STR, 0, 0, "", "hypha: the server"),
	ITEM(login_timeout, CONF_MS, 10000, 600000, "3m", "hypha: time for a person to sign in"),
	ITEM(allow_child_tokens, CONF_BOOL, 0, 0, "no", "hypha: accept tokens that people made for programs"),
	ITEM(assertion_header, CONF_STR, 0, 0, "", "proxy: header with the signed assertion"),
	ITEM(jwks_url, CONF_STR, 0, 0, "", "proxy: where its keys are"),
	ITEM(audience, CONF_STR, 0, 0, "", "proxy: audience of the assertion"),
	ITEM(plain_header, CONF_STR, 0, 0, "", "proxy: header with the bare e-mail, instead of an assertion"),
	ITEM(secret_header, CONF_STR, 0, 0, "", "proxy: header with the secret that makes plain_header count"),
	ITEM(secret_file, CONF_STR, 0, 0, "", "proxy: file with that secret"),
	ITEM(trusted_peers, CONF_STR, 0, 0, "", "proxy: addresses it connects from, such as 127.0.0.1 or 10.0.0.0/8"),
	ITEM(clock_skew, CONF_MS, 0, 600000, "60s", "tolerance for the times in a token"),
	{ 0 },
};

static const struct conf_group identity_group = {
	.prefix = "identity", .keys = identity_keys, .offset = offsetof(struct settings, identities),
	.item_bytes = sizeof(struct identity_settings), .max = IDENTITIES_MAX, .count_offset = offsetof(struct settings, identity_count),
};

static const char *const other_sections[] = { "netd", NULL };

static const struct conf_program program = {
	.name = "terrariumd",
	.purpose = "The gateway: serves the page, signs people in, gives each a machine and relays its terminal.",
	.section = "gateway",
	.other_sections = other_sections,
	.file = "/etc/terrarium/terrarium.conf",
	.keys = keys,
	.group = &identity_group,
};

int settings_presets(struct settings *s, struct err *e)
{
	memset(s, 0, sizeof(*s));
	return conf_presets(keys, s, e);
}

int settings_read(struct settings *s, int argc, char **argv, struct err *e)
{
	int r, resolved;

	memset(s, 0, sizeof(*s));
	r = conf_read(&program, s, argc, argv, NULL, e);
	if (r != 0 && r != CONF_E_CHECK)
		return r;
	resolved = settings_resolve(s, e);
	return resolved < 0 ? resolved : r;
}

/* The next word of a list separated by spaces or commas. Return: its start, or NULL at the end. */
static const char *next_word(const char **list, size_t *len)
{
	const char *word;

	*list += strspn(*list, ", ");
	word = *list;
	*len = strcspn(word, ", ");
	*list += *len;
	return *len > 0 ? word : NULL;
}

static int parse_port(const char *text, uint16_t *out)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	v = strtoul(text, &end, 10);
	if (*end || v == 0 || v > 65535)
		return -EINVAL;
	*out = (uint16_t)v;
	return 0;
}

static int parse_ip4(const char *host, struct listen_address *a)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&a->addr;

	if (inet_pton(AF_INET, host, &sin->sin_addr) != 1)
		return -EINVAL;
	sin->sin_family = AF_INET;
	sin->sin_port = htons(a->port);
	a->len = sizeof(*sin);
	a->loopback = (ntohl(sin->sin_addr.s_addr) >> 24) == 127;
	return 0;
}

static int parse_ip6(const char *host, struct listen_address *a)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)(void *)&a->addr;

	if (inet_pton(AF_INET6, host, &sin6->sin6_addr) != 1)
		return -EINVAL;
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = htons(a->port);
	a->len = sizeof(*sin6);
	a->loopback = IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
	return 0;
}

static int parse_address(const char *word, size_t len, struct listen_address *a, struct err *e)
{
	char host[64], *colon;
	int r = -EINVAL;

	if (len < sizeof(a->text)) {
		memcpy(a->text, word, len);
		a->text[len] = '\0';
		memcpy(host, a->text, len + 1);
		colon = strrchr(host, ':');
		if (colon && parse_port(colon + 1, &a->port) == 0) {
			*colon = '\0';
			if (host[0] == '[' && colon > host + 1 && colon[-1] == ']') {
				colon[-1] = '\0';
				r = parse_ip6(host + 1, a);
			} else {
				r = parse_ip4(host, a);
			}
		}
	}
	return r == 0 ? 0 : err_set(e, r, "listen: %.*s is not ADDRESS:PORT, such as 127.0.0.1:7681 or [::1]:7681", (int)len, word);
}

static int parse_listen(struct settings *s, struct err *e)
{
	const char *list = s->listen, *word;
	size_t len;

	s->address_count = 0;
	while ((word = next_word(&list, &len))) {
		if (s->address_count == LISTEN_MAX)
			return err_set(e, -E2BIG, "listen: more than %d addresses", LISTEN_MAX);
		memset(&s->addresses[s->address_count], 0, sizeof(s->addresses[0]));
		if (parse_address(word, len, &s->addresses[s->address_count], e) < 0)
			return -EINVAL;
		s->address_count++;
	}
	return s->address_count > 0 ? 0 : err_set(e, -EINVAL, "listen is empty: nobody could connect");
}

static int add_name(struct name_list *l, const char *key, const char *text, size_t len, struct err *e)
{
	if (len >= HOST_BYTES || l->count == HOSTS_MAX)
		return err_set(e, -E2BIG, "%s: at most %d names of at most %d bytes", key, HOSTS_MAX, HOST_BYTES - 1);
	memcpy(l->names[l->count], text, len);
	l->names[l->count][len] = '\0';
	if (!name_list_has(l, l->names[l->count]))
		l->count++;
	return 0;
}

static int parse_names(struct name_list *l, const char *key, const char *list, struct err *e)
{
	const char *word;
	size_t len;

	l->count = 0;
	while ((word = next_word(&list, &len)))
		if (add_name(l, key, word, len, e) < 0)
			return -E2BIG;
	return 0;
}

/* Browsers leave port 80 out of Host and Origin. */
static int default_hosts(struct settings *s, struct err *e)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

	for (size_t i = 0; i < s->address_count; i++)
		for (size_t k = 0; k < 3; k++) {
			char host[HOST_BYTES];

			if (s->addresses[i].port == 80)
				(void)snprintf(host, sizeof(host), "%s", names[k]);
			else
				(void)snprintf(host, sizeof(host), "%s:%u", names[k], s->addresses[i].port);
			if (add_name(&s->host_list, "hosts", host, strlen(host), e) < 0)
				return -E2BIG;
		}
	return 0;
}

static int default_origins(struct settings *s, struct err *e)
{
	for (size_t i = 0; i < s->host_list.count; i++) {
		char origin[HOST_BYTES + 8];

		(void)snprintf(origin, sizeof(origin), "%s://%s", s->tls_cert[0] ? "https" : "http", s->host_list.names[i]);
		if (add_name(&s->origin_list, "origins", origin, strlen(origin), e) < 0)
			return -E2BIG;
	}
	return 0;
}

static int check_origins(const struct settings *s, struct err *e)
{
	if (!s->tls_cert[0] != !s->tls_key[0])
		return err_set(e, -EINVAL, "tls_cert and tls_key belong together: %s is missing", s->tls_cert[0] ? "tls_key" : "tls_cert");
	for (size_t i = 0; i < s->origin_list.count; i++) {
		const char *o = s->origin_list.names[i], *host = strstr(o, "://");

		if ((strncmp(o, "http://", 7) != 0 && strncmp(o, "https://", 8) != 0) || !host || strchr(host + 3, '/') || !host[3])
			return err_set(e, -EINVAL, "origins: %s is not http(s)://HOST[:PORT] without a path", o);
	}
	return 0;
}

static int one_of(const char *key, const char *value, const char *const *words, struct err *e)
{
	char list[64] = "";

	for (size_t i = 0; words[i]; i++) {
		if (strcmp(words[i], value) == 0)
			return 0;
		(void)strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
		(void)strncat(list, words[i], sizeof(list) - strlen(list) - 1);
	}
	return err_set(e, -EINVAL, "%s = %.32s: must be one of %s", key, value, list);
}

static int check_words(const struct settings *s, struct err *e)
{
	static const char *const drivers[] = { "auto", "cloud-hypervisor", "qemu", "local", NULL }, *const machines[] = { "microvm", "q35", NULL };
	static const char *const accels[] = { "auto", "kvm", "tcg", NULL }, *const consoles[] = { "pty", "socket", NULL };
	static const char *const identities[] = { "auto", "demo", NULL }, *const levels[] = { "error", "warn", "info", "debug", NULL };

	if (one_of("driver", s->driver, drivers, e) < 0 || one_of("machine", s->machine, machines, e) < 0 ||
	    one_of("accel", s->accel, accels, e) < 0 || one_of("local_console", s->local_console, consoles, e) < 0 ||
	    one_of("identity", s->identity, identities, e) < 0 || one_of("log_level", s->log_level, levels, e) < 0)
		return -EINVAL;
	if (one_of("cloud_hypervisor_seccomp", s->cloud_hypervisor_seccomp, (const char *const[]){ "true", "log", "errno", NULL }, e) < 0 ||
	    one_of("cloud_hypervisor_landlock", s->cloud_hypervisor_landlock, (const char *const[]){ "auto", "off", NULL }, e) < 0)
		return -EINVAL;
	if (one_of("subject_binding", s->subject_binding, (const char *const[]){ "enforce", "warn", NULL }, e) < 0 ||
	    one_of("on_removal", s->on_removal, (const char *const[]){ "stop", "keep", NULL }, e) < 0 ||
	    one_of("recording", s->recording, (const char *const[]){ "off", "allowed", "always", NULL }, e) < 0)
		return -EINVAL;
	if (s->ring_size % 4096 != 0)
		return err_set(e, -EINVAL, "ring_size must be a multiple of 4K");
	return 0;
}

static int check_networks(const struct settings *s, struct err *e)
{
	static const char *const nets[] = { "nat", "isolated", "none", NULL };
	const char *list = s->quota_networks, *word;
	char name[16];
	size_t len;

	while ((word = next_word(&list, &len))) {
		(void)snprintf(name, sizeof(name), "%.*s", (int)len, word);
		if (one_of("quota_networks", name, nets, e) < 0)
			return -EINVAL;
	}
	return 0;
}

static int check_mail(const struct settings *s, struct err *e)
{
	if (!s->smtp_url[0])
		return 0;
	if (strncmp(s->smtp_url, "smtp://", 7) != 0 && strncmp(s->smtp_url, "smtps://", 8) != 0)
		return err_set(e, -EINVAL, "smtp_url must be smtps://HOST:PORT or smtp://HOST:PORT");
	if (!s->smtp_from[0])
		return err_set(e, -EINVAL, "smtp_url needs smtp_from, the address that mail comes from");
	return s->smtp_user[0] && !s->smtp_password_file[0] ? err_set(e, -EINVAL, "smtp_user needs smtp_password_file") : 0;
}

bool settings_demo(const struct settings *s)
{
	return strcmp(s->identity, "demo") == 0 || s->identity_count == 0;
}

/* A key that this type of identity cannot do without. */
static int must_have(const struct identity_settings *i, const char *key, const char *value, struct err *e)
{
	return value[0] ? 0 : err_set(e, -EINVAL, "[identity %s]: type %s needs %s", i->name, i->type, key);
}

static int check_proxy(const struct identity_settings *i, struct err *e)
{
	if (i->assertion_header[0])
		return must_have(i, "jwks_url", i->jwks_url, e) < 0 || must_have(i, "issuer", i->issuer, e) < 0 ||
				       must_have(i, "audience", i->audience, e) < 0 ?
			       -EINVAL :
			       0;
	if (!i->plain_header[0])
		return err_set(e, -EINVAL, "[identity %s]: type proxy needs assertion_header (signed) or plain_header", i->name);
	return must_have(i, "secret_header", i->secret_header, e) < 0 || must_have(i, "secret_file", i->secret_file, e) < 0 ||
			       must_have(i, "trusted_peers", i->trusted_peers, e) < 0 ?
		       -EINVAL :
		       0;
}

static int check_identity(const struct identity_settings *i, struct err *e)
{
	static const char *const types[] = { "oidc", "hypha", "proxy", NULL }, *const policies[] = { "require", "not_false", "ignore", NULL };
	int r = one_of("type", i->type, types, e);

	if (r == 0)
		r = one_of("email_verified", i->email_verified, policies, e);
	if (r < 0)
		return err_prefix(e, "[identity %s]", i->name);
	if (strcmp(i->name, "demo") == 0)
		return err_set(e, -EINVAL, "[identity demo]: that name is taken by the demo identity");
	if (strcmp(i->type, "hypha") == 0)
		return must_have(i, "server_url", i->server_url, e);
	if (strcmp(i->type, "proxy") == 0)
		return check_proxy(i, e);
	return must_have(i, "issuer", i->issuer, e) < 0 ? -EINVAL : must_have(i, "client_id", i->client_id, e);
}

/* Whoever reads the terminal that started the gateway holds the links: good for one's own machine, for nothing else. */
static int check_identities(const struct settings *s, struct err *e)
{
	for (size_t i = 0; i < s->address_count; i++)
		if (settings_demo(s) && !s->addresses[i].loopback)
			return err_set(e, -EPERM, "the demo identity works on loopback only, not on %s: set up an [identity ...] section, or "
					       "listen = 127.0.0.1:%u", s->addresses[i].text, s->addresses[i].port);
	for (size_t i = 0; i < s->identity_count; i++)
		if (check_identity(&s->identities[i], e) < 0)
			return -EINVAL;
	return 0;
}

static int resolve_control(struct settings *s, struct err *e)
{
	int n;

	if (strcmp(s->control_socket, "none") == 0)
		s->control_socket[0] = '\0';
	else if (s->control_socket[0] == '\0') {
		n = snprintf(s->control_socket, sizeof(s->control_socket), "%s/control.sock", s->state_dir);
		if (n < 0 || (size_t)n >= sizeof(s->control_socket))
			return err_set(e, -ENAMETOOLONG, "state_dir is too long for control.sock in it; set control_socket");
	}
	return 0;
}

/* Names below it belong to programs in machines: none may be the gateway's, nor the gateway's one of those. */
static int check_preview(const struct settings *s, struct err *e)
{
	const char *d = s->preview_domain, *port = strchr(d, ':');
	size_t len = strlen(d), name = port ? (size_t)(port - d) : len;

	if (len == 0)
		return 0;
	if (strspn(d, "abcdefghijklmnopqrstuvwxyz0123456789-.") != name || (port && (port[1] == '\0' || strspn(port + 1, "0123456789") != strlen(port + 1))) || d[0] == '.')
		return err_set(e, -EINVAL, "preview_domain: %s is no domain in lower case, perhaps with a port", d);
	for (size_t i = 0; i < s->host_list.count; i++) {
		const char *host = s->host_list.names[i];
		size_t n = strlen(host);

		if (n >= len && strcmp(host + n - len, d) == 0 && (n == len || host[n - len - 1] == '.'))
			return err_set(e, -EINVAL, "preview_domain: %s is a host of the gateway itself", host);
	}
	if (strncmp(settings_base_url(s), "https://", 8) != 0 && (name < 10 || strncmp(d + name - 10, ".localhost", 10) != 0))
		return err_set(e, -EINVAL, "preview_domain: without https only names below .localhost are safe");
	return 0;
}

int settings_resolve(struct settings *s, struct err *e)
{
	int r = check_words(s, e);

	if (r == 0)
		r = check_networks(s, e);
	if (r == 0)
		r = check_mail(s, e);
	if (r == 0)
		r = resolve_control(s, e);

	if (r == 0)
		r = parse_listen(s, e);
	if (r == 0)
		r = check_identities(s, e);
	if (r == 0)
		r = parse_names(&s->host_list, "hosts", s->hosts, e);
	if (r == 0 && s->host_list.count == 0)
		r = default_hosts(s, e);
	if (r == 0)
		r = parse_names(&s->origin_list, "origins", s->origins, e);
	if (r == 0 && s->origin_list.count == 0)
		r = default_origins(s, e);
	if (r == 0)
		r = check_origins(s, e);
	return r == 0 ? check_preview(s, e) : r;
}

const char *settings_base_url(const struct settings *s)
{
	return s->origin_list.names[0];
}

bool name_list_has(const struct name_list *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->names[i], name) == 0)
			return true;
	return false;
}
