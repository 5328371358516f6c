/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of a snapshot, as a VMM wrote it and as a clone's reads it; and the folder in between. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "hv/ch_config.h"
#include "hv/folder.h"

/* As version 53 writes it, with what it fills in by itself. */
#define CPUS   "\"cpus\":{\"boot_vcpus\":2,\"max_vcpus\":8,\"kvm_hyperv\":false,\"max_phys_bits\":46,\"nested\":false}"
#define MEMORY "\"memory\":{\"size\":134217728,\"mergeable\":false,\"hotplug_method\":\"Acpi\",\"hotplug_size\":17045651456,\"hotplugged_size\":0,\"zones\":null}"
#define BOOT   "\"payload\":{\"firmware\":null,\"kernel\":\"/img/vmlinux\",\"cmdline\":\"terrarium.template\",\"initramfs\":\"/img/initrd\"}"
#define DISKS  "\"disks\":[{\"path\":\"/proc/self/fd/9\",\"readonly\":true,\"id\":\"root\",\"serial\":\"root\",\"image_type\":\"Raw\",\"backing_files\":false,\"pci_segment\":0}]"
#define NET    "\"net\":[{\"tap\":null,\"mac\":\"02:74:72:6d:00:01\",\"num_queues\":2,\"id\":\"_net2\",\"fds\":[6]}]"
#define LINES  "\"serial\":{\"file\":\"/proc/self/fd/5\",\"mode\":\"File\",\"socket\":null},\"console\":{\"file\":null,\"mode\":\"Tty\",\"id\":\"_console0\"}"
#define VSOCK  "\"vsock\":{\"cid\":3,\"socket\":\"/proc/self/fd/7/vsock\",\"id\":\"_vsock3\"}"
#define REST   "\"rng\":{\"src\":\"/dev/urandom\",\"id\":\"_rng\"},\"balloon\":{\"id\":\"_balloon4\",\"size\":0},\"pvpanic\":true,\"fs\":null,\"devices\":[],\"new\":{\"x\":1}"
#define LOCK   "\"landlock_enable\":true,\"landlock_rules\":[{\"path\":\"/proc/self/fd/8\",\"access\":\"rw\"}]"
#define WHOLE  "{" CPUS "," MEMORY "," BOOT "," DISKS "," NET "," LINES "," VSOCK "," REST "," LOCK "}"

static const struct hv_disk root = { .fd = 90, .serial = "root", .readonly = true };
static const uint8_t mac[6] = { 2, 0x74, 0x72, 0x6d, 0, 7 };

static struct ch_config_own own_of_one(void)
{
	return (struct ch_config_own){ .cpus = 2, .memory_bytes = 128 << 20, .mac = mac, .kernel = "/img/vmlinux", .initrd = "/img/initrd",
				       .cmdline = "terrarium.host=cedar", .fifo = 15, .dir = 17, .plug = 18, .first_disk = 22, .disks = &root, .ndisks = 1, .landlock = true };
}

static void a_clone_has_its_own(void **state)
{
	static const char wanted[] = "{" CPUS "," MEMORY ",\"payload\":{\"firmware\":null,\"kernel\":\"/img/vmlinux\",\"cmdline\":\"terrarium.host=cedar\","
		"\"initramfs\":\"/img/initrd\"},\"disks\":[{\"path\":\"/proc/self/fd/22\",\"readonly\":true,\"id\":\"root\",\"serial\":\"root\",\"image_type\":\"Raw\","
		"\"backing_files\":false,\"pci_segment\":0}],\"net\":[{\"tap\":null,\"mac\":\"02:74:72:6d:00:07\",\"num_queues\":2,\"id\":\"_net2\",\"fds\":[6]}],"
		"\"serial\":{\"file\":\"/proc/self/fd/15\",\"mode\":\"File\",\"socket\":null},\"console\":{\"file\":null,\"mode\":\"Tty\",\"id\":\"_console0\"},"
		"\"vsock\":{\"cid\":3,\"socket\":\"/proc/self/fd/17/vsock\",\"id\":\"_vsock3\"}," REST ",\"landlock_enable\":true,\"landlock_rules\":["
		"{\"path\":\"/proc/self/fd/17\",\"access\":\"rw\"},{\"path\":\"/proc/self/fd/18\",\"access\":\"rw\"}]}";
	struct ch_config_own own = own_of_one();
	struct ch_config c;
	char *text;

	(void)state;
	assert_int_equal(ch_config_read(&c, WHOLE, strlen(WHOLE), NULL), 0);
	assert_string_equal(c.net_id, "_net2");
	text = ch_config_write(&c, &own, NULL);
	assert_string_equal(text, wanted);
	free(text);
	own.landlock = false;
	text = ch_config_write(&c, &own, NULL);
	assert_non_null(strstr(text, "\"landlock_enable\":false,\"landlock_rules\":null"));
	free(text);
	ch_config_finish(&c);
	ch_config_finish(&c);
}

static void refuses(const char *text, const char *why)
{
	struct ch_config c;
	struct err e = { 0 };

	assert_int_equal(ch_config_read(&c, text, strlen(text), &e), -EPROTO);
	if (!strstr(e.msg, why))
		fail_msg("%s: not about %s: %s", text, why, e.msg);
}

#define HEAD "{" CPUS "," MEMORY "," BOOT ","

static void what_was_never_asked_for_is_refused(void **state)
{
	char *large = calloc(1, CH_CONFIG_MAX + 2);

	(void)state;
	refuses("", "no JSON");
	refuses("[]", "no JSON");
	refuses("{\"cpus\":1,\"cpus\":2}", "no JSON");
	memset(large, ' ', CH_CONFIG_MAX + 1);
	memcpy(large, WHOLE, strlen(WHOLE));
	refuses(large, "no JSON");
	free(large);
	refuses("{" CPUS ",\"memory\":{\"size\":-1}," BOOT "," LINES "," VSOCK "}", "memory");
	refuses("{\"cpus\":{\"boot_vcpus\":9}," MEMORY "," BOOT "," LINES "," VSOCK "}", "processors");
	refuses("{" CPUS ",\"memory\":{\"size\":134217728,\"hotplugged_size\":134217728}," BOOT "," LINES "," VSOCK "}", "one piece");
	refuses("{" CPUS ",\"memory\":{\"size\":134217728,\"zones\":[{\"file\":\"/etc/shadow\"}]}," BOOT "," LINES "," VSOCK "}", "one piece");
	refuses(HEAD LINES "," VSOCK ",\"fs\":[{\"socket\":\"/x\"}]}", "fs");
	refuses(HEAD LINES "," VSOCK ",\"devices\":[{\"path\":\"/sys/x\"}]}", "devices");
	refuses(HEAD LINES "," VSOCK ",\"tpm\":{\"socket\":\"/x\"}}", "tpm");
	refuses(HEAD LINES "}", "vsock");
	refuses(HEAD VSOCK "}", "consoles");
	refuses(HEAD VSOCK ",\"serial\":{\"mode\":\"Socket\"},\"console\":{\"mode\":\"Tty\"}}", "consoles");
	refuses("{" CPUS "," MEMORY ",\"payload\":{\"firmware\":\"/x\"}," LINES "," VSOCK "}", "boots");
	refuses(HEAD LINES "," VSOCK ",\"net\":[{\"id\":\"_net2\",\"tap\":\"trm0\",\"fds\":[6]}]}", "network");
	refuses(HEAD LINES "," VSOCK ",\"net\":[{\"id\":\"_net2\"}]}", "network");
	refuses(HEAD LINES "," VSOCK ",\"net\":[{\"id\":\"a@[3],x=\",\"fds\":[6]}]}", "network");
	refuses(HEAD LINES "," VSOCK ",\"net\":[{\"id\":\"a\",\"fds\":[6]},{\"id\":\"b\",\"fds\":[7]}]}", "network");
	refuses(HEAD LINES "," VSOCK ",\"disks\":[{\"serial\":\"root\",\"image_type\":\"Qcow2\"}]}", "disk");
	refuses(HEAD LINES "," VSOCK ",\"disks\":{\"serial\":\"root\"}}", "disk");
}

static void what_does_not_fit_is_refused(void **state)
{
	struct ch_config_own own = own_of_one();
	struct hv_disk other = root;
	struct ch_config c;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(ch_config_read(&c, WHOLE, strlen(WHOLE), NULL), 0);
	own.cpus = 1;
	assert_null(ch_config_write(&c, &own, &e));
	own = own_of_one();
	own.memory_bytes++;
	assert_null(ch_config_write(&c, &own, &e));
	own = own_of_one();
	own.mac = NULL;
	assert_null(ch_config_write(&c, &own, &e));
	own = own_of_one();
	own.ndisks = 0;
	assert_null(ch_config_write(&c, &own, &e));
	own = own_of_one();
	own.disks = &other;
	other.readonly = false;
	assert_null(ch_config_write(&c, &own, &e));
	other = root;
	other.serial[0] = 'b';
	assert_null(ch_config_write(&c, &own, &e));
	own = own_of_one();
	own.cmdline = "no\xfftext";
	assert_null(ch_config_write(&c, &own, &e));
	assert_int_equal(e.code, -EPROTO);
	ch_config_finish(&c);
}

/* --- the folder --- */

/* A process of another user, that keeps all others out of what it makes. Return: its exit status */
static int as_another(const struct folder *f, uid_t uid)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		int fd;

		(void)umask(077);
		if (setgid(uid) < 0 || setuid(uid) < 0)
			_exit(1);
		fd = openat(f->fd, "state.json", O_RDWR | O_CREAT | O_EXCL, 0666);
		_exit(fd >= 0 && write(fd, "{}", 2) == 2 ? 0 : 2);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* With the rights of one that has no other: in a process of its own. */
static bool readable_by(const struct folder *f, uid_t uid)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(setgid(uid) == 0 && setuid(uid) == 0 && openat(f->fd, "state.json", O_RDONLY) >= 0 ? 0 : 1);
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define GATEWAY 60001
#define SLOT	60002
#define OTHER	60003

/* Made by a gateway that is nobody in particular. */
static void what_a_vmm_writes_is_read(void **state)
{
	char dir[] = "/tmp/terrarium-folder.XXXXXX", path[64];
	struct folder f = { .fd = -1 };
	struct err e = { 0 };

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (geteuid() != 0 || chown(dir, SLOT, SLOT) < 0 || chown(dir, GATEWAY, GATEWAY) < 0) {
		(void)rmdir(dir);
		skip(); /* it takes other users */
	}
	assert_int_equal(seteuid(GATEWAY), 0);
	assert_int_equal(folder_for_writing(&f, dir, 4096, &e), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(as_another(&f, SLOT), 0);
	assert_true(readable_by(&f, GATEWAY));
	assert_false(readable_by(&f, OTHER));
	assert_int_equal(seteuid(GATEWAY), 0);
	folder_remove(&f);
	(void)snprintf(path, sizeof(path), "%s/snapshots", dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(rmdir(dir), 0);
}

static size_t count(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	while (d && readdir(d)) /* NOLINT(concurrency-mt-unsafe) */
		n++;
	if (d)
		(void)closedir(d);
	return d ? n - 2 : SIZE_MAX;
}

static void nothing_is_left(void **state)
{
	char dir[] = "/tmp/terrarium-folder.XXXXXX", path[64], text[16] = "";
	struct folder f = { .fd = -1 }, g = { .fd = -1 };
	struct err e = { 0 };
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/snapshots", dir);
	assert_int_equal(folder_for_reading(&f, dir, &e), 0);
	assert_int_equal(folder_put(&f, "config.json", "{}", &e), 0);
	assert_int_equal(folder_put(&f, "config.json", "{}", &e), -EEXIST);
	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	assert_int_equal(folder_link(&f, "state.json", fd, &e), 0);
	(void)fd_close(openat(f.fd, "state.json", O_RDONLY | O_CLOEXEC));
	assert_true(readlinkat(f.fd, "state.json", text, sizeof(text) - 1) > 0);
	(void)fd_close(fd);
	assert_int_equal(folder_for_writing(&g, dir, 0, &e), 0);
	assert_int_equal(count(path), 2);
	folder_remove(&f);
	folder_remove(&f);
	assert_int_equal(count(path), 1);
	g.fd = fd_close(g.fd); /* as a gateway that was killed */
	folder_sweep(dir);
	assert_int_equal(count(path), 0);
	assert_int_equal(folder_for_writing(&g, dir, 1ULL << 60, &e), -ENOSPC);
	assert_int_equal(count(path), 0);
	assert_int_equal(rmdir(path), 0);
	folder_sweep(dir);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clone_has_its_own), cmocka_unit_test(what_was_never_asked_for_is_refused), cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(what_a_vmm_writes_is_read), cmocka_unit_test(nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
