/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_HOST_HOST_H
#define HV_HOST_HOST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * What this computer can run, and what to do about the rest. Everything that is known about it comes through one function, so that a host
 * can be recorded (hv/host/record.c) and judged again elsewhere. Judging is pure: hv/host/check.c.
 */

/* Questions; binary answers are little-endian. */
enum host_what {
	HOST_CPUID,    /* @number: leaf, subleaf 0; answer: eax, ebx, ecx, edx */
	HOST_MSR,      /* @number: register of the first processor; answer: 8 bytes */
	HOST_KVM,      /* @number: enum host_kvm; answer: 8 bytes */
	HOST_LIMIT,    /* memory that a process may lock; answer: 8 bytes, UINT64_MAX for any */
	HOST_SEV,      /* @number: command of the secure processor's device; answer: what it fills in */
	HOST_FILE,     /* @name: path; answer: its text */
	HOST_EXISTS,   /* @name: path; answer: nothing */
	HOST_OPEN,     /* @name: path, for reading and writing; answer: nothing */
	HOST_PROGRAM,  /* @name: of a program; answer: its path, line feed, first line of what it says of its version */
	HOST_OBJECTS,  /* answer: QEMU's list of objects */
	HOST_FIRMWARE, /* @name: path of an OVMF image; answer: "kernel-hashes", "snp", or why neither */
	HOST_GUESTS,   /* does a guest boot under KVM, as the gateway found out (hv/probe.c)? answer: "yes", or why not */
	HOST_WHAT_COUNT,
};

enum host_kvm { HOST_KVM_API, HOST_KVM_SEV_FEATURES };

#define HOST_NAME_MAX	256
#define HOST_ANSWER_MAX 8192 /* bytes; QEMU's list of objects has 4 KiB */

/**
 * struct host_probe - whom to ask
 * @ask: puts at most @size bytes into @out. Return: how many, or -errno; -ENOENT when it is not there, -EACCES when it may not be looked at
 */
struct host_probe {
	int (*ask)(void *arg, enum host_what what, const char *name, uint32_t number, void *out, size_t size);
	void *arg;
};

/** struct host_live - this computer; @state_dir: of the gateway, where it keeps what it found out about KVM */
struct host_live {
	const char *state_dir;
};

/** host_live_probe() - ask this computer; @live is borrowed. Waits for programs, five seconds each at most */
struct host_probe host_live_probe(struct host_live *live);

/** host_record_probe() - ask what was recorded: a JSON object, borrowed */
struct host_probe host_record_probe(json_t *record);

/** struct host_recorder - passes questions on and writes down what was answered, into @record (owned by the caller) */
struct host_recorder {
	struct host_probe from;
	json_t *record;
};

/** host_recorder_probe() - ask @recorder->from and record; @recorder is borrowed */
struct host_probe host_recorder_probe(struct host_recorder *recorder);

enum host_verdict { HOST_OK, HOST_WARN, HOST_FAIL, HOST_NA, HOST_VERDICT_COUNT };

/** host_verdict_name() - "ok", "warn", "fail" or "n.a." */
const char *host_verdict_name(enum host_verdict v);

enum host_group { HOST_MACHINES, HOST_CONFIDENTIAL, HOST_GROUP_COUNT };

#define HOST_ROWS_MAX 64

/**
 * struct host_row - one check
 * @id:     stable name, such as "snp-enabled"
 * @found:  what was seen, in words
 * @advice: what to do about it; "" when there is nothing to do
 */
struct host_row {
	const char *id, *title;
	enum host_group group;
	enum host_verdict verdict;
	char found[224];
	const char *advice;
};

/**
 * struct host_report - all of them
 * @driver:  that the gateway would choose with driver = auto: "cloud-hypervisor", "qemu" or "local"
 * @why:     why that one
 * @able:    by group: machines, confidential machines can run
 * @because: by group: the first thing in the way; "" if able
 */
struct host_report {
	struct host_row rows[HOST_ROWS_MAX];
	size_t count;
	const char *driver;
	char why[320];
	bool able[HOST_GROUP_COUNT];
	char because[HOST_GROUP_COUNT][320];
};

/** host_check() - ask and judge */
void host_check(const struct host_probe *probe, const char *firmware, struct host_report *out);

#endif
