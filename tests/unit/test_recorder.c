/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings of a real stream on a PTY, with a database and files on disk; gateways come and go, as after kill -9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "auth/db.h"
#include "auth/recording.h"
#include "auth/store.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/recorder.h"
#include "gateway/sched.h"
#include "gateway/viewer.h"
#include "tests/unit/console.h"

#define WAIT_MS 5000

static struct loop loop;
static struct sched *sched;
static struct store *store;
static struct stream *stream;
static struct test_console console;
static struct recorder *recorder;
static char dir[64], text[4 << 20];
static int64_t ann;
static int told[RECORD_EVENT_COUNT];
static struct recording_row last;

static const struct stream_hooks no_hooks = { .on_output = NULL };

static bool about(void *arg, struct stream *s, int64_t *owner, char name[RECORDING_NAME_BYTES])
{
	(void)arg;
	(void)s;
	*owner = ann;
	(void)snprintf(name, RECORDING_NAME_BYTES, "moss");
	return true;
}

static void on_event(void *arg, enum record_event what, const struct recording_row *row)
{
	(void)arg;
	told[what]++;
	last = *row;
}

static void open_recorder(enum record_mode mode, uint64_t quota, int64_t retention_s)
{
	char path[96];
	struct recorder_config c = { .loop = &loop, .db = store_db(store), .dir = path, .mode = mode, .input = true, .quota_bytes = quota,
				     .retention_s = retention_s, .about = about, .on_event = on_event };

	(void)snprintf(path, sizeof(path), "%s/recordings", dir);
	assert_int_equal(recorder_create(&recorder, &c, NULL), 0);
}

static void open_stream(bool adopted)
{
	struct hv_console c = test_console_hand(&console, adopted);

	assert_int_equal(stream_create(&stream, &loop, sched, "s.console", &no_hooks, NULL), 0);
	assert_int_equal(stream_open(stream, &c), 0);
}

static int set_up(void **state)
{
	char path[96];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_recorder.XXXXXX");
	memset(told, 0, sizeof(told));
	if (!mkdtemp(dir) || loop_init(&loop) < 0 || sched_create(&sched, &loop) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	if (store_open(&store, path, NULL) < 0 || store_person_seen(store, "demo", "ann", "ann@x.org", 1, &ann, NULL) < 0)
		return -1;
	test_console_open(&console, HV_CONSOLE_PTY);
	open_stream(false);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	recorder = recorder_destroy(recorder);
	stream = stream_destroy(stream);
	test_console_close(&console);
	store = store_close(store);
	sched = sched_destroy(sched);
	loop_finish(&loop);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void turns(uint64_t ms)
{
	uint64_t until = loop_now_ms() + ms;

	do {
		ev_run(loop.ev, EVRUN_NOWAIT);
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	} while (loop_now_ms() < until);
}

static void says(const char *words)
{
	uint64_t want = stream ? stream_state(stream).end + strlen(words) : 0, until = loop_now_ms() + WAIT_MS;

	assert_int_equal(write(console.far, words, strlen(words)), strlen(words));
	while (stream && stream_state(stream).end < want && loop_now_ms() < until)
		turns(1);
}

static struct recording_row row_of(const char *id)
{
	struct recording_row row;

	assert_int_equal(recording_get(store_db(store), id, &row, NULL), 1);
	return row;
}

static struct recording_row ended(const char *id)
{
	uint64_t until = loop_now_ms() + WAIT_MS;

	while (row_of(id).live && loop_now_ms() < until)
		turns(1);
	assert_false(row_of(id).live);
	return row_of(id);
}

static struct recording_row start(void)
{
	struct recording_row row;

	assert_int_equal(recorder_start(recorder, stream, &row, NULL), 0);
	return row;
}

/* What is in the file now. */
static const char *content(const struct recording_row *row)
{
	char path[160];
	FILE *f;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/recordings/%lld/%s.cast", dir, (long long)row->owner, row->id);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	(void)fclose(f);
	return text;
}

static void comes(const struct recording_row *row, const char *words)
{
	uint64_t until = loop_now_ms() + WAIT_MS;

	while (!strstr(content(row), words) && loop_now_ms() < until)
		turns(1);
	if (!strstr(text, words))
		fail_msg("%s: not in %s", words, text);
}

static void from_start_to_stop(void **state)
{
	struct recording_row row, again;
	struct stat st;
	char path[160];

	(void)state;
	open_recorder(RECORD_ALLOWED, 1 << 20, 0);
	assert_int_equal(recorder_stop(recorder, stream, &row), RECORD_E_ON);
	says("before");
	row = start();
	assert_int_equal(stream_state(stream).recording, STREAM_RECORDED_TYPING);
	assert_int_equal(recorder_start(recorder, stream, &again, NULL), RECORD_E_ON);
	says("gr\xc3\xbcn");
	stream_resize(stream, NULL, (struct ring_size){ .cols = 100, .rows = 30 });
	assert_int_equal(stream_input(stream, 0, (const uint8_t *)"ls\r", 3), 0);
	assert_int_equal(recorder_stop(recorder, stream, &again), 0);
	assert_int_equal(stream_state(stream).recording, STREAM_UNRECORDED);
	assert_string_equal(stream_state(stream).recording_end, "stopped");
	says("after");
	again = ended(row.id);
	assert_string_equal(again.reason, "stopped");
	assert_int_equal(again.size, strlen(content(&row)));
	assert_non_null(strstr(text, "\"o\", \"gr\xc3\xbcn\"]\n"));
	assert_non_null(strstr(text, "\"r\", \"100x30\"]\n"));
	assert_non_null(strstr(text, "\"i\", \"ls\\r\"]\n"));
	assert_null(strstr(text, "before"));
	assert_null(strstr(text, "after"));
	(void)snprintf(path, sizeof(path), "%s/recordings/%lld/%s.cast", dir, (long long)ann, row.id);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(told[RECORD_ENDED], 1);
	assert_int_equal(recorder_delete(recorder, &row, NULL), 0);
	assert_int_equal(recording_get(store_db(store), row.id, &again, NULL), 0);
	for (int i = 0; i < WAIT_MS && stat(path, &st) == 0; i++)
		turns(1);
	assert_int_equal(stat(path, &st), -1);
}

/* The next process goes on where the file ends, whatever half lines are behind that. */
static void over_a_restart(void **state)
{
	struct recording_row row, other;
	char path[160];
	FILE *f;

	(void)state;
	open_recorder(RECORD_ALLOWED, 1 << 20, 0);
	row = start();
	says("one\xe2\x82");
	recorder = recorder_destroy(recorder);
	assert_true(row_of(row.id).live);
	(void)snprintf(path, sizeof(path), "%s/recordings/%lld/%s.cast", dir, (long long)ann, row.id);
	f = fopen(path, "ae");
	assert_non_null(f);
	(void)fputs("[0.1, \"o\", \"half a li", f);
	(void)fclose(f);
	stream = stream_destroy(stream);
	says("\xac two");

	open_recorder(RECORD_ALLOWED, 1 << 20, 0);
	open_stream(true);
	recorder_stream(recorder, stream);
	assert_int_equal(stream_state(stream).recording, STREAM_RECORDED_TYPING);
	comes(&row, "\"\xe2\x82\xac two\"]\n");
	assert_null(strstr(text, "half"));
	assert_null(strstr(text, "\xef\xbf\xbd"));
	says(" three");
	stream_exit(stream, 3, 0);
	other = ended(row.id);
	assert_string_equal(other.reason, "exited");
	assert_non_null(strstr(content(&row), "\" three\"]\n"));
	assert_non_null(strstr(text, "\"x\", \"3\"]\n"));
}

/* More than the ring holds came while nobody recorded: a marker says so, and the modes are set right. */
static void what_the_ring_has_lost(void **state)
{
	struct recording_row row;
	char line[1025];

	(void)state;
	open_recorder(RECORD_ALLOWED, 8 << 20, 0);
	row = start();
	says("early\n");
	comes(&row, "early");
	recorder = recorder_destroy(recorder);
	says("\033[?2004h");
	memset(line, 'x', sizeof(line) - 1);
	line[1023] = '\n';
	line[1024] = '\0';
	for (int i = 0; i < 600; i++)
		says(line);
	open_recorder(RECORD_ALLOWED, 8 << 20, 0);
	recorder_stream(recorder, stream);
	comes(&row, " bytes of output are missing here\"]\n");
	comes(&row, "\\u001b[?2004h");
	assert_int_equal(stream_state(stream).recording, STREAM_RECORDED_TYPING);
}

/* Another process is behind the stream now; with "always" that one is recorded, too. */
static void another_process(void **state)
{
	struct recording_row row, second;
	struct hv_console c;

	(void)state;
	open_recorder(RECORD_ALWAYS, 1 << 20, 0);
	recorder_stream(recorder, stream);
	assert_int_equal(told[RECORD_STARTED], 1);
	row = last;
	says("the first");
	assert_int_equal(recorder_stop(recorder, stream, &last), RECORD_E_OFF);
	test_console_close(&console);
	test_console_open(&console, HV_CONSOLE_PTY);
	c = test_console_hand(&console, false);
	assert_int_equal(stream_open(stream, &c), 0);
	recorder_stream(recorder, stream);
	assert_int_equal(told[RECORD_STARTED], 2);
	second = last;
	assert_string_equal(ended(row.id).reason, "replaced");
	assert_non_null(strstr(content(&row), "the first"));
	recorder = recorder_destroy(recorder);

	/* Nor is it gone on with by a gateway that finds yet another one. */
	stream = stream_destroy(stream);
	test_console_close(&console);
	test_console_open(&console, HV_CONSOLE_SOCKET);
	open_recorder(RECORD_ALLOWED, 1 << 20, 0);
	open_stream(false);
	recorder_stream(recorder, stream);
	assert_int_equal(stream_state(stream).recording, STREAM_UNRECORDED);
	assert_string_equal(row_of(second.id).reason, "interrupted");
	assert_false(row_of(second.id).live);
}

static void quota_and_age(void **state)
{
	struct recording_row row, second;
	char line[1025];

	(void)state;
	open_recorder(RECORD_ALLOWED, 200 << 10, 0);
	row = start();
	memset(line, 'y', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	for (int i = 0; i < 64 && stream_state(stream).recording != STREAM_UNRECORDED; i++) {
		for (int k = 0; k < 8; k++)
			says(line);
		turns(20);
	}
	row = ended(row.id);
	assert_string_equal(row.reason, "quota");
	assert_true(row.size > 100 << 10 && row.size <= (200 << 10) + 256);
	assert_int_equal(recorder_start(recorder, stream, &second, NULL), RECORD_E_FULL);
	recorder = recorder_destroy(recorder);

	assert_int_equal(db_run(store_db(store), "UPDATE recording SET started_ms = started_ms - 5000", "age", NULL, DB_NONE), 0);
	open_recorder(RECORD_ALLOWED, 200 << 10, 3);
	for (int i = 0; i < WAIT_MS && told[RECORD_EXPIRED] == 0; i++)
		turns(1);
	assert_int_equal(told[RECORD_EXPIRED], 1);
	assert_int_equal(recording_get(store_db(store), row.id, &second, NULL), 0);
	assert_int_equal(recorder_start(recorder, stream, &second, NULL), 0);
}

static void nothing_to_record(void **state)
{
	struct recording_row row;

	(void)state;
	open_recorder(RECORD_OFF, 1 << 20, 0);
	assert_int_equal(recorder_start(recorder, stream, &row, NULL), RECORD_E_OFF);
	recorder = recorder_destroy(recorder);
	open_recorder(RECORD_ALLOWED, 1 << 20, 0);
	row = start();
	stream = stream_destroy(stream);
	assert_string_equal(ended(row.id).reason, "gone");
	assert_int_equal(stream_create(&stream, &loop, sched, "s.console", &no_hooks, NULL), 0);
	assert_int_equal(recorder_start(recorder, stream, &row, NULL), RECORD_E_REST);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(from_start_to_stop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(over_a_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_ring_has_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_process, set_up, tear_down),
		cmocka_unit_test_setup_teardown(quota_and_age, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_to_record, set_up, tear_down),
	};

	(void)log_open("test_recorder", "error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
