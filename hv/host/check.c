/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: one table of checks. A check needs at most one other; where that one failed or could not be made, it is not
 * applicable: what follows from one cause is said once. The rows about the processor and its firmware are those of AMD's guides as snphost
 * (virtee) checks them, with the version compared as a version and what Linux and QEMU need beside them.
 */
#include "hv/host/host.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/snp/bytes.h"

#define MSR_SYSCFG   0xc0010010u
#define MSR_RMP_BASE 0xc0010132u
#define MSR_RMP_END  0xc0010133u
#define LEAF_SEV     0x8000001fu
#define KVM_API	     12u /* the only one there has been since Linux 2.6.22 */
#define GIB	     (1ULL << 30)
#define LOCK_ENOUGH  (16 * GIB) /* the largest machine */

enum { SEV_PLATFORM_STATUS = 1, SNP_PLATFORM_STATUS = 9 };
enum { SEV_STATUS_BYTES = 12, SNP_STATUS_BYTES = 32 }; /* linux/psp-sev.h: struct sev_user_data_status, _snp_status */

struct judge {
	const struct host_probe *probe;
	const char *firmware;
	struct host_report *report;
	struct host_row *row; /* being filled */
};

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static int ask(const struct judge *j, enum host_what what, const char *name, uint32_t number, void *out, size_t size)
{
	return j->probe->ask(j->probe->arg, what, name, number, out, size);
}

/* Text, terminated, without the line feed at its end. */
static int ask_text(const struct judge *j, enum host_what what, const char *name, char *out, size_t size)
{
	int n = ask(j, what, name, 0, out, size - 1);

	if (n < 0)
		return n;
	while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == ' '))
		n--;
	out[n] = '\0';
	return n;
}

static int ask_number(const struct judge *j, enum host_what what, uint32_t number, uint64_t *out)
{
	uint8_t bytes[8];
	int n = ask(j, what, "", number, bytes, sizeof(bytes));

	if (n >= 0 && n != sizeof(bytes))
		return -EBADMSG;
	*out = n < 0 ? 0 : le64(bytes);
	return n < 0 ? n : 0;
}

enum cpu_register { EAX, EBX, ECX, EDX };

/* 0 for a leaf that the processor does not have, as the processor itself answers. */
static uint32_t cpuid(const struct judge *j, uint32_t leaf, enum cpu_register which)
{
	uint8_t words[16];

	return ask(j, HOST_CPUID, "", leaf, words, sizeof(words)) == sizeof(words) ? le32(words + 4 * which) : 0;
}

static int sev_status(const struct judge *j, uint32_t command, uint8_t *out, size_t size)
{
	int n = ask(j, HOST_SEV, "", command, out, size);

	return n == (int)size ? 0 : n < 0 ? n : -EBADMSG;
}

/* --- answering --------------------------------------------------------------------------------------------------------- */

static enum host_verdict found(struct judge *j, enum host_verdict v, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static enum host_verdict found(struct judge *j, enum host_verdict v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(j->row->found, sizeof(j->row->found), fmt, ap);
	va_end(ap);
	if (!j->row->found[0]) /* an empty file, say */
		(void)snprintf(j->row->found, sizeof(j->row->found), "nothing is said there");
	return v;
}

static enum host_verdict yes_or(struct judge *j, bool good, enum host_verdict other, const char *yes, const char *no)
{
	return found(j, good ? HOST_OK : other, "%s", good ? yes : no);
}

/* What cannot be looked at is not known to be wrong. */
static enum host_verdict unread(struct judge *j, const char *what, int r)
{
	if (r == -EACCES || r == -EPERM)
		return found(j, HOST_WARN, "%s cannot be read: not allowed; ask again as root", what);
	if (r == -ENOENT)
		return found(j, HOST_WARN, "%s cannot be read: not there", what);
	return found(j, HOST_WARN, "%s cannot be read: %s", what, strerror(-r));
}

/* The secure processor's device is there, or its row has failed: what it refuses is not initialised. */
static enum host_verdict no_status(struct judge *j, const char *what, int r)
{
	if (r == -EACCES || r == -EPERM)
		return unread(j, what, r);
	return found(j, HOST_FAIL, "%s is not told: %s", what, strerror(-r));
}

static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; (p = strstr(p, word)); p += len) {
		bool begins = p == text || strchr(" \t\n", p[-1]), ends = p[len] == '\0' || strchr(" \t\n,", p[len]);

		if (begins && ends)
			return true;
	}
	return false;
}

/* The first two numbers with a dot between them in @text. Return: major << 16 | minor, or 0. */
static uint32_t version_in(const char *text)
{
	for (const char *p = text; *p; p++) {
		char *end;
		unsigned long major, minor;

		if (*p < '0' || *p > '9')
			continue;
		major = strtoul(p, &end, 10);
		if (*end != '.' || end[1] < '0' || end[1] > '9') {
			p = end - 1;
			continue;
		}
		minor = strtoul(end + 1, NULL, 10);
		return major > 0xffff || minor > 0xffff ? 0 : (uint32_t)(major << 16 | minor);
	}
	return 0;
}

#define VERSION(major, minor) ((major) << 16 | (minor))

/* --- machines ---------------------------------------------------------------------------------------------------------- */

static enum host_verdict check_kvm(struct judge *j)
{
	uint64_t api;
	int r = ask(j, HOST_OPEN, "/dev/kvm", 0, NULL, 0);

	if (r == -ENOENT)
		return found(j, HOST_WARN, "there is no /dev/kvm");
	if (r == -EACCES || r == -EPERM)
		return found(j, HOST_WARN, "/dev/kvm may not be opened by this user; terrarium-netd gives it to machines itself");
	if (r >= 0)
		r = ask_number(j, HOST_KVM, HOST_KVM_API, &api);
	if (r < 0)
		return found(j, HOST_WARN, "/dev/kvm does not answer: %s", strerror(-r));
	return found(j, api == KVM_API ? HOST_OK : HOST_WARN, "/dev/kvm answers, API version %llu", (unsigned long long)api);
}

static enum host_verdict check_guests(struct judge *j)
{
	char text[200];
	int r = ask_text(j, HOST_GUESTS, "", text, sizeof(text));

	if (r < 0)
		return found(j, HOST_NA, "not tried yet: terrariumd boots a guest to find out when it first starts");
	return strcmp(text, "yes") == 0 ? found(j, HOST_OK, "terrariumd has booted one") : found(j, HOST_WARN, "%s", text);
}

static enum host_verdict check_cgroup(struct judge *j)
{
	char text[256];
	int r = ask_text(j, HOST_FILE, "/sys/fs/cgroup/cgroup.controllers", text, sizeof(text));

	if (r < 0)
		return found(j, HOST_WARN, "no control groups of version 2 at /sys/fs/cgroup");
	if (has_word(text, "cpu") && has_word(text, "memory") && has_word(text, "pids"))
		return found(j, HOST_OK, "version 2, with cpu, memory and pids");
	return found(j, HOST_WARN, "version 2 has only: %.150s", text);
}

static enum host_verdict check_tun(struct judge *j)
{
	int r = ask(j, HOST_OPEN, "/dev/net/tun", 0, NULL, 0);

	if (r >= 0)
		return found(j, HOST_OK, "/dev/net/tun can be opened");
	return found(j, HOST_FAIL, "/dev/net/tun cannot be opened: %s", strerror(-r));
}

static enum host_verdict check_nftables(struct judge *j)
{
	return yes_or(j, ask(j, HOST_EXISTS, "/sys/module/nf_tables", 0, NULL, 0) >= 0, HOST_WARN, "the kernel has nf_tables",
		      "nf_tables is not loaded; a kernel that has it loads it with the first rule");
}

/* One line "PATH: VERSION" of a program. */
static enum host_verdict check_program(struct judge *j, const char *name, enum host_verdict without)
{
	char text[400], *version;
	int r = ask_text(j, HOST_PROGRAM, name, text, sizeof(text));

	if (r < 0)
		return found(j, without, "%s is not installed", name);
	version = strchr(text, '\n');
	if (version)
		*version++ = '\0';
	return found(j, HOST_OK, "%.80s: %.100s", text, version ? version : "of an unknown version");
}

static enum host_verdict check_qemu(struct judge *j)
{
	return check_program(j, "qemu-system-x86_64", HOST_WARN);
}

static enum host_verdict check_ch(struct judge *j)
{
	return check_program(j, "cloud-hypervisor", HOST_WARN);
}

static enum host_verdict verdict_of(const struct judge *j, const char *id)
{
	for (size_t i = 0; i < j->report->count; i++) {
		if (strcmp(j->report->rows[i].id, id) == 0)
			return j->report->rows[i].verdict;
	}
	return HOST_NA;
}

/* As hv/hv.c chooses. */
static enum host_verdict check_driver(struct judge *j)
{
	bool qemu = verdict_of(j, "qemu") == HOST_OK, ch = verdict_of(j, "cloud-hypervisor") == HOST_OK;
	bool kvm = verdict_of(j, "kvm") == HOST_OK && verdict_of(j, "kvm-guests") == HOST_OK;
	struct host_report *out = j->report;

	out->driver = ch && (kvm || !qemu) ? "cloud-hypervisor" : qemu ? "qemu" : "local";
	if (ch && kvm)
		(void)snprintf(out->why, sizeof(out->why), "Cloud Hypervisor is installed and guests run under KVM");
	else if (ch && !qemu)
		(void)snprintf(out->why, sizeof(out->why), "QEMU is not installed; without KVM, machines will not start");
	else if (qemu && kvm)
		(void)snprintf(out->why, sizeof(out->why), "under KVM; Cloud Hypervisor, which would be chosen before it, is not installed");
	else if (qemu)
		(void)snprintf(out->why, sizeof(out->why), "%s; better: %s", "in software emulation unless the gateway finds that guests run under KVM",
			       ch ? "KVM, with which Cloud Hypervisor would be chosen" : "KVM, and cloud-hypervisor beside it");
	else
		(void)snprintf(out->why, sizeof(out->why), "neither QEMU nor Cloud Hypervisor is installed: only shells on this host, for trying out");
	return found(j, qemu || (ch && verdict_of(j, "kvm") == HOST_OK) ? HOST_OK : HOST_FAIL, "%s: %.180s", out->driver, out->why);
}

/* --- the processor ----------------------------------------------------------------------------------------------------- */

static void put_word(char *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (char)(v >> 8 * i & 0x7f);
}

static enum host_verdict check_amd(struct judge *j)
{
	char vendor[13] = "";

	put_word(vendor, cpuid(j, 0, EBX));
	put_word(vendor + 4, cpuid(j, 0, EDX));
	put_word(vendor + 8, cpuid(j, 0, ECX));
	vendor[12] = '\0';
	if (strcmp(vendor, "AuthenticAMD") == 0)
		return found(j, HOST_OK, "%s", vendor);
	return found(j, HOST_FAIL, "the processor is no AMD (%s): it has no SEV-SNP", vendor[0] ? vendor : "unknown");
}

static enum host_verdict check_metal(struct judge *j)
{
	return yes_or(j, (cpuid(j, 1, ECX) >> 31) == 0, HOST_FAIL, "the processor itself",
		      "this computer is a virtual machine itself: SEV-SNP is not handed on to it");
}

static enum host_verdict check_epyc(struct judge *j)
{
	char brand[49] = "";
	const char *text = brand;

	for (uint32_t i = 0; i < 3; i++)
		for (int r = EAX; r <= EDX; r++)
			put_word(brand + 16 * i + 4 * (unsigned)r, cpuid(j, 0x80000002u + i, (enum cpu_register)r));
	brand[48] = '\0';
	text += strspn(text, " ");
	return found(j, strstr(text, "EPYC") ? HOST_OK : HOST_FAIL, "%s", text[0] ? text : "the processor does not name its brand");
}

static enum host_verdict check_bit(struct judge *j, unsigned bit, const char *what)
{
	bool has = cpuid(j, LEAF_SEV, EAX) >> bit & 1;

	return found(j, has ? HOST_OK : HOST_FAIL, "the processor %s %s", has ? "has" : "does not have", what);
}

static enum host_verdict check_sme(struct judge *j)
{
	return check_bit(j, 0, "SME");
}

static enum host_verdict check_sev(struct judge *j)
{
	return check_bit(j, 1, "SEV");
}

static enum host_verdict check_sev_es(struct judge *j)
{
	return check_bit(j, 3, "SEV-ES");
}

static enum host_verdict check_snp(struct judge *j)
{
	return check_bit(j, 4, "SEV-SNP");
}

static enum host_verdict check_vmpl(struct judge *j)
{
	enum host_verdict v = check_bit(j, 5, "VMPL");

	if (v == HOST_OK)
		(void)found(j, v, "%u levels", cpuid(j, LEAF_SEV, EBX) >> 12 & 0xf);
	return v;
}

static enum host_verdict check_secure_tsc(struct judge *j)
{
	bool cpu = cpuid(j, LEAF_SEV, EAX) >> 8 & 1;
	uint64_t features = 0;

	(void)ask_number(j, HOST_KVM, HOST_KVM_SEV_FEATURES, &features);
	if (cpu && features >> 9 & 1)
		return found(j, HOST_OK, "processor and KVM have it");
	return found(j, HOST_NA, "%s; optional", cpu ? "this kernel's KVM does not offer it" : "the processor does not have it");
}

static enum host_verdict check_numbers(struct judge *j)
{
	uint32_t eax = cpuid(j, LEAF_SEV, EAX), ebx = cpuid(j, LEAF_SEV, EBX), all = cpuid(j, LEAF_SEV, ECX), plain = cpuid(j, LEAF_SEV, EDX);

	/* Keys below the lowest of plain SEV are those of SEV-ES and SNP. */
	return found(j, HOST_OK, "C-bit %u, %u address bits fewer, %u encrypted guests at once, %u of them SEV-ES or SNP, page flush register: %s",
		     ebx & 0x3f, ebx >> 6 & 0x3f, all, plain > 0 && plain <= all ? plain - 1 : all, eax >> 2 & 1 ? "yes" : "no");
}

static enum host_verdict check_syscfg(struct judge *j, unsigned bit, const char *what)
{
	uint64_t v;
	int r = ask_number(j, HOST_MSR, MSR_SYSCFG, &v);

	if (r < 0)
		return unread(j, "the register SYSCFG (/dev/cpu/0/msr of the module msr)", r);
	return found(j, v >> bit & 1 ? HOST_OK : HOST_FAIL, "%s is switched %s", what, v >> bit & 1 ? "on" : "off");
}

static enum host_verdict check_sme_enabled(struct judge *j)
{
	return check_syscfg(j, 23, "memory encryption");
}

static enum host_verdict check_snp_enabled(struct judge *j)
{
	return check_syscfg(j, 24, "SNP");
}

static enum host_verdict check_rmp_addresses(struct judge *j)
{
	uint64_t base, end;
	int r = ask_number(j, HOST_MSR, MSR_RMP_BASE, &base);

	if (r == 0)
		r = ask_number(j, HOST_MSR, MSR_RMP_END, &end);
	if (r < 0)
		return unread(j, "the addresses of the reverse map table (/dev/cpu/0/msr of the module msr)", r);
	if (base == 0 || end == 0)
		return found(j, HOST_FAIL, "the BIOS has reserved no memory for the reverse map table");
	return found(j, HOST_OK, "the reverse map table lies at 0x%llx to 0x%llx", (unsigned long long)base, (unsigned long long)end);
}

/* --- the secure processor ---------------------------------------------------------------------------------------------- */

static enum host_verdict check_dev_sev(struct judge *j)
{
	int r = ask(j, HOST_OPEN, "/dev/sev", 0, NULL, 0);

	if (r == -ENOENT)
		return found(j, HOST_FAIL, "there is no /dev/sev: the kernel does not drive the secure processor");
	if (r < 0)
		return found(j, HOST_WARN, "/dev/sev cannot be opened for reading and writing: %s", strerror(-r));
	return found(j, HOST_OK, "/dev/sev can be opened for reading and writing");
}

static enum host_verdict check_sev_firmware(struct judge *j)
{
	uint8_t s[SEV_STATUS_BYTES];
	int r = sev_status(j, SEV_PLATFORM_STATUS, s, sizeof(s));

	if (r < 0)
		return no_status(j, "the state of the secure processor", r);
	return found(j, VERSION(s[0], s[1]) >= VERSION(1, 51) ? HOST_OK : HOST_FAIL, "firmware %u.%u build %u; 1.51 is the first with SNP", s[0],
		     s[1], s[7]);
}

static enum host_verdict check_sev_state(struct judge *j)
{
	static const char *const states[] = { "not initialised", "initialised", "working" };
	uint8_t s[SEV_STATUS_BYTES];
	int r = sev_status(j, SEV_PLATFORM_STATUS, s, sizeof(s));

	if (r < 0)
		return no_status(j, "the state of the secure processor", r);
	return found(j, s[2] == 1 || s[2] == 2 ? HOST_OK : HOST_FAIL, "SEV is %s, %u guests", s[2] < 3 ? states[s[2]] : "in an unknown state",
		     le32(s + 8));
}

static enum host_verdict check_sev_es_state(struct judge *j)
{
	uint8_t s[SEV_STATUS_BYTES];
	int r = sev_status(j, SEV_PLATFORM_STATUS, s, sizeof(s));

	if (r < 0)
		return no_status(j, "the state of the secure processor", r);
	return yes_or(j, le32(s + 3) >> 8 & 1, HOST_FAIL, "SEV-ES is initialised", "SEV-ES is not initialised");
}

static enum host_verdict snp_status(struct judge *j, uint8_t s[SNP_STATUS_BYTES])
{
	int r = sev_status(j, SNP_PLATFORM_STATUS, s, SNP_STATUS_BYTES);

	return r < 0 ? no_status(j, "the state of SNP", r) : HOST_OK;
}

static enum host_verdict check_snp_state(struct judge *j)
{
	uint8_t s[SNP_STATUS_BYTES];
	enum host_verdict v = snp_status(j, s);

	if (v != HOST_OK)
		return v;
	return found(j, s[2] == 1 ? HOST_OK : HOST_FAIL, "SNP is %sinitialised, ABI %u.%u build %u, %u guests", s[2] == 1 ? "" : "not ", s[0], s[1],
		     le32(s + 4), le32(s + 12));
}

static enum host_verdict check_rmp(struct judge *j)
{
	uint8_t s[SNP_STATUS_BYTES];
	enum host_verdict v = snp_status(j, s);

	return v != HOST_OK ? v : yes_or(j, s[3] & 1, HOST_FAIL, "the reverse map table is initialised", "the reverse map table is not initialised");
}

static enum host_verdict check_alias(struct judge *j)
{
	uint8_t s[SNP_STATUS_BYTES];
	enum host_verdict v = snp_status(j, s);

	return v != HOST_OK ? v :
			      yes_or(j, s[3] & 2, HOST_WARN, "memory was checked for aliases",
				     "memory was not checked for aliases: memory modules that lie about their size (BadRAM) go unnoticed");
}

static enum host_verdict check_tcb(struct judge *j)
{
	uint8_t s[SNP_STATUS_BYTES];
	enum host_verdict v = snp_status(j, s);

	if (v != HOST_OK)
		return v;
	if (le64(s + 16) == le64(s + 24))
		return found(j, HOST_OK, "reported and current TCB are 0x%016llx", (unsigned long long)le64(s + 16));
	return found(j, HOST_WARN, "the reported TCB 0x%016llx is not the current 0x%016llx", (unsigned long long)le64(s + 24),
		     (unsigned long long)le64(s + 16));
}

/* --- kernel, QEMU, firmware -------------------------------------------------------------------------------------------- */

static enum host_verdict check_kernel(struct judge *j)
{
	char text[128];
	int r = ask_text(j, HOST_FILE, "/proc/sys/kernel/osrelease", text, sizeof(text));

	if (r < 0)
		return unread(j, "the version of the kernel", r);
	return found(j, version_in(text) >= VERSION(6, 11) ? HOST_OK : HOST_FAIL, "Linux %s; 6.11 is the first that runs SNP guests", text);
}

static enum host_verdict check_parameter(struct judge *j, const char *name)
{
	char path[96], text[16];
	int r;

	(void)snprintf(path, sizeof(path), "/sys/module/kvm_amd/parameters/%s", name);
	r = ask_text(j, HOST_FILE, path, text, sizeof(text));
	if (r < 0)
		return found(j, HOST_FAIL, "kvm_amd has no %s: it is not loaded, or built without (CONFIG_KVM_AMD_SEV)", name);
	return found(j, strcmp(text, "Y") == 0 || strcmp(text, "1") == 0 ? HOST_OK : HOST_FAIL, "kvm_amd.%s is %s", name, text);
}

static enum host_verdict check_kvm_sev(struct judge *j)
{
	return check_parameter(j, "sev");
}

static enum host_verdict check_kvm_sev_es(struct judge *j)
{
	return check_parameter(j, "sev_es");
}

static enum host_verdict check_kvm_snp(struct judge *j)
{
	return check_parameter(j, "sev_snp");
}

static enum host_verdict check_iommu(struct judge *j)
{
	char text[2048];

	if (ask(j, HOST_EXISTS, "/sys/class/iommu/ivhd0", 0, NULL, 0) < 0)
		return found(j, HOST_FAIL, "the IOMMU is off");
	if (ask_text(j, HOST_FILE, "/proc/cmdline", text, sizeof(text)) > 0 &&
	    (has_word(text, "iommu=pt") || has_word(text, "iommu.passthrough=1")))
		return found(j, HOST_FAIL, "the kernel was started with the IOMMU passed through");
	return found(j, HOST_OK, "the IOMMU is on, and not passed through");
}

/* Lines "NAME NUMBER". Return: 0 or -ENOENT. */
static int number_of(const char *text, const char *name, uint64_t *out)
{
	size_t len = strlen(name);

	for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		if (strncmp(p, name, len) == 0 && p[len] == ' ') {
			*out = strtoull(p + len + 1, NULL, 10);
			return 0;
		}
	}
	return -ENOENT;
}

/* SNP guests take their keys from those of SEV-ES. */
static enum host_verdict check_asids(struct judge *j)
{
	char all[256], used[256];
	uint64_t capacity, taken = 0;

	if (ask_text(j, HOST_FILE, "/sys/fs/cgroup/misc.capacity", all, sizeof(all)) < 0 || number_of(all, "sev_es", &capacity) < 0)
		return found(j, HOST_FAIL, "the kernel has no keys for SEV-ES guests to give (misc.capacity)");
	if (ask_text(j, HOST_FILE, "/sys/fs/cgroup/misc.current", used, sizeof(used)) >= 0)
		(void)number_of(used, "sev_es", &taken);
	return found(j, taken < capacity ? HOST_OK : HOST_FAIL, "%llu of %llu keys for guests are free",
		     (unsigned long long)(taken < capacity ? capacity - taken : 0), (unsigned long long)capacity);
}

static enum host_verdict check_qemu_snp(struct judge *j)
{
	static char text[HOST_ANSWER_MAX];
	int r = ask_text(j, HOST_OBJECTS, "", text, sizeof(text));

	if (r < 0)
		return found(j, HOST_FAIL, "QEMU cannot be asked: %s", strerror(-r));
	return yes_or(j, has_word(text, "sev-snp-guest"), HOST_FAIL, "QEMU has sev-snp-guest",
		      "QEMU has no sev-snp-guest; 9.1 is the first with it");
}

static enum host_verdict try_firmware(struct judge *j, const char *path, bool *present)
{
	char text[200];
	int r = ask_text(j, HOST_FIRMWARE, path, text, sizeof(text));

	if (r < 0)
		return HOST_FAIL;
	*present = true;
	if (strcmp(text, "kernel-hashes") == 0)
		return found(j, HOST_OK, "%.160s measures kernel, initrd and command line", path);
	return found(j, HOST_FAIL, "%.100s: %.100s", path, strcmp(text, "snp") == 0 ? "for SNP, but without a place for kernel hashes" : text);
}

static enum host_verdict check_firmware(struct judge *j)
{
	/* Debian, Fedora, Arch and SUSE; the last one, which is not for this, only to say so. */
	static const char *const places[] = { "/usr/share/ovmf/OVMF.amdsev.fd", "/usr/share/edk2/ovmf/OVMF.amdsev.fd",
					      "/usr/share/OVMF/OVMF.amdsev.fd", "/usr/share/qemu/OVMF.amdsev.fd",
					      "/usr/share/ovmf/OVMF.fd" };
	enum host_verdict v = HOST_FAIL;
	bool present = false;

	if (j->firmware && j->firmware[0])
		v = try_firmware(j, j->firmware, &present);
	else
		for (size_t i = 0; v != HOST_OK && i < sizeof(places) / sizeof(places[0]); i++)
			v = try_firmware(j, places[i], &present);
	return present ? v : found(j, HOST_FAIL, "there is no OVMF.amdsev.fd");
}

static enum host_verdict check_memlock(struct judge *j)
{
	uint64_t limit;
	int r = ask_number(j, HOST_LIMIT, 0, &limit);

	if (r < 0)
		return unread(j, "the limit of locked memory", r);
	if (limit == UINT64_MAX)
		return found(j, HOST_OK, "a process may lock all memory");
	return found(j, limit >= LOCK_ENOUGH ? HOST_OK : HOST_WARN, "a process may lock %llu KiB", (unsigned long long)(limit >> 10));
}

/* --- all of them ------------------------------------------------------------------------------------------------------- */

#define BIOS_SNP "BIOS: SMEE, SEV-SNP Support and SNP Memory (RMP Table) Coverage must be enabled, SEV-ES ASID Space Limit greater than 1"

static const struct check {
	const char *id, *needs, *title;
	enum host_group group;
	enum host_verdict (*judge)(struct judge *j);
	const char *advice;
} checks[] = {
	{ "kvm", NULL, "KVM", HOST_MACHINES, check_kvm,
	  "switch on virtualisation (SVM or VT-x) in the BIOS and load kvm_amd or kvm_intel; without, machines run in software emulation" },
	{ "kvm-guests", "kvm", "Guests run under KVM", HOST_MACHINES, check_guests,
	  "where this is a virtual machine, its own host must offer nested virtualisation; machines run in software emulation until then" },
	{ "cgroup", NULL, "Control groups", HOST_MACHINES, check_cgroup,
	  "boot with systemd.unified_cgroup_hierarchy=1; without, machines have no limits of memory and time" },
	{ "tun", NULL, "TAP interfaces", HOST_MACHINES, check_tun, "modprobe tun; give the service /dev/net/tun (DeviceAllow, --device)" },
	{ "nftables", NULL, "nftables", HOST_MACHINES, check_nftables, "modprobe nf_tables" },
	{ "qemu", NULL, "QEMU", HOST_MACHINES, check_qemu, "apt install qemu-system-x86" },
	{ "cloud-hypervisor", NULL, "Cloud Hypervisor", HOST_MACHINES, check_ch,
	  "optional: the release of github.com/cloud-hypervisor, listed among the helper's binaries; it needs KVM" },
	{ "driver", NULL, "Driver", HOST_MACHINES, check_driver, "apt install qemu-system-x86" },

	{ "cpu-amd", NULL, "AMD processor", HOST_CONFIDENTIAL, check_amd, "confidential machines need an AMD EPYC 7003 (Milan) or later" },
	{ "metal", "cpu-amd", "No virtual machine", HOST_CONFIDENTIAL, check_metal,
	  "run on the computer itself, or rent confidential machines from the provider" },
	{ "cpu-epyc", "metal", "EPYC", HOST_CONFIDENTIAL, check_epyc, "only EPYC processors have SEV-SNP" },
	{ "sme", "cpu-epyc", "SME", HOST_CONFIDENTIAL, check_sme, "this processor is too old" },
	{ "sme-enabled", "sme", "SME switched on", HOST_CONFIDENTIAL, check_sme_enabled, "BIOS: Advanced / AMD CBS / CPU Common: SMEE" },
	{ "sev", "sme", "SEV", HOST_CONFIDENTIAL, check_sev, "this processor is too old" },
	{ "sev-es", "sev", "SEV-ES", HOST_CONFIDENTIAL, check_sev_es, "this processor is too old" },
	{ "snp", "sev-es", "SEV-SNP", HOST_CONFIDENTIAL, check_snp, "an EPYC 7003 (Milan) or later is needed; where it is one, update the BIOS" },
	{ "vmpl", "snp", "Privilege levels (VMPL)", HOST_CONFIDENTIAL, check_vmpl, "update the BIOS" },
	{ "secure-tsc", "snp", "Secure TSC", HOST_CONFIDENTIAL, check_secure_tsc, "" },
	{ "numbers", "sev", "Address bits and guests", HOST_CONFIDENTIAL, check_numbers, "" },
	{ "snp-enabled", "snp", "SNP switched on", HOST_CONFIDENTIAL, check_snp_enabled, BIOS_SNP },
	{ "rmp-addresses", "snp-enabled", "Memory for the RMP", HOST_CONFIDENTIAL, check_rmp_addresses, BIOS_SNP },
	{ "kernel", "metal", "Kernel", HOST_CONFIDENTIAL, check_kernel,
	  "Debian 12: apt install -t bookworm-backports linux-image-amd64 (not the cloud flavour); Debian 13 has one" },
	{ "iommu", "metal", "IOMMU", HOST_CONFIDENTIAL, check_iommu,
	  "enable the IOMMU in the BIOS; take iommu=pt, iommu.passthrough=1 and amd_iommu=off off the kernel's command line" },
	{ "dev-sev", "sev", "/dev/sev", HOST_CONFIDENTIAL, check_dev_sev,
	  "load ccp (CONFIG_CRYPTO_DEV_SP_PSP); give /dev/sev to the group of the machines' users (udev rule: KERNEL==\"sev\", GROUP=\"kvm\", MODE=\"0660\")" },
	{ "sev-firmware", "dev-sev", "SEV firmware", HOST_CONFIDENTIAL, check_sev_firmware,
	  "update the BIOS, or put a newer amd_sev_fam*.sbin into /lib/firmware/amd (package amd64-microcode) and reload ccp" },
	{ "sev-state", "dev-sev", "SEV initialised", HOST_CONFIDENTIAL, check_sev_state, "reload ccp and kvm_amd; dmesg | grep -i sev says why" },
	{ "sev-es-state", "sev-state", "SEV-ES initialised", HOST_CONFIDENTIAL, check_sev_es_state,
	  "BIOS: SEV-ES ASID Space Limit greater than 1; kvm_amd sev_es=1" },
	{ "snp-state", "snp-enabled", "SNP initialised", HOST_CONFIDENTIAL, check_snp_state, "dmesg | grep -i -e sev -e rmp says why the kernel did not" },
	{ "rmp", "snp-state", "RMP initialised", HOST_CONFIDENTIAL, check_rmp, BIOS_SNP },
	{ "alias", "snp-state", "Aliases of memory", HOST_CONFIDENTIAL, check_alias, "update the BIOS to one with the counter-measure to AMD-SB-3015" },
	{ "tcb", "snp-state", "TCB", HOST_CONFIDENTIAL, check_tcb, "snphost commit, once the new firmware has proven itself" },
	{ "kvm-sev", "kernel", "KVM: sev", HOST_CONFIDENTIAL, check_kvm_sev, "options kvm_amd sev=1 sev_es=1 sev_snp=1 in /etc/modprobe.d/kvm.conf" },
	{ "kvm-sev-es", "kvm-sev", "KVM: sev_es", HOST_CONFIDENTIAL, check_kvm_sev_es, "options kvm_amd sev=1 sev_es=1 sev_snp=1 in /etc/modprobe.d/kvm.conf" },
	{ "kvm-snp", "kvm-sev-es", "KVM: sev_snp", HOST_CONFIDENTIAL, check_kvm_snp,
	  "options kvm_amd sev=1 sev_es=1 sev_snp=1 in /etc/modprobe.d/kvm.conf; it stays N while SNP is off in the BIOS" },
	{ "asids", "kvm-snp", "Keys for guests", HOST_CONFIDENTIAL, check_asids, "stop a confidential machine; BIOS: a higher SEV-ES ASID Space Limit" },
	{ "qemu-snp", "metal", "QEMU for SNP", HOST_CONFIDENTIAL, check_qemu_snp,
	  "QEMU 9.1 or later: Debian 12: apt install -t bookworm-backports qemu-system-x86; Debian 13 has it" },
	{ "firmware", "metal", "OVMF for SNP", HOST_CONFIDENTIAL, check_firmware,
	  "install Debian's ovmf-amdsev (any release will do, it is one file), or build edk2's OvmfPkg/AmdSev/AmdSevX64.dsc; --firmware FILE looks at another" },
	{ "memlock", "metal", "Locked memory", HOST_CONFIDENTIAL, check_memlock,
	  "LimitMEMLOCK=infinity in the unit of terrarium-netd; SNP guests do without, devices that are handed to a guest do not" },
};
static_assert(sizeof(checks) / sizeof(checks[0]) <= HOST_ROWS_MAX, "room for every check");

static const char *const verdict_names[] = { "ok", "warn", "fail", "n.a." };
static_assert(sizeof(verdict_names) / sizeof(verdict_names[0]) == HOST_VERDICT_COUNT, "every verdict has a name");

const char *host_verdict_name(enum host_verdict v)
{
	return verdict_names[v];
}

static const struct host_row *row_of(const struct host_report *r, const char *id)
{
	for (size_t i = 0; i < r->count; i++) {
		if (strcmp(r->rows[i].id, id) == 0)
			return &r->rows[i];
	}
	return NULL;
}

static void run_check(struct judge *j, const struct check *c)
{
	const struct host_row *before = c->needs ? row_of(j->report, c->needs) : NULL;
	struct host_row *row = &j->report->rows[j->report->count];

	*row = (struct host_row){ .id = c->id, .title = c->title, .group = c->group, .advice = "" };
	j->row = row;
	assert(!c->needs || before);
	if (before && (before->verdict == HOST_FAIL || before->verdict == HOST_NA)) {
		row->verdict = found(j, HOST_NA, "needs: %s", before->title);
	} else {
		row->verdict = c->judge(j);
		if (row->verdict == HOST_WARN || row->verdict == HOST_FAIL)
			row->advice = c->advice;
	}
	j->report->count++;
}

void host_check(const struct host_probe *probe, const char *firmware, struct host_report *out)
{
	struct judge j = { .probe = probe, .firmware = firmware, .report = out };

	*out = (struct host_report){ .driver = "", .able = { true, true } };
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const struct host_row *row = &out->rows[i];

		run_check(&j, &checks[i]);
		if (row->verdict != HOST_FAIL || !out->able[row->group])
			continue;
		out->able[row->group] = false;
		(void)snprintf(out->because[row->group], sizeof(out->because[0]), "%s: %s", row->title, row->found);
	}
}
