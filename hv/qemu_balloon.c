/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/qemu_balloon.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/loop.h"
#include "hv/driver.h"
#include "hv/qmp.h"

#define MIB	  (1ULL << 20)
#define AGAIN_S	  0.25
#define LOOKS_MAX 20 /* a guest that fills it does so without a pause */

static void look(struct qemu_balloon *b)
{
	(void)qmp_send(b->qmp, "query-balloon");
}

static void on_again(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	look(w->data);
}

void qemu_balloon_open(struct qemu_balloon *b, struct hv_vm *vm, struct qmp *qmp, bool present, bool ask)
{
	*b = (struct qemu_balloon){ .vm = vm, .qmp = qmp, .present = present };
	ev_init(&b->again, on_again);
	b->again.data = b;
	if (!ask)
		return;
	(void)qmp_send(qmp, "query-memory-size-summary");
	look(b);
}

void qemu_balloon_close(struct qemu_balloon *b)
{
	if (b->vm)
		ev_timer_stop(hv_vm_loop(b->vm)->ev, &b->again);
	b->resizing = false;
}

int qemu_balloon_may(const struct qemu_balloon *b, const struct vm_size *now, const struct vm_size *wish, struct err *e)
{
	uint64_t total = b && b->total ? b->total : now->memory_bytes;

	if (b && !b->present)
		return err_set(e, -EOPNOTSUPP, "this machine of QEMU cannot be changed in size while it runs: only one of the type q35 that has booted, and did not begin "
			       "as a clone, has a balloon; stop it first");
	if (wish->cpus != now->cpus)
		return err_set(e, -EINVAL, "the processors of a running machine of QEMU are fixed; stop it first");
	if (wish->memory_bytes > total)
		return err_set(e, -EINVAL, "a running machine of QEMU has at most the memory that it began with: %llu MiB; stop it first",
			       (unsigned long long)(total / MIB));
	return 0;
}

bool qemu_balloon_holds(const struct qemu_balloon *b)
{
	struct vm_size now, wish;

	(void)hv_vm_size(b->vm, &now, &wish);
	return b->present && b->total > 0 && now.memory_bytes < b->total;
}

int qemu_balloon_resize(struct qemu_balloon *b, const struct vm_size *wish)
{
	struct vm_size now, then;
	json_t *args = json_pack("{s:I}", "value", (json_int_t)wish->memory_bytes);

	(void)hv_vm_size(b->vm, &now, &then);
	if (b->total == 0)
		b->total = now.memory_bytes;
	if (!args || qmp_command(b->qmp, "balloon", args, -1) < 0)
		return -EOPNOTSUPP;
	b->wish = wish->memory_bytes;
	b->seen = 0;
	b->looks = 0;
	b->resizing = true;
	look(b);
	return 0;
}

static void end(struct qemu_balloon *b, const char *why)
{
	b->resizing = false;
	hv_event_resized(b->vm, why);
}

/* It fills bit by bit; what the guest does not do within a while it may do any time later, so it is told to leave it as it is. */
static void on_size(struct qemu_balloon *b, uint64_t actual)
{
	struct vm_size now, wish;
	json_t *args;

	b->present = true;
	if (!b->resizing) {
		(void)hv_vm_size(b->vm, &now, &wish);
		now.memory_bytes = actual;
		hv_event_size(b->vm, &now);
		return;
	}
	if (actual == b->wish) {
		end(b, NULL);
		return;
	}
	b->looks = actual == b->seen ? b->looks + 1 : 0;
	b->seen = actual;
	if (b->looks < LOOKS_MAX) {
		ev_timer_set(&b->again, AGAIN_S, 0.);
		ev_timer_start(hv_vm_loop(b->vm)->ev, &b->again);
		return;
	}
	args = json_pack("{s:I}", "value", (json_int_t)actual);
	if (args)
		(void)qmp_command(b->qmp, "balloon", args, -1);
	end(b, "the guest does not give so much memory back");
}

void qemu_balloon_message(struct qemu_balloon *b, const struct qmp_message *m)
{
	json_int_t n;

	if (m->kind == QMP_RETURN && strcmp(m->name, "query-balloon") == 0) {
		n = json_integer_value(json_object_get(m->data, "actual"));
		if (n > 0)
			on_size(b, (uint64_t)n);
	} else if (m->kind == QMP_RETURN && strcmp(m->name, "query-memory-size-summary") == 0) {
		n = json_integer_value(json_object_get(m->data, "base-memory"));
		b->total = n > 0 ? (uint64_t)n : 0;
	} else if (m->kind == QMP_ERROR && b->resizing && (strcmp(m->name, "balloon") == 0 || strcmp(m->name, "query-balloon") == 0)) {
		end(b, m->text);
	}
}
