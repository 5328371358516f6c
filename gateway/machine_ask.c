/* SPDX-License-Identifier: Apache-2.0 */
/* What people ask for: a machine, that it starts, stops or gets another size, and that it goes. */
#include "gateway/machine_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "auth/secret.h"
#include "base/err.h"
#include "base/log.h"
#include "gateway/disks.h"
#include "gateway/quota.h"
#include "gateway/setup.h"

static struct machine *find_key(struct machines *ms, int64_t person, const char *key)
{
	for (struct machine *m = ms->first; m && key[0]; m = m->next)
		if (m->owner == person && strcmp(m->key, key) == 0)
			return m;
	return NULL;
}

/* What the machines of a person have, but for @except (may be NULL). */
static struct quota_use use_of(const struct machines *ms, int64_t person, const struct machine *except)
{
	struct quota_use use = { 0 };
	struct vm_size size;

	for (const struct machine *m = ms->first; m; m = m->next) {
		if (m->owner != person || m == except)
			continue;
		use.machines++;
		machine_size(m, &size);
		use.cpus += size.cpus;
		use.memory_bytes += size.memory_bytes;
	}
	return use;
}

int machine_fits(const struct machine *m, const struct quota *q, struct err *e)
{
	struct quota_use use = use_of(m->ms, m->owner, m);

	if (m->ms->disks && disk_used(disks_db(m->ms->disks), m->owner, m->id_text, &use.disk_bytes, e) < 0)
		return -EIO;
	return quota_check(q, &use, &m->spec, e) ? MACHINE_E_QUOTA : 0;
}

static int fill_row(struct vm_row *row, int64_t person, const struct vm_spec *spec, const char *key, struct err *e)
{
	int r = secret_random(row->id, sizeof(row->id));

	if (machine_put_spec(spec, row->spec, sizeof(row->spec)) < 0)
		return err_set(e, -ENOMEM, "no memory to note the machine");
	if (r < 0)
		return err_set(e, r, "no randomness for the machine's id: %s", strerror(-r));
	row->owner = person;
	row->created_s = time(NULL);
	(void)snprintf(row->key, sizeof(row->key), "%s", key);
	return 0;
}

/* One at a time writes a volume. */
static bool home_taken(struct machines *ms, int64_t person, const struct vm_spec *spec, const struct machine *except, struct err *e)
{
	const struct machine *user = spec->home[0] ? machine_volume_user(ms, person, spec->home, except) : NULL;

	if (user)
		err_set(e, -EBUSY, "home: the volume %s is being used by your machine %s; stop that one first", spec->home, user->spec.name);
	return user;
}

/* May this be made? Return: 0, or MACHINE_E_* */
static int check_wish(struct machines *ms, const struct machine_wish *w, struct machine **out, struct err *e)
{
	const struct mdisks md = { .disks = ms->disks, .owner = w->person, .vm = "", .spec = w->spec };
	struct quota_use use = use_of(ms, w->person, NULL);
	uint64_t home = 0;
	int r;

	*out = find_key(ms, w->person, w->key);
	if (*out)
		return MACHINE_E_REPEATED;
	r = mdisks_check(&md, &home, e);
	if (r < 0)
		return r == -ENOENT ? MACHINE_E_CANNOT : r;
	if (ms->disks && disk_used(disks_db(ms->disks), w->person, "", &use.disk_bytes, e) < 0)
		return -EIO;
	if (quota_disk(w->quota, use.disk_bytes, home, QUOTA_E_HOME, e))
		return MACHINE_E_QUOTA;
	use.disk_bytes += home;
	r = quota_check(w->quota, &use, w->spec, e);
	if (r == QUOTA_E_MACHINES)
		*out = machine_next(ms, w->person, NULL);
	if (r == QUOTA_E_MACHINES && !*out)
		err_set(e, MACHINE_E_EXISTS, "the machine that you have deleted is still being ended; try again in a moment");
	if (r)
		return r == QUOTA_E_MACHINES ? MACHINE_E_EXISTS : MACHINE_E_QUOTA;
	if (home_taken(ms, w->person, w->spec, NULL, e))
		return MACHINE_E_CANNOT;
	return hv_online(ms->hv) ? 0 : err_set(e, MACHINE_E_OFFLINE, "the helper that starts machines is away");
}

int machine_create(struct machines *ms, const struct machine_wish *w, struct machine **out, struct err *e)
{
	struct vm_row row = { 0 };
	struct err why = { 0 };
	struct machine *m, *spare;
	char kind[POOL_KIND_BYTES];
	struct mdisks md;
	int r = check_wish(ms, w, out, e);

	if (r)
		return r;
	r = fill_row(&row, w->person, w->spec, w->key, e);
	spare = r == 0 && !mdisks_any(w->spec) && pool_kind(w->spec, kind) == 0 ? machines_want_spare(ms, w->spec, kind) : NULL;
	if (spare)
		memcpy(row.id, spare->id, sizeof(row.id));
	if (r == 0)
		r = store_vm_put(ms->store, &row, e);
	if (r != 0)
		return r < 0 ? r : err_set(e, -EIO, "two machines got one id");
	m = spare && machine_take_spare(ms, spare, &row, w->spec) == 0 ? spare : spare ? NULL : machines_add(ms, &row, w->spec);
	r = m ? setup_create(&m->setup, ms->loop, store_db(ms->store), m->id, w->recipe, &machine_setup_hooks, m, e) :
		err_set(e, -ENOMEM, "no memory for the machine");
	if (!m || r < 0) {
		(void)store_vm_drop(ms->store, row.id, NULL);
		if (m && spare) {
			m->deleting = true;
			(void)hv_vm_stop(m->vm, HV_STOP_KILL, NULL);
		} else if (m) {
			machine_unlink(m);
			machine_free(m);
		}
		return r;
	}
	ms->created++;
	log_info("machine %s created%s", m->id_text, spare ? ", which was kept ready" : "");
	*out = m;
	if (spare) {
		machine_reveal(m);
		pool_changed(ms->pool, kind, false);
		return 0;
	}
	md = machine_disks_of(m);
	r = mdisks_any(w->spec) ? mdisks_make(&md, e) : 0;
	if (r < 0) {
		m->deleting = true;
		loop_defer(ms->loop, &m->gone, machine_run_gone);
		return r;
	}
	/* A machine that cannot start stays, as failed or stopped, and says why; its owner may start it again. */
	if (hv_vm_start(m->vm, &why) < 0)
		log_warn("machine %s does not start: %s", m->id_text, why.msg);
	return 0;
}

int machine_wrong_state(const struct machine *m, const char *what, struct err *e)
{
	return err_set(e, MACHINE_E_STATE, "a machine that is %s cannot be %s", hv_state_name(machine_state(m)), what);
}

int machine_offline(const struct machine *m, struct err *e)
{
	return hv_online(m->ms->hv) ? 0 : err_set(e, MACHINE_E_OFFLINE, "the helper that runs machines is away");
}

/* What hv refuses with a reason for people. */
int machine_refused(int r)
{
	return r == -EOPNOTSUPP || r == -EINVAL || r == -EBUSY ? MACHINE_E_CANNOT : r;
}

int machine_start(struct machine *m, struct err *e)
{
	if (m->deleting || !machine_at_rest(machine_state(m)))
		return machine_wrong_state(m, "started", e);
	if (home_taken(m->ms, m->owner, &m->spec, m, e))
		return MACHINE_E_CANNOT;
	if (machine_offline(m, e))
		return MACHINE_E_OFFLINE;
	return machine_state(m) == HV_STANDBY ? machine_wake(m, e) : hv_vm_start(m->vm, e);
}

int machine_stop(struct machine *m, enum hv_stop how, struct err *e)
{
	enum hv_state s = machine_state(m);

	if (s == HV_STANDBY) {
		machine_discard(m);
		return 0;
	}
	/* Stopping twice is fine when the second one is meant to be harder. */
	if (machine_at_rest(s) || (s == HV_STOPPING && how == HV_STOP_ASK))
		return machine_wrong_state(m, "stopped", e);
	return machine_offline(m, e) ? MACHINE_E_OFFLINE : hv_vm_stop(m->vm, how, e);
}

int machine_restart(struct machine *m, struct err *e)
{
	enum hv_state s = machine_state(m);

	if (m->deleting || (!machine_at_rest(s) && s != HV_BOOTING && s != HV_READY))
		return machine_wrong_state(m, "restarted", e);
	if (machine_at_rest(s) && home_taken(m->ms, m->owner, &m->spec, m, e))
		return MACHINE_E_CANNOT;
	if (machine_offline(m, e))
		return MACHINE_E_OFFLINE;
	if (s == HV_STANDBY)
		machine_discard(m);
	return machine_at_rest(s) ? hv_vm_start(m->vm, e) : hv_vm_reset(m->vm, e);
}

int machine_pause(struct machine *m, struct err *e)
{
	if (m->deleting || machine_state(m) != HV_READY)
		return machine_wrong_state(m, "paused", e);
	return machine_offline(m, e) ? MACHINE_E_OFFLINE : machine_refused(hv_vm_pause(m->vm, e));
}

int machine_resume(struct machine *m, struct err *e)
{
	if (m->deleting || machine_state(m) != HV_PAUSED)
		return machine_wrong_state(m, "resumed", e);
	return machine_offline(m, e) ? MACHINE_E_OFFLINE : machine_refused(hv_vm_resume(m->vm, e));
}

void machine_size(const struct machine *m, struct vm_size *out)
{
	struct vm_size now;

	(void)hv_vm_size(m->vm, &now, out);
}

int machine_resize(struct machine *m, const struct vm_size *size, const struct quota *q, struct err *e)
{
	struct quota_use use = use_of(m->ms, m->owner, m);
	struct vm_spec spec = m->spec;
	enum hv_state s = machine_state(m);
	int r;

	spec.cpus = size->cpus;
	spec.memory_bytes = size->memory_bytes;
	if (quota_check(q, &use, &spec, e))
		return MACHINE_E_QUOTA;
	if (m->deleting || (!machine_at_rest(s) && s != HV_READY))
		return machine_wrong_state(m, "changed in size", e);
	if (!machine_at_rest(s) && machine_offline(m, e))
		return MACHINE_E_OFFLINE;
	m->refused[0] = '\0';
	m->asked = *size;
	r = machine_refused(hv_vm_resize(m->vm, size, e));
	return r == 0 && machine_at_rest(s) ? machine_note_size(m, size, e) : r;
}

const char *machine_bootlog(const struct machine *m, size_t *len)
{
	return hv_vm_bootlog(m->vm, len);
}

int machine_delete(struct machine *m, struct err *e)
{
	int r;

	if (m->deleting)
		return 0;
	if (machine_at_rest(machine_state(m))) {
		/* Not here and now: the caller, or hv above it, may still hold it. */
		m->deleting = true;
		loop_defer(m->ms->loop, &m->gone, machine_run_gone);
		return 0;
	}
	if (machine_offline(m, e))
		return MACHINE_E_OFFLINE;
	r = machine_state(m) == HV_STOPPING ? 0 : hv_vm_stop(m->vm, HV_STOP_ASK, e);
	if (r == 0)
		m->deleting = true;
	return r;
}
