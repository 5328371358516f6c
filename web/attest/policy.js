// SPDX-License-Identifier: Apache-2.0
/**
 * What somebody wants of a genuine report, as a plain object with the option names of `terrarium snp verify --policy`. An option that is not
 * named is not checked; one that is not known is an error, because a policy that is not understood in full protects nobody.
 */
import { PLATFORM, POLICY, PRODUCTS, short_of, tcb_of, VMPL_HOST } from "./report.js";
import { demand, from_hex, same_bytes } from "./refusal.js";

/** What holds without a policy: no debugging, no migration agent, VMPL 0. */
export const STRICT = Object.freeze({ allow_debug: false, allow_migrate_ma: false, vmpl: 0 });

export class PolicyError extends Error {
	name = "PolicyError";
}

const refuse = (condition, reason) => demand(!condition, "policy", reason);
const is_zero = (bytes) => bytes.every((byte) => byte === 0);
const is_count = (value, max) => Number.isInteger(value) && value >= 0 && value <= max;

/* Readers of values: each gives what the check below takes, or undefined for a value that cannot be used. */
const flag = (value) => typeof value === "boolean" ? value : undefined;
const count = (max) => (value) => {
	if (typeof value === "string" && /^0x[0-9a-fA-F]{1,16}$/.test(value) && BigInt(value) <= BigInt(max))
		return Number(value);
	return is_count(value, max) ? value : undefined;
};
const bits = (value) => {
	if (typeof value === "string" && /^0x[0-9a-fA-F]{1,16}$/.test(value))
		return BigInt(value);
	return is_count(value, Number.MAX_SAFE_INTEGER) ? BigInt(value) : undefined;
};
const values = (length) => (value) => {
	const list = (Array.isArray(value) ? value : [value]).map((item) => from_hex(item, length));
	return list.length > 0 && list.length <= 64 && !list.includes(null) ? list : undefined;
};
const dotted = (least, most) => (value) => {
	const parts = typeof value === "string" && /^\d{1,3}(\.\d{1,3})*$/.test(value) ? value.split(".").map(Number) : [];
	return parts.length >= least && parts.length <= most && parts.every((part) => part <= 255) ? parts : undefined;
};
const tcb = (value) => {
	const known = value && typeof value === "object" && !Array.isArray(value) &&
		Object.entries(value).every(([part, level]) => ["fmc", "bl", "tee", "snp", "ucode"].includes(part) && is_count(level, 255));
	return known ? value : undefined;
};
const chip = (value) => flag(value) ?? values(64)(value);
const product_name = (value) => PRODUCTS.includes(value) ? value : undefined;

const must_not = (field, bit, reason) => [flag, (allow, r) => refuse(!allow && (r[field] & bit) !== 0n, reason)];
const must = (field, bit, reason) => [flag, (require, r) => refuse(require && (r[field] & bit) === 0n, reason)];
const one_of = (length, field, what) => [values(length), (list, r) => refuse(!list.some((v) => same_bytes(v, r[field])), `${what} is another one`)];

function id_block(r) {
	refuse(is_zero(r.id_key_digest), "the guest was launched without an ID block");
}

function author_key(r) {
	refuse(!r.author_key_en || is_zero(r.author_key_digest), "the ID key was not certified by an author key");
}

const less = (a, b) => {
	const i = b.findIndex((part, at) => (a[at] ?? 0) !== part);
	return i >= 0 && (a[i] ?? 0) < b[i];
};

function above(min, bytes, product, which) {
	const have = tcb_of(bytes, product), part = short_of(have, min);
	refuse(part, `the ${which} TCB has ${part} level ${have[part] ?? 0}, ${min[part]} is the minimum`);
}

function vmpl_is(wanted, r) {
	refuse(r.vmpl === VMPL_HOST, "the host asked for this report, not the guest");
	refuse(r.vmpl !== wanted, `the report was asked for at VMPL ${r.vmpl}, not ${wanted}`);
}

function committed(permit, r) {
	refuse(!permit && (!same_bytes(r.committed_tcb, r.current_tcb) || r.committed_version !== r.current_version),
		"the platform runs provisional firmware: committed and current versions differ");
}

function min_policy_abi(min, r) {
	const abi = [Number(r.policy >> 8n & 0xffn), Number(r.policy & 0xffn)];
	refuse(less(abi, min), `the guest accepts ABI ${abi.join(".")}, ${min.join(".")} is the minimum`);
}

/* name: [reader, check(value, report, product)] */
const OPTIONS = {
	allow_debug: must_not("policy", POLICY.DEBUG, "the host may debug this guest (DEBUG)"),
	allow_migrate_ma: must_not("policy", POLICY.MIGRATE_MA, "a migration agent may move this guest (MIGRATE_MA)"),
	allow_smt: must_not("policy", POLICY.SMT, "the guest may run with SMT"),
	allow_cxl: must_not("policy", POLICY.CXL, "the guest may run with CXL devices"),
	require_single_socket: must("policy", POLICY.SINGLE_SOCKET, "the guest is not bound to a single socket"),
	require_mem_aes_256_xts: must("policy", POLICY.MEM_AES_256_XTS, "the guest does not demand memory under AES-256-XTS"),
	require_ciphertext_hiding: must("policy", POLICY.CIPHERTEXT_HIDING, "the guest does not demand ciphertext hiding"),
	allow_tsme: must_not("platform_info", PLATFORM.TSME, "TSME is on"),
	require_alias_check: must("platform_info", PLATFORM.ALIAS_CHECK, "memory was not checked for aliases (ALIAS_CHECK_COMPLETE)"),
	allow_tio: must_not("platform_info", PLATFORM.TIO, "trusted I/O is on"),
	permit_provisional: [flag, committed],
	vmpl: [count(3), vmpl_is],
	require_id_block: [flag, (require, r) => require && id_block(r)],
	require_author_key: [flag, (require, r) => require && author_key(r)],
	trusted_id_key_digests: [values(48), (list, r) => {
		id_block(r);
		refuse(!list.some((v) => same_bytes(v, r.id_key_digest)), "the digest of the ID key is another one");
	}],
	trusted_author_key_digests: [values(48), (list, r) => {
		author_key(r);
		refuse(!list.some((v) => same_bytes(v, r.author_key_digest)), "the digest of the author key is another one");
	}],
	require_chip_id: [chip, (wanted, r) => {
		refuse(wanted && is_zero(r.chip_id), "the report does not name its chip");
		refuse(Array.isArray(wanted) && !wanted.some((v) => same_bytes(v, r.chip_id)), "the chip is another one");
	}],
	measurement: one_of(48, "measurement", "the measurement"),
	report_data: one_of(64, "report_data", "the report data"),
	host_data: one_of(32, "host_data", "the host data"),
	family_id: one_of(16, "family_id", "the family id"),
	image_id: one_of(16, "image_id", "the image id"),
	min_policy_abi: [dotted(2, 2), min_policy_abi],
	min_guest_svn: [count(0xffffffff), (min, r) =>
		refuse(r.guest_svn < min, `the guest's security version is ${r.guest_svn}, ${min} is the minimum`)],
	min_firmware: [dotted(2, 3), (min, r) =>
		refuse(less(r.current_version.split(".").map(Number), min),
			`the secure processor runs firmware ${r.current_version}, ${min.join(".")} is the minimum`)],
	min_launch_mit: [bits, (min, r) => refuse((r.launch_mit & min) !== min, "a mitigation was missing at launch")],
	min_current_mit: [bits, (min, r) => refuse((r.current_mit & min) !== min, "a mitigation is missing")],
	min_tcb: [tcb, (min, r, product) => above(min, r.reported_tcb, product, "reported")],
	min_launch_tcb: [tcb, (min, r, product) => above(min, r.launch_tcb, product, "launch")],
	min_product: [product_name, (min, r, product) =>
		refuse(PRODUCTS.indexOf(product) < PRODUCTS.indexOf(min), `the processor is a ${product}, ${min} is the minimum`)],
};

/** Check the policy itself. Return: a function that refuses reports that do not keep to it. Throws PolicyError. */
export function compile_policy(policy) {
	if (!policy || typeof policy !== "object" || Array.isArray(policy))
		throw new PolicyError("a policy is an object");
	for (const name of Object.keys(policy)) {
		if (!Object.hasOwn(OPTIONS, name))
			throw new PolicyError(`there is no option ${name}`);
	}
	const checks = Object.entries(OPTIONS).filter(([name]) => Object.hasOwn(policy, name)).map(([name, [read, check]]) => {
		const value = read(policy[name]);
		if (value === undefined)
			throw new PolicyError(`the value of ${name} cannot be used`);
		return (report, product) => check(value, report, product);
	});
	return (report, product) => checks.forEach((check) => check(report, product));
}
