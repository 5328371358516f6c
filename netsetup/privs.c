/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/privs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define KVM_PATH    "/dev/kvm"
#define FILES_LIMIT (1U << 20) /* a limit beyond that only makes tables large */

#define CAP(name) (1ULL << CAP_##name)

/*
 * NET_ADMIN: TAPs, bridges, rules. SETUID, SETGID: a slot's process runs as the slot's uid. KILL: to signal it
 * there; SETUID would allow that anyway, by way of becoming that uid. DAC_OVERRIDE: root control groups have
 * mode 0555, even for their owner.
 */
static const uint64_t kept[] = {
	[PRIVS_HELPER] = CAP(NET_ADMIN) | CAP(SETUID) | CAP(SETGID) | CAP(KILL),
	[PRIVS_UNDERTAKER] = CAP(DAC_OVERRIDE) | CAP(KILL),
};

static int capability_get(uint64_t *permitted, uint64_t *effective)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return -errno;
	*permitted = (uint64_t)d[1].permitted << 32 | d[0].permitted;
	*effective = (uint64_t)d[1].effective << 32 | d[0].effective;
	return 0;
}

static int capability_set(uint64_t caps)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {
		{ .permitted = (uint32_t)caps, .effective = (uint32_t)caps },
		{ .permitted = (uint32_t)(caps >> 32), .effective = (uint32_t)(caps >> 32) },
	};

	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

int privs_drop(enum privs_role role, struct err *e)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
	uint64_t permitted = 0, effective = 0;
	int r = capability_get(&permitted, &effective);

	if (r < 0)
		return err_set(e, r, "cannot read capabilities: %s", strerror(-r));
	/*
	 * Safe because: NOROOT and the bounding set are inherited by every process that is started here, so uid
	 * 0 means nothing to those that must keep it (no other uid is mapped in an ordinary user's namespace).
	 */
	if (effective & CAP(SETPCAP)) {
		if (prctl(PR_SET_SECUREBITS, bits) < 0)
			return err_set(e, -errno, "cannot set securebits: %s", strerror(errno));
		for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
			if (!(kept[role] & 1ULL << cap) && prctl(PR_CAPBSET_READ, cap) == 1 &&
			    prctl(PR_CAPBSET_DROP, cap) < 0)
				return err_set(e, -errno, "cannot drop capability %d: %s", cap, strerror(errno));
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, -errno, "cannot set no_new_privs: %s", strerror(errno));
	r = capability_set(permitted & kept[role]);
	if (r < 0)
		return err_set(e, r, "cannot drop capabilities: %s", strerror(-r));
	return 0;
}

/* Whether /proc/self/{u,g}id_map has a line "inside outside count" that covers the range. */
static bool is_mapped(const char *path, uint32_t first, uint32_t count)
{
	char text[8192], *at = text;

	if (fd_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	for (;;) {
		unsigned long long word[3];

		for (int i = 0; i < 3; i++) {
			char *end;

			word[i] = strtoull(at, &end, 10);
			if (end == at)
				return false;
			at = end;
		}
		if (first >= word[0] && (uint64_t)first + count <= word[0] + word[2])
			return true;
	}
}

bool privs_can_switch(uid_t first, uint32_t count)
{
	const uint64_t need = CAP(SETUID) | CAP(SETGID);
	uint64_t permitted = 0, effective = 0;
	char setgroups[16] = "";

	if (first == 0 || capability_get(&permitted, &effective) < 0 || (effective & need) != need)
		return false;
	if (fd_read_file(AT_FDCWD, "/proc/self/setgroups", setgroups, sizeof(setgroups)) > 0 &&
	    strncmp(setgroups, "deny", 4) == 0)
		return false;
	return is_mapped("/proc/self/uid_map", first, count) && is_mapped("/proc/self/gid_map", first, count);
}

bool privs_kvm(uid_t uid, gid_t *gid)
{
	struct stat st;

	*gid = 0;
	if (uid == 0)
		return faccessat(AT_FDCWD, KVM_PATH, R_OK | W_OK, AT_EACCESS) == 0;
	if (stat(KVM_PATH, &st) < 0 || !S_ISCHR(st.st_mode))
		return false;
	if ((st.st_mode & 06) == 06)
		return true;
	/* The group "kvm" as usual; root's group would be no small gift. */
	if ((st.st_mode & 060) != 060 || st.st_gid == 0 || !is_mapped("/proc/self/gid_map", st.st_gid, 1))
		return false;
	*gid = st.st_gid;
	return true;
}

uint32_t privs_raise_files(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 1024;
	if (rl.rlim_max > FILES_LIMIT)
		rl.rlim_max = FILES_LIMIT;
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
	return (uint32_t)rl.rlim_max;
}
