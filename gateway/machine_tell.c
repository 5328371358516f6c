/* SPDX-License-Identifier: Apache-2.0 */
/* What is told about machines: the VM object of docs/protocol.md, and the metrics. */
#include "gateway/machine_priv.h"

#include <time.h>

#include "base/buf.h"
#include "gateway/health.h"
#include "gateway/setup.h"
#include "gateway/stream.h"

static const char *const plug_names[] = { "plugging", "plugged", "unplugging", "refused" };
_Static_assert(sizeof(plug_names) / sizeof(plug_names[0]) == PLUG_STATE_COUNT, "one name for each enum plug_state");

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? json_string(text) : json_null();
}

static void time_text(int64_t s, char out[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	gmtime_r(&t, &tm);
	(void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *streams_json(const struct machine *m)
{
	json_t *list = json_pack("[{s:s, s:s}]", "id", stream_id(m->console), "kind", "console");

	for (struct shell *sh = shell_next(m->shells, NULL); sh; sh = shell_next(m->shells, sh)) {
		if (!shell_is_command(sh))
			(void)json_array_append_new(list, json_pack("{s:s, s:s}", "id", stream_id(shell_stream(sh)), "kind",
								    shell_sealed(sh) ? "sealed" : "shell"));
	}
	return list;
}

static const char *agent_word(const struct machine *m)
{
	return agent_tie_state_name(m->tie ? agent_tie_state(m->tie) : AGENT_TIE_NONE);
}

/* The change of size under way or refused; null when there is none. */
static json_t *resize_json(const struct machine *m)
{
	struct vm_size now, wish;
	bool under_way = hv_vm_size(m->vm, &now, &wish);

	if (!under_way && m->refused[0] == '\0')
		return json_null();
	if (!under_way)
		wish = m->asked;
	return json_pack("{s:i, s:I, s:s, s:o}", "cpus", (int)wish.cpus, "memory", (json_int_t)wish.memory_bytes, "state",
			 under_way ? "under_way" : "refused", "reason", text_or_null(under_way ? "" : m->refused));
}

static const struct agent_tie_health *health_of(const struct machine *m)
{
	return m->tie ? agent_tie_health(m->tie) : NULL;
}

static json_t *plugs_json(const struct machine *m)
{
	json_t *list = json_array();

	for (size_t i = 0; m->plugs && i < PLUGS_MAX; i++) {
		const struct plug *p = &m->plugs[i];

		if (p->volume[0])
			(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "volume", p->volume, "serial", p->serial, "state",
								    plug_names[p->state], "reason", text_or_null(p->reason)));
	}
	return list;
}

/* It is placed, but has not begun: null when it has, or need not wait. */
static json_t *waiting_json(const struct hv_view *v)
{
	return v->before < 0 ? json_null() : json_pack("{s:i}", "before", v->before);
}

static json_t *bytes_or_null(uint64_t bytes)
{
	return bytes ? json_integer((json_int_t)bytes) : json_null();
}

const char *machine_plug_word(enum plug_state s)
{
	return plug_names[s];
}

json_t *machine_json(const struct machine *m)
{
	struct hv_view v;
	char created[32];

	hv_vm_view(m->vm, &v);
	time_text(m->created_s, created);
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:s, s:s, s:I, s:o, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:o, s:I, s:o, s:o, s:o, s:o}", "id",
			 m->id_text, "name", m->spec.name, "image", m->spec.image, "cpus", (int)m->spec.cpus, "memory",
			 (json_int_t)m->spec.memory_bytes, "network", vm_net_name(m->spec.net), "state", hv_state_name(v.state), "state_ms",
			 (json_int_t)(loop_now_ms() - v.state_since_ms), "reason", text_or_null(v.reason), "driver",
			 v.driver ? v.driver : "", "accel", v.accel ? v.accel : "", "can_resize", v.can_resize, "can_plug", v.can_plug, "ip4",
			 text_or_null(v.slot4), "inner_ip4", text_or_null(strcmp(v.ip4, v.slot4) != 0 ? v.ip4 : ""), "ip6", text_or_null(v.ip6), "gateway4", text_or_null(v.gw4), "created_at", created,
			 "agent", agent_word(m), "resize", resize_json(m), "streams", streams_json(m), "confidential", vm_confidential_name(m->spec.confidential), "recipe",
			 text_or_null(setup_recipe(m->setup)), "setup", setup_json(m->setup, false), "health", health_json(health_of(m)),
			 "disk", (json_int_t)m->spec.overlay_bytes, "home",
			 text_or_null(m->spec.home), "data", (json_int_t)m->spec.data_bytes, "disks", plugs_json(m), "cards", machine_cards_json(m),
			 "waiting", waiting_json(&v), "memory_used", bytes_or_null(v.pss_bytes));
}

static void agent_metrics(const struct machines *ms, struct buf *out)
{
	uint32_t ready = 0, open = 0;

	for (const struct machine *m = ms->first; m; m = m->next) {
		ready += machine_agent(m) != NULL;
		open += shells_open_count(m->shells);
	}
	(void)buf_printf(out,
			 "# TYPE terrarium_agents_ready gauge\nterrarium_agents_ready %u\n"
			 "# TYPE terrarium_shells gauge\nterrarium_shells %u\n"
			 "# TYPE terrarium_shells_opened_total counter\nterrarium_shells_opened_total %llu\n"
			 "# TYPE terrarium_shell_output_bytes_total counter\nterrarium_shell_output_bytes_total %llu\n"
			 "# TYPE terrarium_shell_input_bytes_total counter\nterrarium_shell_input_bytes_total %llu\n",
			 ready, open, (unsigned long long)ms->shells.opened, (unsigned long long)ms->shells.bytes_out,
			 (unsigned long long)ms->shells.bytes_in);
}

/* Of the first HEALTH_METRICS_MAX that answer: a scrape stays small, however many machines there are. */
static void health_lines(const struct machines *ms, struct buf *out)
{
	unsigned n = 0, left_out = 0;

	for (const struct health_metric *f = health_metrics; f->name; f++) {
		n = left_out = 0;
		(void)buf_printf(out, "# TYPE %s gauge\n", f->name);
		for (const struct machine *m = ms->first; m; m = m->next) {
			const struct agent_tie_health *h = health_of(m);
			double v = 0;

			if (!h)
				continue;
			if (n++ >= HEALTH_METRICS_MAX)
				left_out++;
			else if (f->take(h, &v))
				(void)buf_printf(out, "%s{machine=\"%s\"} %.15g\n", f->name, m->id_text, v);
		}
	}
	(void)buf_printf(out, "# TYPE terrarium_machines_without_lines gauge\nterrarium_machines_without_lines %u\n", left_out);
}

/* What the host gives for them: in all, and to each of the first that are known. */
static void memory_lines(const struct machines *ms, uint64_t all, struct buf *out)
{
	unsigned n = 0;

	(void)buf_printf(out,
			 "# TYPE terrarium_machines_memory_pss_bytes gauge\nterrarium_machines_memory_pss_bytes %llu\n"
			 "# TYPE terrarium_machine_memory_pss_bytes gauge\n", (unsigned long long)all);
	for (const struct machine *m = ms->first; m && n < HEALTH_METRICS_MAX; m = m->next) {
		struct hv_view v;

		hv_vm_view(m->vm, &v);
		if (v.pss_bytes == 0)
			continue;
		n++;
		(void)buf_printf(out, "terrarium_machine_memory_pss_bytes{machine=\"%s\"} %llu\n", m->id_text, (unsigned long long)v.pss_bytes);
	}
}

static void turn_metrics(const struct machines *ms, struct buf *out)
{
	struct hv_turns t;

	hv_turns(ms->hv, &t);
	(void)buf_printf(out,
			 "# TYPE terrarium_starts gauge\nterrarium_starts{state=\"under_way\"} %u\nterrarium_starts{state=\"waiting\"} %u\n"
			 "# TYPE terrarium_starts_at_once gauge\nterrarium_starts_at_once %u\n"
			 "# TYPE terrarium_starts_overdue_total counter\nterrarium_starts_overdue_total %llu\n",
			 t.under_way, t.waiting, t.at_once, (unsigned long long)t.overdue);
}

/* As far as the drivers count: Cloud Hypervisor does. */
static void guest_metrics(const struct machines *ms, struct buf *out)
{
	struct hv_counters c;

	hv_counters(ms->hv, &c);
	(void)buf_printf(out,
			 "# TYPE terrarium_guest_network_bytes_total counter\n"
			 "terrarium_guest_network_bytes_total{direction=\"received\"} %llu\n"
			 "terrarium_guest_network_bytes_total{direction=\"sent\"} %llu\n"
			 "# TYPE terrarium_guest_network_frames_total counter\n"
			 "terrarium_guest_network_frames_total{direction=\"received\"} %llu\n"
			 "terrarium_guest_network_frames_total{direction=\"sent\"} %llu\n"
			 "# TYPE terrarium_guest_disk_bytes_total counter\n"
			 "terrarium_guest_disk_bytes_total{direction=\"read\"} %llu\n"
			 "terrarium_guest_disk_bytes_total{direction=\"written\"} %llu\n",
			 (unsigned long long)c.rx_bytes, (unsigned long long)c.tx_bytes, (unsigned long long)c.rx_frames,
			 (unsigned long long)c.tx_frames, (unsigned long long)c.read_bytes, (unsigned long long)c.write_bytes);
}

static void pool_metrics(const struct machines *ms, struct buf *out)
{
	struct pool_state p;

	machines_pool(ms, &p);
	(void)buf_printf(out,
			 "# TYPE terrarium_pool_machines gauge\nterrarium_pool_machines{state=\"ready\"} %u\n"
			 "terrarium_pool_machines{state=\"making\"} %u\nterrarium_pool_machines{state=\"wanted\"} %u\n"
			 "# TYPE terrarium_pool_low_memory gauge\nterrarium_pool_low_memory %d\n"
			 "# TYPE terrarium_pool_taken_total counter\nterrarium_pool_taken_total %llu\n"
			 "# TYPE terrarium_pool_missed_total counter\nterrarium_pool_missed_total %llu\n"
			 "# TYPE terrarium_pool_failed_total counter\nterrarium_pool_failed_total %llu\n",
			 p.ready, p.making, p.wanted, p.low, (unsigned long long)p.taken, (unsigned long long)p.missed,
			 (unsigned long long)p.failed);
}

void machines_metrics(const struct machines *ms, struct buf *out)
{
	uint32_t counts[HV_STATE_COUNT] = { 0 };
	struct hv_host host;

	for (const struct machine *m = ms->first; m; m = m->next)
		counts[machine_state(m)]++;
	hv_host(ms->hv, &host);
	agent_metrics(ms, out);
	(void)buf_printf(out, "# TYPE terrarium_machines gauge\n");
	for (int s = 0; s < HV_STATE_COUNT; s++)
		(void)buf_printf(out, "terrarium_machines{state=\"%s\"} %u\n", hv_state_name((enum hv_state)s), counts[s]);
	(void)buf_printf(out,
			 "# TYPE terrarium_machines_created_total counter\nterrarium_machines_created_total %llu\n"
			 "# TYPE terrarium_machines_deleted_total counter\nterrarium_machines_deleted_total %llu\n"
			 "# TYPE terrarium_machines_failed_total counter\nterrarium_machines_failed_total %llu\n"
			 "# TYPE terrarium_helper_online gauge\nterrarium_helper_online %d\n"
			 "# TYPE terrarium_slots_used gauge\nterrarium_slots_used %u\n"
			 "# TYPE terrarium_slots_max gauge\nterrarium_slots_max %u\n",
			 (unsigned long long)ms->created, (unsigned long long)ms->deleted, (unsigned long long)ms->failed, host.online,
			 host.slots_used, host.slots_max);
	guest_metrics(ms, out);
	health_lines(ms, out);
	memory_lines(ms, host.pss_bytes, out);
	turn_metrics(ms, out);
	pool_metrics(ms, out);
}
