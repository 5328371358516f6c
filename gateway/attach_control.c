/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who controls a stream: whose keystrokes and size count. At most one attachment does. The right to take control
 * comes with the ticket, or is lent: the stream's owner may hand control to any of those who came by a share and
 * have a name, and takes it back, with the right, by taking control. Whoever has the right may take control from
 * whom has it, and hand it to another who has the right.
 *
 * A person's own windows: the newest that asks controls. Who comes by a share disturbs nobody: it controls only
 * when it asks, or when nobody does. When the controller goes, the newest of the others that asked and neither
 * released nor had to give it back has it.
 */
#include "gateway/attach_priv.h"

#include <string.h>

#include "base/loop.h"
#include "base/when.h"

bool attach_controls(const struct attach *a)
{
	return a->viewer.stream && stream_controller(a->viewer.stream) == &a->viewer;
}

bool attach_may_control(const struct attach *a)
{
	return a->lent || a->right.role == ROLE_CONTROLLER;
}

bool attach_is_guest(const struct attach *a)
{
	return a->right.share && a->who.person == 0;
}

static bool owns(const struct attach *a)
{
	return !a->right.share && a->need == ROLE_USER;
}

static struct attach *from_viewer(struct viewer *v)
{
	return container_of(v, struct attach, viewer);
}

void attach_say_to_all(struct stream *s, unsigned what)
{
	for (struct viewer *v = stream_viewers(s); v; v = v->next)
		attach_say(from_viewer(v), what);
}

/* Put @a, or nobody, in control; both sides of the change hear of it. */
static void set_control(struct stream *s, struct attach *a)
{
	struct viewer *old = stream_controller(s);

	if (old == (a ? &a->viewer : NULL))
		return;
	stream_control(s, a ? &a->viewer : NULL);
	if (old) {
		attach_pause_client(from_viewer(old), false);
		attach_say(from_viewer(old), SAY_ROLE);
	}
	if (a) {
		a->acked = stream_state(s).wanted; /* its turn begins there, and what was before concerns others */
		attach_say(a, SAY_ROLE);
	}
	attach_say_to_all(s, SAY_VIEWERS);
}

void attach_hand_over(struct stream *s)
{
	struct viewer *v = stream_viewers(s);

	while (v && !from_viewer(v)->wants_control)
		v = v->next;
	set_control(s, v ? from_viewer(v) : NULL);
}

void attach_begin_control(struct attach *a, bool asks)
{
	struct stream *s = a->viewer.stream;

	a->wants_control = asks && attach_may_control(a) && (!a->right.share || !stream_controller(s));
	if (a->wants_control)
		set_control(s, a);
}

/* Nobody gets control by itself, or with a right that was lent, that the owner has just taken back. */
static void end_loans(struct stream *s)
{
	for (struct viewer *v = stream_viewers(s); v; v = v->next) {
		struct attach *a = from_viewer(v);

		if (!a->right.share)
			continue;
		a->wants_control = false;
		if (!a->lent)
			continue;
		a->lent = false;
		attach_say(a, SAY_ROLE);
	}
}

static void take(struct attach *a)
{
	struct stream *s = a->viewer.stream;

	if (!attach_may_control(a)) {
		attach_notice(a, "forbidden");
		return;
	}
	if (owns(a))
		end_loans(s);
	a->wants_control = true;
	set_control(s, a);
}

/* May @a hand control to @to? A guest has no name that could answer for what is typed. */
static bool may_give(const struct attach *a, const struct attach *to)
{
	if (owns(a))
		return attach_may_control(to) || (to->right.share && !attach_is_guest(to));
	return attach_controls(a) && attach_may_control(to);
}

static void give(struct attach *a, uint64_t id)
{
	struct stream *s = a->viewer.stream;
	struct viewer *v = stream_viewers(s);
	struct attach *to;

	while (v && from_viewer(v)->id != id)
		v = v->next;
	to = v ? from_viewer(v) : NULL;
	if (!to || !may_give(a, to)) {
		attach_notice(a, to ? "forbidden" : "no_such_viewer");
		return;
	}
	to->lent = to->lent || to->right.role != ROLE_CONTROLLER;
	to->wants_control = true;
	set_control(s, to);
}

void attach_on_action(struct attach *a, enum wire_action what, uint64_t to)
{
	if (what == WIRE_TAKE) {
		take(a);
	} else if (what == WIRE_GIVE) {
		give(a, to);
	} else if (what == WIRE_STAY) {
		attach_is_used(a);
	} else if (what == WIRE_EOF) {
		if (attach_controls(a))
			stream_input_end(a->viewer.stream);
	} else {
		a->wants_control = false;
		if (attach_controls(a))
			attach_hand_over(a->viewer.stream);
	}
}

void attach_set_right(struct attach *a, enum stream_role role)
{
	a->right.role = role;
	if (a->phase != LIVE)
		return;
	attach_say(a, SAY_ROLE);
	if (role == ROLE_VIEWER) {
		a->lent = a->wants_control = false;
		if (attach_controls(a))
			attach_hand_over(a->viewer.stream);
	}
	attach_say_to_all(a->viewer.stream, SAY_VIEWERS);
}

/* --- who is here ----------------------------------------------------------------------------------------- */

/* A guest learns whose terminal it is, and of the others that they are there. */
static const char *name_for(const struct attach *a, const struct attach *other)
{
	return attach_is_guest(a) && a != other && !owns(other) ? "somebody" : other->who.email;
}

static json_t *viewer_json(const struct attach *a, const struct attach *other)
{
	char since[WHEN_BYTES];
	json_t *json = json_pack("{s:I, s:s, s:s, s:b, s:s, s:s}", "id", (json_int_t)other->id, "email",
				 name_for(a, other), "role", attach_may_control(other) ? "controller" : "viewer",
				 "controlling", (int)attach_controls(other), "since",
				 when_format(other->joined_s, since), "via",
				 owns(other)	    ? "owner" :
				 other->right.share ? "share" :
						      "staff");

	if (owns(a) && other->right.share)
		(void)json_object_set_new(json, "share", json_integer((json_int_t)other->right.share));
	return json;
}

json_t *attach_event_viewers(const struct attach *a)
{
	json_t *list = json_array();

	for (struct viewer *v = stream_viewers(a->viewer.stream); v; v = v->next)
		(void)json_array_append_new(list, viewer_json(a, from_viewer(v)));
	return json_pack("{s:s, s:o}", "type", "viewers", "viewers", list);
}
