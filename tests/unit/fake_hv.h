/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FAKE_HV_H
#define TESTS_FAKE_HV_H

/*
 * Stand-ins for hv/ and gateway/stream.c in tests of what is above them: a machine goes wherever the test says, by fake_state(). Included by
 * exactly one file of a test program.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "gateway/stream.h"
#include "gateway/viewer.h"
#include "hv/hv.h"

struct hv {
	const struct hv_hooks *hooks;
	void *arg;
	bool online;
	struct hv_vm *first;
};

struct hv_vm {
	struct hv *hv;
	struct hv_vm *next;
	void *owner;
	enum hv_state state;
	char reason[400];
	struct vm_size size, wish;
	bool resizing;
};

struct stream {
	char id[STREAM_ID_BYTES];
	void *arg;
	const struct stream_hooks *hooks;
	int opened, exit_code, notified;
};

static struct hv *fake;
static int fake_resize_result, fake_start_result, fake_machines, fake_streams;
static size_t fake_seen;

const char *hv_state_name(enum hv_state s)
{
	static const char *const names[] = { "requested", "placing", "starting", "booting", "ready", "paused", "stopping", "stopped", "failed", "standby" };

	return names[s];
}

/* Put a machine into a state, as hv would. */
static inline void fake_state(struct hv_vm *vm, enum hv_state s, const char *reason)
{
	vm->state = s;
	(void)snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
	vm->hv->hooks->on_state(vm->hv->arg, vm);
}

int hv_create(struct hv **out, struct loop *loop, const struct hv_config *c, const struct hv_hooks *hooks, void *arg, struct err *e)
{
	(void)loop;
	(void)c;
	(void)e;
	fake = calloc(1, sizeof(*fake));
	assert(fake);
	fake->hooks = hooks;
	fake->arg = arg;
	fake->online = true;
	*out = fake;
	return 0;
}

struct hv *hv_destroy(struct hv *hv)
{
	while (hv && hv->first) {
		struct hv_vm *vm = hv->first;

		hv->first = vm->next;
		free(vm);
		fake_machines--;
	}
	free(hv);
	fake = NULL;
	return NULL;
}

void hv_vm_group(struct hv_vm *vm, int64_t group)
{
	(void)vm;
	(void)group;
}

int hv_vm_plug(struct hv_vm *vm, const struct hv_disk *d, struct err *e)
{
	(void)vm;
	(void)d;
	return err_set(e, -EOPNOTSUPP, "not this machine");
}

int hv_vm_unplug(struct hv_vm *vm, const char *serial, struct err *e)
{
	(void)vm;
	(void)serial;
	return err_set(e, -EOPNOTSUPP, "not this machine");
}

int hv_vm_card_plug(struct hv_vm *vm, unsigned number, struct err *e)
{
	(void)vm;
	(void)number;
	return err_set(e, -EOPNOTSUPP, "not this machine");
}

int hv_vm_card_unplug(struct hv_vm *vm, unsigned number, struct err *e)
{
	(void)vm;
	(void)number;
	return err_set(e, -EOPNOTSUPP, "not this machine");
}

bool hv_vm_card(const struct hv_vm *vm, unsigned number, struct hv_card *out)
{
	(void)vm;
	(void)number;
	(void)out;
	return false;
}

void hv_vm_prepared(struct hv_vm *vm, const char *why)
{
	(void)vm;
	(void)why;
}

bool hv_online(const struct hv *hv)
{
	return hv->online;
}

struct hv_vm *hv_vm_create(struct hv *hv, const uint8_t id[16], const struct vm_spec *spec, void *owner)
{
	struct hv_vm *vm = calloc(1, sizeof(*vm));

	(void)id;
	assert(vm);
	vm->size = (struct vm_size){ .cpus = spec->cpus, .memory_bytes = spec->memory_bytes };
	vm->hv = hv;
	vm->owner = owner;
	vm->next = hv->first;
	hv->first = vm;
	fake_machines++;
	return vm;
}

static enum hv_state fake_recalled;
static char fake_recalled_why[400];

void hv_vm_recall(struct hv_vm *vm, enum hv_state state, const char *reason)
{
	assert(vm->state == HV_REQUESTED);
	fake_recalled = state;
	(void)snprintf(fake_recalled_why, sizeof(fake_recalled_why), "%s", reason);
}

struct hv_vm *hv_vm_destroy(struct hv_vm *vm)
{
	struct hv_vm **p = &vm->hv->first;

	assert(vm->state == HV_REQUESTED || vm->state == HV_STOPPED || vm->state == HV_FAILED);
	while (*p != vm)
		p = &(*p)->next;
	*p = vm->next;
	free(vm);
	fake_machines--;
	return NULL;
}

void *hv_vm_owner(const struct hv_vm *vm)
{
	return vm->owner;
}

int hv_vm_start(struct hv_vm *vm, struct err *e)
{
	if (fake_start_result < 0)
		return err_set(e, fake_start_result, "it does not start");
	fake_state(vm, HV_PLACING, "");
	return 0;
}

int hv_vm_stop(struct hv_vm *vm, enum hv_stop how, struct err *e)
{
	(void)e;
	fake_state(vm, HV_STOPPING, how == HV_STOP_KILL ? "killed" : "asked");
	return 0;
}

int hv_vm_pause(struct hv_vm *vm, struct err *e)
{
	(void)e;
	fake_state(vm, HV_PAUSED, "");
	return 0;
}

int hv_vm_resume(struct hv_vm *vm, struct err *e)
{
	(void)e;
	fake_state(vm, HV_READY, "");
	return 0;
}

/* A running machine's size changes when the test says so. */
int hv_vm_resize(struct hv_vm *vm, const struct vm_size *size, struct err *e)
{
	if (fake_resize_result < 0)
		return err_set(e, fake_resize_result, "it stays as it is");
	vm->wish = *size;
	vm->resizing = vm->state == HV_READY;
	if (!vm->resizing)
		vm->size = *size;
	return 0;
}

static inline void fake_resized(struct hv_vm *vm, const char *why)
{
	vm->resizing = false;
	if (!why)
		vm->size = vm->wish;
	vm->hv->hooks->on_resized(vm->hv->arg, vm, why);
}

bool hv_vm_size(const struct hv_vm *vm, struct vm_size *now, struct vm_size *wish)
{
	*now = vm->size;
	*wish = vm->resizing ? vm->wish : vm->size;
	return vm->resizing;
}

const char *hv_vm_bootlog(const struct hv_vm *vm, size_t *len)
{
	(void)vm;
	*len = 8;
	return "Linux\r\n\033";
}

void hv_counters(const struct hv *hv, struct hv_counters *out)
{
	(void)hv;
	*out = (struct hv_counters){ .rx_bytes = 4242 };
}

int hv_vm_reset(struct hv_vm *vm, struct err *e)
{
	(void)e;
	fake_state(vm, HV_BOOTING, "");
	return 0;
}

void hv_vm_console_seen(struct hv_vm *vm, const uint8_t *data, size_t len)
{
	(void)vm;
	(void)data;
	fake_seen += len;
}

void hv_vm_agent_seen(struct hv_vm *vm)
{
	(void)vm;
}

int hv_vm_agent_renew(struct hv_vm *vm)
{
	(void)vm;
	return -ENOTCONN;
}

enum hv_template_state hv_template(struct hv *hv, const struct vm_spec *spec, bool make)
{
	(void)hv;
	(void)spec;
	(void)make;
	return HV_TEMPLATE_NONE;
}

bool hv_vm_fits(const struct hv_vm *vm)
{
	(void)vm;
	return true;
}

int hv_vm_suspend(struct hv_vm *vm, int fd, struct err *e)
{
	(void)vm;
	(void)fd;
	return err_set(e, -EOPNOTSUPP, "no");
}

int hv_vm_wake(struct hv_vm *vm, int fd, const char *vmm, struct err *e)
{
	(void)vm;
	(void)fd;
	(void)vmm;
	return err_set(e, -EINVAL, "no");
}

int hv_vm_wake_key(const struct hv_vm *vm, uint64_t *out)
{
	(void)vm;
	*out = 0;
	return 0;
}

void hv_vm_discard(struct hv_vm *vm)
{
	(void)vm;
}

void stream_speak(struct stream *s)
{
	(void)s;
}

void stream_settle(struct stream *s)
{
	(void)s;
}

void stream_ring(const struct stream *s, struct iovec out[2])
{
	(void)s;
	(void)out;
}

void stream_sleep(struct stream *s)
{
	(void)s;
}

int stream_open_asleep(struct stream *s, int ring_fd, uint32_t ring_bytes)
{
	(void)s;
	(void)ring_bytes;
	return fd_close(ring_fd);
}

void hv_vm_become(struct hv_vm *vm, const struct vm_spec *spec)
{
	(void)vm;
	(void)spec;
}

int hv_vm_confidential(const struct hv_vm *vm, struct confidential *out, struct err *e)
{
	(void)vm;
	(void)out;
	return err_set(e, -EINVAL, "the machine is not confidential");
}

void hv_vm_view(const struct hv_vm *vm, struct hv_view *out)
{
	*out = (struct hv_view){ .state = vm->state, .reason = vm->reason, .driver = "local", .accel = "", .ip4 = "10.0.0.2", .slot4 = "10.0.0.2", .before = -1 };
}

void hv_turns(const struct hv *hv, struct hv_turns *out)
{
	(void)hv;
	*out = (struct hv_turns){ .at_once = 4 };
}

void hv_host(const struct hv *hv, struct hv_host *out)
{
	*out = (struct hv_host){ .online = hv->online, .driver = "local", .accel = "tcg", .accel_reason = "", .missing = "", .uplink = "" };
}

json_t *hv_images(const struct hv *hv)
{
	(void)hv;
	return json_pack("[{s:s}]", "name", "micro");
}

int hv_may_run(struct hv *hv, const struct vm_spec *spec, struct err *e)
{
	(void)hv;
	return spec->confidential == VM_CONFIDENTIAL_NONE ? 0 : err_set(e, -EOPNOTSUPP, "no SEV-SNP");
}

int stream_create(struct stream **out, struct loop *loop, struct sched *sched, const char *id, const struct stream_hooks *hooks,
		  void *arg)
{
	struct stream *s = calloc(1, sizeof(*s));

	(void)loop;
	(void)sched;
	assert(s && strlen(id) < sizeof(s->id));
	memcpy(s->id, id, strlen(id) + 1);
	s->hooks = hooks;
	s->arg = arg;
	*out = s;
	fake_streams++;
	return 0;
}

struct stream *stream_destroy(struct stream *s)
{
	fake_streams -= s != NULL;
	free(s);
	return NULL;
}

const char *stream_id(const struct stream *s)
{
	return s->id;
}

void *stream_arg(const struct stream *s)
{
	return s->arg;
}

int stream_open(struct stream *s, const struct hv_console *c)
{
	(void)c;
	s->opened++;
	return 0;
}

void stream_exit(struct stream *s, int code, int signal)
{
	s->exit_code = signal ? -signal : code;
}

/* Shells: there is no agent in these tests, so none is ever opened. */
int stream_open_line(struct stream *s, struct stream_line *line, int ring_fd, uint32_t ring_bytes, bool adopt)
{
	(void)s;
	(void)line;
	(void)ring_bytes;
	(void)adopt;
	(void)fd_close(ring_fd);
	return -EBADMSG;
}

void stream_line_up(struct stream *s, uint64_t written)
{
	(void)s;
	(void)written;
}

void stream_line_output(struct stream *s, const uint8_t *data, size_t len)
{
	(void)s;
	(void)data;
	(void)len;
}

void stream_line_moved(struct stream *s, uint64_t written)
{
	(void)s;
	(void)written;
}

void stream_line_end(struct stream *s, int code, int signal, const char *why)
{
	(void)s;
	(void)code;
	(void)signal;
	(void)why;
}

void stream_resize(struct stream *s, const struct viewer *by, struct ring_size size)
{
	(void)s;
	(void)by;
	(void)size;
}

struct stream_state stream_state(const struct stream *s)
{
	(void)s;
	return (struct stream_state){ .why = "" };
}

struct viewer *stream_viewers(const struct stream *s)
{
	(void)s;
	return NULL;
}

void stream_notify(struct stream *s)
{
	s->notified++;
}

#endif
