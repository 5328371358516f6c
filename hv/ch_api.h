/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CH_API_H
#define HV_CH_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"

struct ch_api;
struct err;
struct loop;

/* REST API and events of Cloud Hypervisor, as far as the life of a machine needs them; knows no machine. */

#define CH_VERSION_MIN	52	/* older ones have a use-after-free that a guest can reach (CVE-2026-45782) */
#define CH_RECORD_MAX	16384	/* bytes of one event; real ones have some hundred */
#define CH_ANSWER_MAX	(256 * 1024)

enum ch_command {
	/* What waits goes in this order: a guest that is let go and asked to end hears both. */
	CH_PING, CH_INFO, CH_COUNTERS, CH_RESUME, CH_PAUSE, CH_SNAPSHOT, CH_RESIZE, CH_ADD_DISK, CH_ADD_NET, CH_REMOVE_DEVICE, CH_POWER_BUTTON, CH_REBOOT, CH_QUIT,
	CH_COMMAND_COUNT,
};

/** ch_command_name() - "vmm.ping" and so on */
const char *ch_command_name(enum ch_command c);

/**
 * struct ch_answer - lives during the callback
 * @error:  0, or negative errno: no answer, or a refusal (-EREMOTEIO)
 * @why:    in words; empty on success
 * @data:   the JSON object of the answer, or NULL
 */
struct ch_answer {
	enum ch_command command;
	int error;
	const char *why;
	const json_t *data;
};

typedef void ch_answered(void *arg, const struct ch_answer *a);

/**
 * ch_api_open() - talk to the VMM that listens behind @fd; consumes @fd on success and failure
 * @fd: near end of NETD_FD_LISTEN
 *
 * Return: 0 or negative with @e.
 */
int ch_api_open(struct ch_api **out, struct loop *loop, int fd, ch_answered *done, void *arg, struct err *e);

/**
 * ch_api_send() - ask; @done follows, unless the API is closed before
 *
 * One request is under way at a time, the others wait; asking twice for what waits is asking once. CH_QUIT
 * goes before all, and what is under way is forgotten. Reading commands are tried again for some seconds when
 * no answer comes.
 * Return: 0, or -ENOTCONN on NULL.
 */
int ch_api_send(struct ch_api *a, enum ch_command c);

/**
 * ch_api_resize() - the same for CH_RESIZE, which says how many processors and bytes there shall be, and how many of these the balloon shall hold
 *
 * Asking again before the first one was sent replaces it.
 */
int ch_api_resize(struct ch_api *a, uint32_t cpus, uint64_t memory_bytes, uint64_t balloon_bytes);

/** ch_api_add_disk() - a raw image by its path; ch_api_remove() - a device. @id: letters, digits and hyphens. One of each at a time */
int ch_api_add_disk(struct ch_api *a, const char *path, const char *id, bool readonly);
int ch_api_remove(struct ch_api *a, const char *id);

/** ch_api_add_net() - a network card of one queue; @tap_fd, which is consumed, goes along as SCM_RIGHTS. @id: as above. One at a time */
int ch_api_add_net(struct ch_api *a, int tap_fd, const char *id, const uint8_t mac[6]);

/** ch_api_snapshot() - of a machine that stands still, into the folder @path, which must be empty. One at a time */
int ch_api_snapshot(struct ch_api *a, const char *path);

/** ch_counters() - sum of what vm.counters tells of all network interfaces and disks; what is missing or no number counts as 0 */
struct hv_counters;
void ch_counters(const json_t *data, struct hv_counters *out);

/** ch_api_close() - may be called by @done. Returns NULL; NULL is fine */
struct ch_api *ch_api_close(struct ch_api *a);

/**
 * ch_error_text() - the cause in the body of a refusal: last entry of an array of strings, or the raw text of
 * what is no JSON
 *
 * Control characters become spaces; empty when there is none.
 */
void ch_error_text(const char *body, size_t len, char *out, size_t size);

/** ch_version() - first number in "version" of vmm.ping's answer ("v53.0", "53.0.0"). Return: it, or -EPROTO */
int ch_version(const json_t *ping);

/** ch_name() - whose a snapshot is, in words: version and build of vmm.ping's answer, printable, cut to @size */
void ch_name(const json_t *ping, char *out, size_t size);

/** ch_lacks() - does vmm.ping's answer list what it was built with, and not @feature ("kvm")? */
bool ch_lacks(const json_t *ping, const char *feature);

/**
 * struct ch_event - lives during the callback
 * @source, @name: "vm", "booted"; empty when @lost
 * @id: of the device that it is about, or ""
 * @lost: what came was no event: ask how things are
 */
struct ch_event {
	const char *source, *name, *id;
	bool lost;
};

/**
 * struct ch_events - cuts the event monitor's stream into records, which blank lines end; knows no file
 * descriptors
 * @skip: up to the next blank line nothing makes sense
 */
struct ch_events {
	struct buf record;
	bool skip;
};

void ch_events_init(struct ch_events *r);

/**
 * ch_events_feed() - the next bytes
 *
 * Nothing in them is an error: the VMM drops what a full pipe does not take, in the middle of a record too.
 * Memory is bounded.
 * @on_event returns false to stop there: the rest is dropped.
 */
void ch_events_feed(struct ch_events *r, const char *data, size_t len,
		    bool (*on_event)(void *arg, const struct ch_event *e), void *arg);

void ch_events_finish(struct ch_events *r);

#endif
