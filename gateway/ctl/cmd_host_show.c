/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium host show`: what the gateway says about its host: how machines run, who waits for a turn to start, what is kept ready. */
#include <stdio.h>

#include "base/cli.h"
#include "base/err.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/table.h"

#define NAME "host show"

static long long number(const json_t *object, const char *member)
{
	return (long long)json_integer_value(json_object_get(object, member));
}

static void print_driver(const json_t *host)
{
	const char *accel = pick_string(host, "accel"), *why = pick_string(host, "accel_reason");

	printf("machines run with %s%s%s%s%s\n", pick_string(host, "driver"), accel[0] ? ", " : "", accel, why[0] ? ": " : "", why);
	if (!json_is_true(json_object_get(host, "online")))
		printf("the helper terrarium-netd is away: none can be started\n");
}

static void print_starts(const json_t *starts)
{
	printf("starts: %lld under way (%lld at once), %lld waiting\n", number(starts, "under_way"), number(starts, "at_once"), number(starts, "waiting"));
}

static void print_pool(const json_t *pool)
{
	static const struct table_column columns[] = {
		{ "IMAGE", "image" }, { "CPUS", "cpus" }, { "MEMORY", "memory" TABLE_BYTES }, { "NETWORK", "network" }, { "READY", "ready" },
		{ "MAKING", "making" }, { "WANTED", "wanted" }, { "USED", "memory_used" TABLE_BYTES },
	};
	const json_t *kinds = json_object_get(pool, "kinds");

	printf("kept ready: %lld were handed out, %lld times none was there, %lld could not be made%s\n", number(pool, "taken"), number(pool, "missed"),
	       number(pool, "failed"), json_is_true(json_object_get(pool, "low_memory")) ? "; none are made now, for memory is short" : "");
	if (json_array_size(kinds) > 0)
		table_print(kinds, columns, sizeof(columns) / sizeof(columns[0]));
}

int cmd_host_show(int argc, char **argv)
{
	const char *socket = NULL;
	bool json = false;
	const struct ctl_option table[] = {
		CTL_SOCKET_OPTION(socket),
		{ .name = "json", .flag = &json, .help = "print JSON" },
		{ 0 },
	};
	struct rest_request req = { .method = "GET", .path = "/api/v1/host" };
	json_t *host = NULL;
	struct err e = { 0 };
	int r = ctl_options(NAME, table, argc, argv);

	if (r != CTL_GO)
		return r;
	req.socket = socket;
	if (rest_call(&req, &host, &e) < 0)
		return ctl_refuse(NAME, json, &e);
	if (json)
		return ctl_print_json(host);
	print_driver(host);
	print_starts(json_object_get(host, "starts"));
	print_pool(json_object_get(host, "pool"));
	json_decref(host);
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}
