/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "gateway/ticket.h"

static const struct who anna = { .person = 1, .session_hash = { 1 } },
			bert = { .person = 2, .session_hash = { 2 } };

static void spent_once(void **state)
{
	struct tickets *t = tickets_create();
	struct ticket_right right = { 0 };
	char text[TICKET_TEXT], other[TICKET_TEXT];

	(void)state;
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_CONTROLLER, 1000, text), 0);
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, 1000, other), 0);
	assert_int_equal(strlen(text), TICKET_TEXT - 1);
	assert_string_not_equal(text, other);
	assert_int_equal(ticket_take(t, text, &anna, "s", 1001, &right), 0);
	assert_int_equal(right.role, ROLE_CONTROLLER);
	assert_int_equal(ticket_take(t, text, &anna, "s", 1001, &right), -EACCES);
	assert_int_equal(ticket_take(t, other, &anna, "s", 1001, &right), 0);
	assert_int_equal(right.role, ROLE_VIEWER);
	assert_null(tickets_destroy(t));
	assert_null(tickets_destroy(NULL));
}

/* Session, stream and time must fit; one that did not fit is spent as well. */
static void bound(void **state)
{
	struct tickets *t = tickets_create();
	struct ticket_right right;
	char text[TICKET_TEXT], upper[TICKET_TEXT], id[STREAM_ID_BYTES + 1];

	(void)state;
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, 0, text), 0);
	assert_int_equal(ticket_take(t, text, &bert, "s", 1, &right), -EACCES);
	assert_int_equal(ticket_take(t, text, &anna, "s", 1, &right), -EACCES);
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, 0, text), 0);
	assert_int_equal(ticket_take(t, text, &anna, "s2", 1, &right), -EACCES);
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, 0, text), 0);
	assert_int_equal(ticket_take(t, text, &anna, "s", TICKET_LIFE_MS, &right), -EACCES);
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, 0, text), 0);
	assert_int_equal(ticket_take(t, text, &anna, "s", TICKET_LIFE_MS - 1, &right), 0);
	memset(upper, 'g', sizeof(upper) - 1);
	upper[TICKET_TEXT - 1] = '\0';
	assert_int_equal(ticket_take(t, upper, &anna, "s", 1, &right), -EACCES);
	assert_int_equal(ticket_take(t, "", &anna, "s", 1, &right), -EACCES);
	/* An empty place looks like a ticket of zeroes. */
	memset(upper, '0', sizeof(upper) - 1);
	assert_int_equal(ticket_take(t, upper, &(struct who){ 0 }, "", 1, &right), -EACCES);
	/* The longest id that fits, and one byte more. */
	memset(id, 'x', sizeof(id));
	id[STREAM_ID_BYTES - 1] = '\0';
	assert_int_equal(ticket_issue(t, &anna, id, ROLE_VIEWER, 0, text), 0);
	id[STREAM_ID_BYTES - 1] = 'x';
	id[STREAM_ID_BYTES] = '\0';
	assert_int_equal(ticket_issue(t, &anna, id, ROLE_VIEWER, 0, text), -EINVAL);
	tickets_destroy(t);
}

/* Who came by a share keeps what the share allows; without a share the tickets that wait for it are void. */
static void of_a_share(void **state)
{
	const struct ticket_right open = { .role = ROLE_VIEWER, .share = 5, .owner = 1, .ends_s = 77 },
				  other = { .role = ROLE_CONTROLLER, .share = 6, .owner = 1, .ends_s = 78 };
	const struct who guest = { .email = "guest" };
	struct tickets *t = tickets_create();
	struct ticket_right right = { 0 };
	char text[TICKET_TEXT], kept[TICKET_TEXT];

	(void)state;
	assert_int_equal(ticket_issue_for(t, &guest, "s", &open, 0, text), 0);
	assert_int_equal(ticket_take(t, text, &bert, "s", 1, &right), -EACCES); /* a session's socket is no guest's */
	assert_int_equal(ticket_issue_for(t, &guest, "s", &open, 0, text), 0);
	assert_int_equal(ticket_take(t, text, &guest, "s", 1, &right), 0);
	assert_true(right.role == ROLE_VIEWER && right.share == 5 && right.owner == 1 && right.ends_s == 77);
	/* Guests of one share are counted together, and not with those of another. */
	for (int i = 0; i < TICKETS_PER_SESSION; i++)
		assert_int_equal(ticket_issue_for(t, &guest, "s", &open, 0, text), 0);
	assert_int_equal(ticket_issue_for(t, &guest, "s", &open, 0, kept), -EAGAIN);
	assert_int_equal(ticket_issue_for(t, &guest, "s", &other, 0, kept), 0);
	ticket_drop_share(t, 5);
	assert_int_equal(ticket_take(t, text, &guest, "s", 1, &right), -EACCES);
	assert_int_equal(ticket_take(t, kept, &guest, "s", 1, &right), 0);
	assert_int_equal(right.role, ROLE_CONTROLLER);
	tickets_destroy(t);
}

static void bounded(void **state)
{
	struct tickets *t = tickets_create();
	struct ticket_right right;
	char first[TICKET_TEXT], text[TICKET_TEXT];

	(void)state;
	assert_int_equal(ticket_issue(t, &bert, "s", ROLE_VIEWER, 0, first), 0);
	for (int i = 0; i < TICKETS_PER_SESSION; i++)
		assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, 0, text), 0);
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, 0, text), -EAGAIN);
	assert_int_equal(ticket_issue(t, &anna, "s", ROLE_VIEWER, TICKET_LIFE_MS, text), 0);
	tickets_destroy(t);

	t = tickets_create();
	assert_int_equal(ticket_issue(t, &bert, "s", ROLE_VIEWER, 0, first), 0);
	for (unsigned i = 0; i < TICKETS_MAX; i++) {
		struct who who = { .person = 9 + i, .session_hash = { 9, (uint8_t)i, (uint8_t)(i >> 8) } };

		assert_int_equal(ticket_issue(t, &who, "s", ROLE_VIEWER, 0, text), 0);
	}
	assert_int_equal(ticket_take(t, first, &bert, "s", 1, &right), -EACCES); /* the oldest went */
	tickets_destroy(t);

	t = tickets_create();
	for (unsigned i = 0; i < TICKETS_PER_PERSON; i++) {
		struct who who = { .person = 9, .session_hash = { (uint8_t)(i / 32) } };

		assert_int_equal(ticket_issue(t, &who, "s", ROLE_VIEWER, 0, text), 0);
	}
	assert_int_equal(ticket_issue(t, &(struct who){ .person = 9, .session_hash = { 99 } }, "s", ROLE_VIEWER, 0, text), -EAGAIN);
	assert_int_equal(ticket_issue(t, &bert, "s", ROLE_VIEWER, 0, text), 0);
	tickets_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(spent_once), cmocka_unit_test(bound),
					    cmocka_unit_test(of_a_share), cmocka_unit_test(bounded) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
