/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cli.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "gateway/ctl/ctl.h"
#include "gateway/ctl/evidence.h"
#include "gateway/ctl/rest.h"
#include "hv/snp/chain.h"
#include "hv/snp/verify.h"

/*
 * `terrarium vm attest`: a report of a machine with 64 random bytes of ours in it, what its verifier needs, the verdict, and all of it in a folder for others
 * to judge by other programs. The gateway is a messenger here: nothing that it says is believed but what the report proves.
 */

#define NAME	     "vm attest"
#define DATA_BYTES   64

struct options {
	const char *vm, *socket, *out, *measurement, *host_data, *ark;
	bool json;
};

/* What goes into the folder, by the name it has there. */
static const char *const files[EVIDENCE_PIECES] = { "report.bin", "vek.der", "chain.pem", "crl.der" };

struct evidence {
	struct ctl_file file[EVIDENCE_PIECES], ark;
	char data[2 * DATA_BYTES + 1], *policy;
	bool own_measurement, any_measurement;
	struct snp_findings found;
	int verdict;
	struct err why;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "out", .text = &o->out, .value = "DIR", .help = "folder for the evidence; VM.evidence unless given" },
		{ .name = "measurement", .text = &o->measurement, .value = "HEX", .help = "what it must measure as, of terrarium snp launch" },
		{ .name = "host-data", .text = &o->host_data, .value = "HEX", .help = "what HOST_DATA must be, of terrarium snp owner" },
		{ .name = "ark", .text = &o->ark, .value = "A", .help = "a root to trust instead of AMD's" },
		CTL_SOCKET_OPTION(o->socket),
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_operand(NAME, "VM", table, argc, argv, &o->vm);
}

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static bool is_id(const char *text)
{
	return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

/* A machine may be called by its id or, where that is one machine, by its name. */
static int find_id(const struct options *o, char id[33], struct err *e)
{
	struct rest_request req = { .socket = o->socket, .method = "GET", .path = "/api/v1/vms?limit=200" };
	json_t *answer = NULL, *vm;
	unsigned hits = 0;
	size_t i;
	int r;

	if (is_id(o->vm)) {
		memcpy(id, o->vm, 33);
		return 0;
	}
	r = rest_call(&req, &answer, e);
	if (r < 0)
		return r;
	json_array_foreach(json_object_get(answer, "items"), i, vm) {
		const char *name = json_string_value(json_object_get(vm, "name")), *text = json_string_value(json_object_get(vm, "id"));

		if (!name || !text || strcmp(name, o->vm) != 0 || !is_id(text))
			continue;
		memcpy(id, text, 33);
		hits++;
	}
	json_decref(answer);
	if (hits == 1)
		return 0;
	return err_set(e, -ENOENT, hits ? "several machines are called %.64s; give the id" : "you have no machine called %.64s", o->vm);
}

/* --- the answer, taken apart ------------------------------------------------------------------------------------------- */

static int take(const struct options *o, const json_t *answer, struct evidence *ev, struct err *e)
{
	int r = evidence_take(answer, ev->file, e);

	if (r == 0 && ev->file[EVIDENCE_REPORT].len == 0)
		r = err_set(e, -EBADMSG, "the gateway's answer has no report");
	if (r == 0 && o->ark)
		r = ctl_load(o->ark, SNP_CERT_MAX, &ev->ark, e);
	return r;
}

/* Of the person, else of the gateway: then it is only what the gateway claims to have launched. */
static void put_value(json_t *policy, const char *member, const char *own, const json_t *expected)
{
	const char *theirs = json_string_value(json_object_get(expected, member));

	if (own || theirs)
		(void)json_object_set_new(policy, member, json_string(own ? own : theirs));
}

static int make_policy(const struct options *o, const json_t *answer, struct evidence *ev, struct err *e)
{
	const json_t *expected = json_object_get(answer, "expected");
	json_t *policy = json_pack("{s:b, s:b, s:i, s:s}", "allow_debug", 0, "allow_migrate_ma", 0, "vmpl", 0, "report_data", ev->data);

	if (policy) {
		put_value(policy, "measurement", o->measurement, expected);
		put_value(policy, "host_data", o->host_data, expected);
		ev->own_measurement = o->measurement != NULL;
		ev->any_measurement = json_object_get(policy, "measurement") != NULL;
		ev->policy = json_dumps(policy, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	}
	json_decref(policy);
	return ev->policy ? 0 : err_set(e, -ENOMEM, "no memory");
}

static struct snp_bytes bytes_of(const struct ctl_file *f)
{
	return (struct snp_bytes){ f->data, f->len };
}

static int judge(struct evidence *ev, struct err *e)
{
	static struct snp_policy policy; /* its lists are too large for a stack */
	const struct snp_evidence evidence = { .report = bytes_of(&ev->file[EVIDENCE_REPORT]), .vek = bytes_of(&ev->file[EVIDENCE_VEK]),
					       .intermediate = bytes_of(&ev->file[EVIDENCE_CHAIN]), .ark = bytes_of(&ev->ark), .crl = bytes_of(&ev->file[EVIDENCE_CRL]) };

	if (snp_policy_parse(ev->policy, strlen(ev->policy), &policy, e) < 0)
		return -EINVAL;
	ev->verdict = snp_verify(&evidence, &policy, time(NULL), &ev->found, &ev->why);
	return 0;
}

/* --- the folder -------------------------------------------------------------------------------------------------------- */

static int write_in(const char *dir, const char *name, const void *data, size_t len, struct err *e)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "%.200s: too long a path", dir);
	return ctl_write(path, data, len, e);
}

static const char readme[] =
	"Evidence about a machine\n"
	"========================\n\n"
	"report.bin     attestation report of AMD SEV-SNP, 1184 bytes\n"
	"vek.der        certificate of the key that signed it; chain.pem: who issued that; crl.der: AMD's revocation list\n"
	"policy.json    what was compared: REPORT_DATA, 64 random bytes of whoever asked; the measurement; whose machine it is\n"
	"expected.json  what the gateway says that it has launched: a claim, to be worked out again (below)\n\n"
	"To judge it with this project's program, on a computer that you trust, connected to nothing:\n\n"
	"  terrarium snp verify --report report.bin --vek vek.der --intermediate chain.pem --crl crl.der --policy policy.json%s\n\n"
	"With others:\n\n"
	"  openssl x509 -inform der -in vek.der >vek.pem\n"
	"  awk '/BEGIN/ { n++ } { print >(n == 1 ? \"ask.pem\" : \"ark.pem\") }' chain.pem\n"
	"  openssl verify -CAfile ark.pem -untrusted ask.pem vek.pem      then compare the SHA-256 of the root with AMD's\n"
	"  mkdir certs && cp ask.pem ark.pem certs && cp vek.pem certs/vcek.pem\n"
	"  snpguest verify attestation certs report.bin\n\n"
	"To work out the measurement yourself, from the release (firmware, and the image's vmlinuz and initrd):\n\n"
	"  terrarium snp measure --firmware OVMF.amdsev.fd --kernel vmlinuz --initrd initrd --append '%s' --vcpus %lld --vcpu-type EPYC-v4\n\n"
	"and put it into policy.json. A report proves that such a machine ran with these 64 bytes at hand; docs/confidential.md says what it does not prove.\n";

static int write_readme(const struct options *o, const char *dir, const json_t *answer, struct err *e)
{
	const json_t *expected = json_object_get(answer, "expected");
	const char *append = json_string_value(json_object_get(expected, "append"));
	json_int_t vcpus = json_integer_value(json_object_get(expected, "vcpus"));
	_free_ char *text = NULL;
	int n;

	/* It stands between quotes of a shell. */
	if (!append || strchr(append, '\''))
		append = "COMMAND LINE";
	n = asprintf(&text, readme, o->ark ? " --ark ark" : "", append, vcpus > 0 ? (long long)vcpus : 1LL);
	if (n < 0) {
		text = NULL;
		return err_set(e, -ENOMEM, "no memory");
	}
	return write_in(dir, "README", text, (size_t)n, e);
}

static int write_json(const char *dir, const char *name, const json_t *v, struct err *e)
{
	_free_ char *text = json_dumps(v, JSON_INDENT(1) | JSON_PRESERVE_ORDER);

	return text ? write_in(dir, name, text, strlen(text), e) : err_set(e, -ENOMEM, "no memory");
}

static int write_folder(const struct options *o, const char *dir, const json_t *answer, const struct evidence *ev, struct err *e)
{
	const json_t *expected = json_object_get(answer, "expected");
	int r = 0;

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make the folder %s: %s", dir, strerror(errno));
	for (int i = 0; r == 0 && i < EVIDENCE_PIECES; i++) {
		if (ev->file[i].len > 0)
			r = write_in(dir, files[i], ev->file[i].data, ev->file[i].len, e);
	}
	if (r == 0)
		r = write_in(dir, "policy.json", ev->policy, strlen(ev->policy), e);
	if (r == 0 && json_is_object(expected))
		r = write_json(dir, "expected.json", expected, e);
	if (r == 0 && o->ark)
		r = write_in(dir, "ark", ev->ark.data, ev->ark.len, e);
	return r == 0 ? write_readme(o, dir, answer, e) : r;
}

/* --- what came of it --------------------------------------------------------------------------------------------------- */

static const char *about_measurement(const struct evidence *ev)
{
	if (ev->own_measurement)
		return "as you gave it";
	return ev->any_measurement ? "as the gateway claims; work it out with terrarium snp launch and give it with --measurement" :
				     "not compared: the gateway names none, and --measurement was not given";
}

static int print(const struct options *o, const char *dir, const json_t *answer, const struct evidence *ev)
{
	const char *certs = json_string_value(json_object_get(answer, "certificates_reason"));
	bool valid = ev->verdict == 0;

	if (o->json) {
		json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:b}", "verdict", valid ? "valid" : "invalid", "evidence", dir, "report_data", ev->data,
					"measurement_is", ev->own_measurement ? "given" : ev->any_measurement ? "claimed" : "unknown", "amd_root",
					ev->found.pinned);
		if (out && !valid) {
			(void)json_object_set_new(out, "check", json_string(ev->verdict > 0 ? snp_check_name((enum snp_check)ev->verdict) : "error"));
			(void)json_object_set_new(out, "reason", json_string(ev->why.msg));
		}
		return ctl_print_json(out) == CLI_OK && valid ? CLI_OK : CLI_REFUSED;
	}
	if (valid)
		puts("valid");
	else
		printf("invalid: %s: %s\n", ev->verdict > 0 ? snp_check_name((enum snp_check)ev->verdict) : "error", ev->why.msg);
	printf("measurement: %s\n", about_measurement(ev));
	if (valid)
		printf("root: %s\n", ev->found.pinned ? "AMD's" : "the one that you gave");
	if (certs && certs[0])
		printf("certificates: %.300s\n", certs);
	printf("evidence: %s\n", dir);
	return fflush(stdout) == 0 && valid ? CLI_OK : CLI_REFUSED;
}

static void finish(struct evidence *ev)
{
	for (int i = 0; i < EVIDENCE_PIECES; i++)
		ctl_file_finish(&ev->file[i]);
	ctl_file_finish(&ev->ark);
	free(ev->policy);
}

static bool is_hex(const char *text, size_t digits)
{
	return !text || (strlen(text) == digits && strspn(text, "0123456789abcdef") == digits);
}

int cmd_vm_attest(int argc, char **argv)
{
	struct evidence ev = { .policy = NULL };
	struct options o = { 0 };
	uint8_t nonce[DATA_BYTES];
	json_t *answer = NULL;
	char id[33], dir[128];
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (!is_hex(o.measurement, 96) || !is_hex(o.host_data, 64))
		return ctl_usage(NAME, "--measurement is 96, --host-data 64 lower-case hexadecimal digits");
	(void)snprintf(dir, sizeof(dir), "%.64s.evidence", o.vm);
	if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
		return CLI_REFUSED;
	hex_encode(nonce, sizeof(nonce), ev.data);
	r = find_id(&o, id, &e);
	if (r == 0)
		r = evidence_ask(o.socket, id, ev.data, &answer, &e);
	if (r == 0)
		r = take(&o, answer, &ev, &e);
	if (r == 0)
		r = make_policy(&o, answer, &ev, &e);
	if (r == 0)
		r = judge(&ev, &e);
	if (r == 0)
		r = write_folder(&o, o.out ? o.out : dir, answer, &ev, &e);
	r = r == 0 ? print(&o, o.out ? o.out : dir, answer, &ev) : ctl_refuse(NAME, o.json, &e);
	json_decref(answer);
	finish(&ev);
	return r;
}
