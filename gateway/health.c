/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/health.h"

#include "base/loop.h"
#include "gateway/agent_tie.h"

json_t *health_json(const struct agent_tie_health *h)
{
	json_t *json;

	if (!h)
		return json_null();
	json = json_pack("{s:I, s:I, s:f, s:I, s:I, s:i, s:o, s:o, s:o, s:o, s:o}", "age_ms", (json_int_t)(loop_now_ms() - h->asked_ms), "uptime_ms",
			 (json_int_t)h->said.uptime_ms, "load", (double)h->said.load_milli / 1000, "memory", (json_int_t)h->said.memory,
			 "memory_available", (json_int_t)h->said.memory_available, "jobs", (int)(h->said.jobs & INT32_MAX), "disk",
			 h->said.whole ? json_integer((json_int_t)h->said.disk) : json_null(), "disk_available",
			 h->said.whole ? json_integer((json_int_t)h->said.disk_available) : json_null(), "clock_offset_ms",
			 h->said.whole ? json_integer(h->offset_ms) : json_null(), "network",
			 h->said.whole ? json_boolean(h->said.flags & AGENT_HEALTH_NETWORK) : json_null(), "ssh",
			 h->said.whole ? json_boolean(h->said.flags & AGENT_HEALTH_SSH) : json_null());
	return json;
}

static bool take_load(const struct agent_tie_health *h, double *out)
{
	*out = (double)h->said.load_milli / 1000;
	return true;
}

static bool take_uptime(const struct agent_tie_health *h, double *out)
{
	*out = (double)h->said.uptime_ms / 1000;
	return true;
}

static bool take_memory(const struct agent_tie_health *h, double *out)
{
	*out = (double)h->said.memory;
	return true;
}

static bool take_available(const struct agent_tie_health *h, double *out)
{
	*out = (double)h->said.memory_available;
	return true;
}

static bool take_disk(const struct agent_tie_health *h, double *out)
{
	*out = (double)h->said.disk;
	return h->said.whole;
}

static bool take_disk_available(const struct agent_tie_health *h, double *out)
{
	*out = (double)h->said.disk_available;
	return h->said.whole;
}

static bool take_offset(const struct agent_tie_health *h, double *out)
{
	*out = (double)h->offset_ms / 1000;
	return h->said.whole;
}

const struct health_metric health_metrics[] = {
	{ "terrarium_machine_load1", take_load },
	{ "terrarium_machine_uptime_seconds", take_uptime },
	{ "terrarium_machine_memory_bytes", take_memory },
	{ "terrarium_machine_memory_available_bytes", take_available },
	{ "terrarium_machine_disk_bytes", take_disk },
	{ "terrarium_machine_disk_available_bytes", take_disk_available },
	{ "terrarium_machine_clock_offset_seconds", take_offset },
	{ 0 },
};
