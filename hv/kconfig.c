/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/kconfig.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define SYMBOL_MAX 64
#define PREFIX	   "CONFIG_"

enum {
	MICROVM = KCONFIG_BIT(KCONFIG_MICROVM),
	Q35 = KCONFIG_BIT(KCONFIG_Q35),
	CH = KCONFIG_BIT(KCONFIG_CLOUD_HYPERVISOR),
	SNP = KCONFIG_BIT(KCONFIG_CONFIDENTIAL),
	ROOT = KCONFIG_BIT(KCONFIG_ROOT_DISK),
	PLAIN = MICROVM | Q35 | CH,
	ALL = PLAIN | SNP,
	IMAGES = KCONFIG_BIT(KCONFIG_MICRO) | ROOT,
};

const struct kconfig_feature kconfig_features[KCONFIG_FEATURES] = {
	/* How it starts. */
	{ "x86-64", "the programs of our images are made for it", "64BIT", ALL, 0, true },
	{ "pvh", "the VMM jumps into vmlinux, nothing is unpacked", "PVH", PLAIN, 0, true },
	{ "initrd", "the image's first files, packed by zstd", "BLK_DEV_INITRD RD_ZSTD", ALL, 0, true },
	{ "programs", "binaries, and scripts", "BINFMT_ELF BINFMT_SCRIPT", ALL, 0, true },
	{ "devtmpfs", "device nodes: an image has none", "DEVTMPFS", ALL, 0, true },
	{ "proc and sys", "our scripts look there", "PROC_FS SYSFS PROC_SYSCTL", ALL, 0, true },
	{ "tmpfs", "what must not outlive the machine", "TMPFS SHMEM", ALL, 0, true },
	{ "serial line", "the kernel's own log, and consoles without an agent", "SERIAL_8250 SERIAL_8250_CONSOLE PRINTK TTY", ALL, 0, true },
	{ "acpi", "finds devices, switches off", "ACPI", ALL, 0, true },
	{ "hypervisor", "the host's clock under KVM", "HYPERVISOR_GUEST PARAVIRT", CH | SNP, MICROVM | Q35, true },
	{ "kvm guest", "the same, and cheaper waiting", "KVM_GUEST", 0, PLAIN, true },
	{ "processors", "more than one", "SMP", 0, ALL, true },
	{ "efi", "firmware loads and measures it", "EFI EFI_STUB", SNP, 0, true },
	{ "memory encryption", "AMD SEV-SNP", "AMD_MEM_ENCRYPT", SNP, 0, true },
	{ "attestation reports", "evidence from inside", "SEV_GUEST TSM_REPORTS CONFIGFS_FS", 0, SNP, false },
	/* Devices. */
	{ "virtio-mmio", "the devices of a microvm", "VIRTIO_MMIO", MICROVM, 0, false },
	{ "virtio-pci", "the devices of everything else", "PCI VIRTIO_PCI", Q35 | CH | SNP, 0, false },
	{ "msi", "interrupts of virtio-pci devices", "PCI_MSI", CH, Q35 | SNP, true },
	{ "network card", "", "NETDEVICES VIRTIO_NET", ALL, 0, false },
	{ "agent's port", "shells, files and resizing (virtio-serial)", "VIRTIO_CONSOLE", ALL, 0, false },
	{ "vsock", "the agent's way out of Cloud Hypervisor", "VSOCKETS VIRTIO_VSOCKETS", CH, MICROVM | Q35, false },
	{ "random numbers", "from the host", "HW_RANDOM_VIRTIO", 0, ALL, false },
	{ "generation id", "a clone's random numbers differ from its template's", "VMGENID", 0, PLAIN, false },
	{ "balloon", "unused memory goes back to the host", "VIRTIO_BALLOON PAGE_REPORTING", 0, PLAIN, false },
	{ "power button", "the host may ask for an orderly end", "ACPI_BUTTON INPUT_EVDEV", PLAIN, SNP, false },
	{ "processor hotplug", "resizing a machine that runs", "HOTPLUG_CPU ACPI_HOTPLUG_CPU", 0, CH, true },
	{ "memory hotplug", "the same", "MEMORY_HOTPLUG ACPI_HOTPLUG_MEMORY", 0, CH, true },
	{ "tickless idle", "a machine at rest costs nothing", "NO_HZ_IDLE|NO_HZ_FULL", 0, ALL, true },
	/* What our programs ask for. */
	{ "terminals", "", "UNIX98_PTYS", IMAGES, 0, true },
	{ "calls", "the agent, node and git make them", "FUTEX EPOLL SIGNALFD TIMERFD EVENTFD POSIX_TIMERS INOTIFY_USER FILE_LOCKING", IMAGES, 0, true },
	{ "several users", "", "MULTIUSER", IMAGES, 0, true },
	{ "ipv4, sockets", "", "NET INET UNIX PACKET", IMAGES, 0, true },
	{ "ipv6", "", "IPV6", 0, IMAGES, false },
	{ "seccomp", "ssh and others confine themselves", "SECCOMP SECCOMP_FILTER", 0, IMAGES, true },
	/* Disks. */
	{ "disks", "", "BLK_DEV VIRTIO_BLK", ROOT, 0, false },
	{ "read-only root", "as images come", "EROFS_FS|SQUASHFS", ROOT, 0, false },
	{ "verity", "a changed root is noticed", "BLK_DEV_DM DM_VERITY CRYPTO_SHA256", ROOT, 0, false },
	{ "overlay", "a writable layer over it", "OVERLAY_FS", ROOT, 0, false },
	{ "homes", "disks that outlive the machine", "EXT4_FS", ROOT, 0, false },
	{ "shared folders", "virtiofs, and FUSE in general", "FUSE_FS VIRTIO_FS", 0, ROOT, false },
};

static const char *const user_names[] = { "microvm", "q35", "cloud-hypervisor", "confidential", "micro", "standard" };
static_assert(sizeof(user_names) / sizeof(user_names[0]) == KCONFIG_USERS, "each user has a name");

static const char *const state_names[] = { "missing", "module", "built in" };
static_assert(sizeof(state_names) / sizeof(state_names[0]) == KCONFIG_STATES, "each state has a name");

const char *kconfig_user_name(enum kconfig_user user)
{
	return user_names[user];
}

int kconfig_user_parse(const char *name)
{
	for (int i = 0; i < KCONFIG_USERS; i++) {
		if (strcmp(name, user_names[i]) == 0)
			return i;
	}
	return -EINVAL;
}

const char *kconfig_state_name(enum kconfig_state state)
{
	return state_names[state];
}

/* struct text - what is left of the file. next_line() Return: false at its end */
struct text {
	const char *at, *end;
};

static bool next_line(struct text *t, const char **line, size_t *len)
{
	const char *end;

	if (t->at == t->end)
		return false;
	end = memchr(t->at, '\n', (size_t)(t->end - t->at));
	*line = t->at;
	*len = (size_t)((end ? end : t->end) - t->at);
	t->at = end ? end + 1 : t->end;
	return true;
}

/* As the kernel's own tools read it: of two lines about one symbol, the last one counts. */
static enum kconfig_state symbol_state(struct text t, const char *name, size_t name_len)
{
	enum kconfig_state state = KCONFIG_NO;
	const char *line;
	size_t len;

	while (next_line(&t, &line, &len)) {
		size_t head = strlen(PREFIX) + name_len;

		if (len < head + 2 || memcmp(line, PREFIX, strlen(PREFIX)) != 0 || memcmp(line + strlen(PREFIX), name, name_len) != 0 ||
		    line[head] != '=')
			continue;
		state = len != head + 2 ? KCONFIG_NO : line[head + 1] == 'y' ? KCONFIG_BUILTIN : line[head + 1] == 'm' ? KCONFIG_MODULE : KCONFIG_NO;
	}
	return state;
}

/* Of "A|B", the better one. */
static enum kconfig_state word_state(struct text t, const char *word, size_t len)
{
	enum kconfig_state best = KCONFIG_NO;

	for (const char *at = word, *end = word + len; at < end;) {
		const char *bar = memchr(at, '|', (size_t)(end - at));
		size_t n = (size_t)((bar ? bar : end) - at);
		enum kconfig_state state = symbol_state(t, at, n);

		best = state > best ? state : best;
		at += n + 1;
	}
	return best;
}

static void judge(struct text t, const struct kconfig_feature *f, struct kconfig_row *row)
{
	size_t used = 0;

	row->state = KCONFIG_BUILTIN;
	for (const char *word = f->symbols; *word;) {
		size_t len = strcspn(word, " ");
		enum kconfig_state state = word_state(t, word, len);

		if (state == KCONFIG_MODULE && f->early)
			state = KCONFIG_NO;
		if (state != KCONFIG_BUILTIN && used < sizeof(row->missing))
			used += (size_t)snprintf(row->missing + used, sizeof(row->missing) - used, "%s%.*s", used > 0 ? " " : "", (int)len, word);
		row->state = state < row->state ? state : row->state;
		word += len + strspn(word + len, " ");
	}
}

/* "# Linux/x86 6.1.192 Kernel Configuration" stands in the first lines. */
static void read_release(struct text t, char out[KCONFIG_RELEASE])
{
	static const char head[] = "# Linux/";
	const char *line;
	size_t len;

	for (int i = 0; i < 4 && next_line(&t, &line, &len); i++) {
		const char *word;
		size_t n = 0;

		if (len < sizeof(head) || memcmp(line, head, sizeof(head) - 1) != 0)
			continue;
		word = memchr(line + 2, ' ', len - 2);
		while (word && word + 1 + n < line + len && n < KCONFIG_RELEASE - 1 && word[1 + n] > ' ' && word[1 + n] <= '~') {
			out[n] = word[1 + n];
			n++;
		}
		out[n] = '\0';
		return;
	}
}

int kconfig_check(const char *text, size_t len, struct kconfig_report *out, struct err *e)
{
	struct text t = { text, text + len };
	bool any = false;
	const char *line;
	size_t n;

	memset(out, 0, sizeof(*out));
	if (len > KCONFIG_MAX)
		return err_set(e, -EINVAL, "this is no kernel configuration: it has more than %u KiB", KCONFIG_MAX >> 10);
	if (len > 0 && memchr(text, '\0', len))
		return err_set(e, -EINVAL, "this is no kernel configuration: it is not text; a configuration that is packed has to be unpacked first");
	for (struct text all = t; !any && next_line(&all, &line, &n);)
		any = n > strlen(PREFIX) && memcmp(line, PREFIX, strlen(PREFIX)) == 0;
	if (!any)
		return err_set(e, -EINVAL, "this is no kernel configuration: no line of it begins with " PREFIX);
	read_release(t, out->release);
	for (size_t i = 0; i < KCONFIG_FEATURES; i++) {
		judge(t, &kconfig_features[i], &out->rows[i]);
		if (out->rows[i].state == KCONFIG_NO)
			out->lacks |= kconfig_features[i].needed;
	}
	return 0;
}
