/* SPDX-License-Identifier: Apache-2.0 */
/* Disks over the death of the process at any step, with the real tools, and who may open them. */
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/store.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/loop.h"
#include "gateway/disks.h"

#define MIB (1ULL << 20)

static struct loop loop;
static struct store *store;
static struct disks *disks;
static int64_t ann;
static char dir[64], path[96], place[96];

static void open_disks(void)
{
	const struct disks_config c = { .loop = &loop, .db = store_db(store), .dir = place, .home_bytes = 16 * MIB };
	struct err e = { 0 };

	if (disks_create(&disks, &c, &e) < 0)
		fail_msg("%s", e.msg);
}

static void restart(void)
{
	disks = disks_destroy(disks);
	open_disks();
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_disks.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	(void)snprintf(place, sizeof(place), "%s/disks", dir);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(store_open(&store, path, NULL), 0);
	assert_int_equal(store_person_seen(store, "demo", "ann@x.org", "ann@x.org", 1, &ann, NULL), 0);
	open_disks();
	return 0;
}

static int teardown(void **state)
{
	static const char *const tails[] = { "", "-wal", "-shm" };

	(void)state;
	disks = disks_destroy(disks);
	store = store_close(store);
	loop_finish(&loop);
	for (size_t i = 0; i < 3; i++) {
		char file[128];

		(void)snprintf(file, sizeof(file), "%s%s", path, tails[i]);
		(void)unlink(file);
	}
	assert_int_equal(rmdir(place), 0); /* each test has removed what it made */
	return rmdir(dir);
}

static const char *file_of(const struct disk_row *row, const char *suffix)
{
	static char file[192];

	(void)snprintf(file, sizeof(file), "%s/%s%s", place, row->id, suffix);
	return file;
}

static off_t size_of(const struct disk_row *row)
{
	struct stat st;

	return stat(file_of(row, ".img"), &st) == 0 ? st.st_size : -1;
}

/* Turn until the row is in @state, or gone for DISK_STATE_COUNT. */
static void until(struct disk_row *row, enum disk_state state)
{
	for (int i = 0; i < 3000; i++) {
		int r = disk_get(store_db(store), row->id, row, NULL);

		if (r == 1 ? row->state == state : state == DISK_STATE_COUNT)
			return;
		ev_run(loop.ev, EVRUN_NOWAIT);
		(void)poll(NULL, 0, 5);
	}
	fail_msg("the disk stays in the state %s: %s", disk_state_name(row->state), row->reason);
}

static struct disk_row make(const char *vm, const char *name)
{
	struct disk_row row = { .owner = ann, .bytes = 16 * MIB };

	(void)snprintf(row.vm, sizeof(row.vm), "%s", vm);
	(void)snprintf(row.name, sizeof(row.name), "%s", name);
	assert_int_equal(disks_make(disks, &row, NULL), 0);
	return row;
}

static void go_away(struct disk_row *row)
{
	assert_int_equal(disks_remove(disks, row, NULL), 0);
	until(row, DISK_STATE_COUNT);
	assert_int_equal(size_of(row), -1);
}

static void what_was_begun_is_finished(void **state)
{
	struct disk_row row = make("", "seeds"), twin = { .owner = ann, .name = "twin" };

	(void)state;
	restart(); /* asked for, perhaps half made */
	until(&row, DISK_READY);
	assert_int_equal(size_of(&row), 16 * MIB);

	assert_int_equal(disks_grow(disks, &row, 20 * MIB, NULL), 0);
	restart();
	until(&row, DISK_READY);
	assert_int_equal(size_of(&row), 20 * MIB);

	(void)snprintf(twin.source, sizeof(twin.source), "%s", row.id);
	assert_int_equal(disks_make(disks, &twin, NULL), 0);
	restart();
	until(&twin, DISK_READY);
	assert_int_equal(size_of(&twin), 20 * MIB);
	assert_true(twin.bytes == 20 * MIB);
	/* Ended between the copy and the row that says so: its size is not forgotten. */
	twin.state = DISK_NEW;
	twin.bytes = 0;
	assert_int_equal(disk_set(store_db(store), &twin, NULL), 0);
	restart();
	until(&twin, DISK_READY);
	assert_true(twin.bytes == 20 * MIB);
	go_away(&twin);

	assert_int_equal(disks_remove(disks, &row, NULL), 0);
	restart();
	until(&row, DISK_STATE_COUNT);
	assert_int_equal(size_of(&row), -1);
}

/* A loss of power may take back what the database was told last, and the file is there and used since long. */
static void what_has_its_name_is_never_made_again(void **state)
{
	struct disk_row row = make("", "seeds");
	int fd;

	(void)state;
	until(&row, DISK_READY);
	fd = open(file_of(&row, ".img"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "mine", 4, 8192), 4);
	(void)fd_close(fd);
	row.state = DISK_NEW;
	assert_int_equal(disk_set(store_db(store), &row, NULL), 0);
	restart();
	until(&row, DISK_READY);
	fd = open(file_of(&row, ".img"), O_RDWR | O_CLOEXEC);
	{
		char text[4];

		assert_int_equal(pread(fd, text, 4, 8192), 4);
		assert_memory_equal(text, "mine", 4);
	}
	(void)fd_close(fd);
	go_away(&row);
}

static void half_made_files_are_swept(void **state)
{
	struct disk_row nobody = { .id = "00000000000000000000000000000000" };
	int fd = open(file_of(&nobody, ".new"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	(void)fd_close(fd);
	fd = open(file_of(&nobody, ".img"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	(void)fd_close(fd);
	restart();
	assert_int_equal(access(file_of(&nobody, ".new"), F_OK), -1);
	assert_int_equal(access(file_of(&nobody, ".img"), F_OK), 0); /* what nobody knows may be all that somebody has */
	assert_int_equal(unlink(file_of(&nobody, ".img")), 0);
}

static void one_writer(void **state)
{
	struct disk_row row = make("", "seeds"), copy = { .owner = ann, .name = "copy" };
	struct err e = { 0 };
	int fd = -1, other = -1;
	pid_t child;

	(void)state;
	assert_int_equal(disks_open(disks, &row, &fd, &e), DISKS_E_BUSY); /* still being made */
	until(&row, DISK_READY);
	assert_int_equal(disks_open(disks, &row, &fd, NULL), 0);
	assert_int_equal(disks_open(disks, &row, &other, &e), DISKS_E_BUSY);
	assert_non_null(strstr(e.msg, "seeds is being used"));
	/* The process that was given it holds it, whoever else is gone. */
	child = fork();
	if (child == 0) {
		(void)pause();
		_exit(0);
	}
	fd = fd_close(fd);
	restart();
	assert_true(disks_in_use(disks, &row));
	assert_int_equal(disks_grow(disks, &row, 20 * MIB, NULL), DISKS_E_BUSY);
	assert_int_equal(disks_remove(disks, &row, NULL), DISKS_E_BUSY);
	(void)snprintf(copy.source, sizeof(copy.source), "%s", row.id);
	assert_int_equal(disks_make(disks, &copy, NULL), 0);
	until(&copy, DISK_FAILED);
	assert_string_equal(copy.reason, "it is being used");
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(disks_in_use(disks, &row));
	assert_int_equal(disks_retry(disks, &copy, NULL), 0);
	until(&copy, DISK_READY);
	go_away(&copy);
	go_away(&row);
}

/* Whatever locks a VMM takes on its own count as well. */
static void locks_of_others_count(void **state)
{
	struct disk_row row = make("", "seeds");
	struct flock vmm = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
	int fd, mine = -1;

	(void)state;
	until(&row, DISK_READY);
	fd = open(file_of(&row, ".img"), O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &vmm), 0);
	assert_int_equal(disks_open(disks, &row, &mine, NULL), DISKS_E_BUSY);
	(void)fd_close(fd);
	go_away(&row);
}

static void names_and_quotas(void **state)
{
	struct disk_row row = make("", "seeds"), again = { .owner = ann, .name = "seeds", .bytes = 16 * MIB };
	struct disk_row own = make("0123456789abcdef0123456789abcdef", "data");
	uint64_t used = 0;

	(void)state;
	assert_int_equal(disks_make(disks, &again, NULL), DISKS_E_EXISTS);
	assert_int_equal(disk_used(store_db(store), ann, "", &used, NULL), 0);
	assert_true(used == 32 * MIB);
	assert_int_equal(disk_used(store_db(store), ann, own.vm, &used, NULL), 0);
	assert_true(used == 16 * MIB);
	assert_int_equal(disks_remove_of(disks, own.vm, NULL), 0); /* also while it is being made */
	until(&own, DISK_STATE_COUNT);
	until(&row, DISK_READY);
	go_away(&row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_begun_is_finished, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_its_name_is_never_made_again, setup, teardown),
		cmocka_unit_test_setup_teardown(half_made_files_are_swept, setup, teardown),
		cmocka_unit_test_setup_teardown(one_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(locks_of_others_count, setup, teardown),
		cmocka_unit_test_setup_teardown(names_and_quotas, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
