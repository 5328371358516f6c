/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SETTINGS_H
#define GATEWAY_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;

#define LISTEN_MAX 8
#define HOSTS_MAX 32
#define HOST_BYTES 128

/* One address to listen on, as text for messages and as sockaddr. */
struct listen_address {
	char text[64];
	struct sockaddr_storage addr;
	socklen_t len;
	uint16_t port;
	bool loopback;
};

/* A list of names, taken apart once: Host or Origin values that are let in. */
struct name_list {
	char names[HOSTS_MAX][HOST_BYTES];
	size_t count;
};

#define IDENTITIES_MAX 8

/**
 * struct identity_settings - [identity NAME]: one way to sign in
 * @type: "oidc", "hypha" or "proxy"; the other keys belong to one or the other, as terrarium.conf(5) says
 */
struct identity_settings {
	char name[32], type[16], title[64], ca_file[256], email_verified[16];
	char issuer[256], client_id[128], client_secret_file[256], scopes[128], api_audience[128];
	char server_url[256];
	char assertion_header[64], jwks_url[256], audience[256], plain_header[64], secret_header[64], secret_file[256], trusted_peers[512];
	uint64_t login_timeout, clock_skew;
	bool allow_child_tokens;
};

/**
 * struct settings - of terrariumd; the fields in the first part are the keys of base/conf.h
 *
 * The second part is worked out by settings_resolve().
 */
struct settings {
	char listen[512], state_dir[256], helper_socket[104], driver[24], cloud_hypervisor_seccomp[8], cloud_hypervisor_landlock[8], snp_firmware[256], snp_kds[256], images[256], image_key[256], machine[16], accel[16], identity[16];
	char demo_people[2048], hosts[1024], origins[1024], local_command[512], local_console[16], local_agent[24], log_level[16];
	uint64_t ring_size, session_life, boot_deadline, stop_deadline, start_wait;
	int64_t per_person, starts_at_once, max_connections, connections_per_address;

	char control_socket[104], bootstrap_admins[1024], allow_file[256], subject_binding[16], on_removal[16], quota_networks[64], quota_images[128];
	char smtp_url[256], smtp_from[256], smtp_user[128], smtp_password_file[256], smtp_ca_file[256];
	bool request_access, share_open;
	char ring_dir[256], preview_domain[256], tls_cert[256], tls_key[256];
	int64_t shells_per_machine;
	uint64_t idle_timeout, idle_stop, idle_standby;
	char disk_dir[256];
	uint64_t quota_disk, home_size;
	uint64_t quota_memory, quota_lifetime, token_life;
	char recording[16];
	bool record_input, templates;
	int64_t pool_min, pool_max;
	uint64_t pool_reserve;
	uint64_t record_retention, record_quota;
	int64_t quota_cpus;

	struct identity_settings identities[IDENTITIES_MAX];
	size_t identity_count;

	struct listen_address addresses[LISTEN_MAX];
	size_t address_count;
	struct name_list host_list, origin_list;
};

/**
 * settings_read() - file, environment, options; then settings_resolve()
 *
 * Return: 0, a CONF_E_* outcome, or negative with @e.
 */
int settings_read(struct settings *s, int argc, char **argv, struct err *e);

/** settings_resolve() - work out the second part and refuse what does not fit together. Return: 0 or negative with @e */
int settings_resolve(struct settings *s, struct err *e);

/** settings_presets() - the defaults, not resolved. For tests */
int settings_presets(struct settings *s, struct err *e);

/** settings_demo() - the demo identity is offered */
bool settings_demo(const struct settings *s);

/** settings_base_url() - where a person opens the page: the first origin */
const char *settings_base_url(const struct settings *s);

/** name_list_has() - exact, byte by byte. Host names come in lower case from browsers */
bool name_list_has(const struct name_list *l, const char *name);

#endif
