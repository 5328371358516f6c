/* SPDX-License-Identifier: Apache-2.0 */
/* `terrarium vm attach`: finds the stream, then gives the terminal to gateway/ctl/attach.c. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/err.h"
#include "base/hex.h"
#include "gateway/ctl/attach.h"
#include "gateway/ctl/begin.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"
#include "gateway/ctl/sealed.h"
#include "hv/snp/chain.h"

struct options {
	const char *vm, *socket, *stream, *name, *owner_key, *ark, *measurement;
	bool console, watch, sealed;
};

/* A new shell, as large as this terminal. Return: 0 with its id in @out */
static int open_shell(const struct options *o, const char *vm, char out[WIRE_STREAM_TEXT], struct err *e)
{
	struct winsize size = { 0 };
	json_t *body;
	int r;

	(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	body = json_pack("{s:s, s:s*, s:i, s:i}", "kind", o->sealed ? "sealed" : "shell", "name", o->name, "cols", size.ws_col, "rows", size.ws_row);
	r = begin_stream(o->socket, vm, body, out, e);
	json_decref(body);
	return r;
}

/* Has it one, or has one been there a moment ago? The console shows a machine that boots. */
static bool has_agent(const json_t *vm)
{
	const char *agent = pick_string(vm, "agent");

	return strcmp(agent, "ready") == 0 || (strcmp(agent, "connecting") == 0 && strcmp(pick_string(vm, "state"), "ready") == 0);
}

static void take_console(const char *vm, char out[WIRE_STREAM_TEXT])
{
	(void)snprintf(out, WIRE_STREAM_TEXT, "%s.console", vm);
}

/* The certificates come now: a handshake does not wait for them. */
static int make_terms(const struct options *o, struct sealed_terms *t, struct err *e)
{
	uint8_t nonce[SEAL_BIND_BYTES];
	char data[2 * SEAL_BIND_BYTES + 1];
	json_t *answer = NULL;
	int r = owner_key_read(o->owner_key, &t->owner, e);

	(void)snprintf(t->measurement, sizeof(t->measurement), "%s", o->measurement);
	if (r == 0 && o->ark)
		r = ctl_load(o->ark, SNP_CERT_MAX, &t->ark, e);
	if (r == 0 && getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		r = err_set(e, -EIO, "no random bytes");
	if (r < 0)
		return r;
	hex_encode(nonce, sizeof(nonce), data);
	r = evidence_ask(o->socket, t->vm, data, &answer, e);
	if (r == 0)
		r = evidence_take(answer, t->files, e);
	if (r == 0 && (t->files[EVIDENCE_VEK].len == 0 || t->files[EVIDENCE_CHAIN].len == 0))
		r = err_set(e, -ENOENT, "the gateway has no certificates of this processor: %.200s", pick_string(answer, "certificates_reason"));
	json_decref(answer);
	return r;
}

static void finish_terms(struct sealed_terms *t)
{
	for (size_t i = 0; i < EVIDENCE_PIECES; i++)
		ctl_file_finish(&t->files[i]);
	ctl_file_finish(&t->ark);
	explicit_bzero(t, sizeof(*t));
}

static int choose(const struct options *o, struct attach_options *a, struct sealed_terms *t, struct err *e)
{
	json_t *vm = NULL;
	char id[PICK_ID_BYTES];
	int r = pick_vm(o->socket, o->vm, &vm, e);
	bool agent = r == 0 && has_agent(vm), any = !o->name && !o->sealed;

	if (r == 0 && pick_text(vm, "id", id, sizeof(id)) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer has no machine");
	json_decref(vm);
	if (r < 0)
		return r;
	(void)snprintf(t->vm, sizeof(t->vm), "%s", id);
	if (o->stream)
		return pick_stream(o->socket, id, o->stream, a->stream, e);
	if (!o->console && (agent || !any))
		r = open_shell(o, id, a->stream, e);
	else
		take_console(id, a->stream);
	if (r == -EHOSTDOWN && any) {
		take_console(id, a->stream);
		r = 0;
	}
	return r;
}

int cmd_vm_attach(int argc, char **argv)
{
	struct options o = { 0 };
	const struct ctl_option table[] = {
		{ .name = "stream", .text = &o.stream, .value = "S", .help = "an open shell, by its name or id" },
		{ .name = "name", .text = &o.name, .value = "NAME", .help = "what a new shell is called" },
		{ .name = "console", .flag = &o.console, .help = "the machine's console, which is there without an agent, too" },
		{ .name = "watch", .flag = &o.watch, .help = "look on only" },
		{ .name = "sealed", .flag = &o.sealed, .help = "a terminal that only this computer and a confidential machine can read" },
		{ .name = "measurement", .text = &o.measurement, .value = "HEX", .help = "with --sealed: what it must measure as, of terrarium snp launch" },
		{ .name = "owner-key", .text = &o.owner_key, .value = "FILE", .help = "with --sealed: of terrarium snp owner-key; yours unless given" },
		{ .name = "ark", .text = &o.ark, .value = "A", .help = "with --sealed: a root to trust instead of AMD's" },
		{ .name = "socket", .text = &o.socket, .value = "PATH", .help = "control socket of the gateway: to watch anybody's" },
		{ 0 },
	};
	struct attach_options a = { 0 };
	struct sealed_terms terms = { .measurement = "" };
	struct err e = { 0 };
	int r = ctl_operand("vm attach", "VM", table, argc, argv, &o.vm);

	if (r != CTL_GO)
		return r;
	if ((o.stream != NULL) + o.console + (o.name != NULL) > 1)
		return ctl_usage("vm attach", "--stream, --name and --console exclude one another");
	if (o.sealed && (!o.measurement || strlen(o.measurement) != 96 || strspn(o.measurement, "0123456789abcdef") != 96))
		return ctl_usage("vm attach", "--sealed needs --measurement, 96 lower-case hexadecimal digits: any system could be in the machine otherwise");
	if (o.sealed ? o.console || o.watch || o.socket : o.measurement || o.owner_key || o.ark)
		return ctl_usage("vm attach", "--sealed excludes --console, --watch and --socket; --measurement, --owner-key and --ark go with it");
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return ctl_usage("vm attach", "this is no terminal: terrarium vm exec is for programs");
	a.socket = o.socket;
	a.watch = o.watch;
	r = choose(&o, &a, &terms, &e);
	if (r == 0 && o.sealed) {
		r = make_terms(&o, &terms, &e);
		a.sealed = &terms;
	}
	r = r < 0 ? ctl_refuse("vm attach", false, &e) : attach_run(&a);
	finish_terms(&terms);
	return r;
}
