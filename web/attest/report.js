// SPDX-License-Identifier: Apache-2.0
/** The attestation report of SEV-SNP (firmware ABI, versions 2 to 5): decoding, and the rules that its structure must keep. */
import { demand } from "./refusal.js";

export const REPORT_BYTES = 1184, SIGNED_BYTES = 0x2a0;
const COMPONENT_BYTES = 72, P384_BYTES = 48;

export const POLICY = {
	SMT: 1n << 16n, RESERVED_ONE: 1n << 17n, MIGRATE_MA: 1n << 18n, DEBUG: 1n << 19n, SINGLE_SOCKET: 1n << 20n, CXL: 1n << 21n,
	MEM_AES_256_XTS: 1n << 22n, CIPHERTEXT_HIDING: 1n << 24n,
};
export const PLATFORM = { TSME: 1n << 1n, ALIAS_CHECK: 1n << 5n, TIO: 1n << 7n };
export const VMPL_HOST = 0xffffffff;

/* Bytes that must be zero in versions from `since` to `until`: [at, length, since, until]. */
const RESERVED = [
	[0x04c, 4, 2, 5], [0x188, 24, 2, 2], [0x18b, 21, 3, 5], [0x1eb, 1, 2, 5], [0x1ef, 1, 2, 5], [0x1f8, 168, 2, 4], [0x208, 152, 5, 5],
	[0x330, 368, 2, 5], /* after S: not signed, so anything there would be a place to hide */
];

/* [family, first model, last model, product] */
const CPUID = [
	[0x19, 0x00, 0x0f, "Milan"], [0x19, 0x10, 0x1f, "Genoa"], [0x19, 0xa0, 0xaf, "Genoa"], [0x1a, 0x00, 0x11, "Turin"],
	[0x1a, 0x50, 0x57, "Venice"], [0x1a, 0x90, 0xaf, "Venice"], [0x1a, 0xc0, 0xc7, "Venice"],
];

/** Products, oldest first. */
export const PRODUCTS = ["Milan", "Genoa", "Turin", "Venice"];
export const has_fmc = (product) => product === "Turin" || product === "Venice";

/** Parts of a TCB_VERSION in the byte order of `product`; they are compared one by one, never as one number. */
export function tcb_of(bytes, product) {
	if (has_fmc(product))
		return { fmc: bytes[0], bl: bytes[1], tee: bytes[2], snp: bytes[3], ucode: bytes[7] };
	return { bl: bytes[0], tee: bytes[1], snp: bytes[6], ucode: bytes[7] };
}

/** The first part in which `have` is below `want`; undefined when none is. A part that does not exist counts as 0. */
export function short_of(have, want) {
	return ["fmc", "bl", "tee", "snp", "ucode"].find((part) => (have[part] ?? 0) < (want[part] ?? 0));
}

const hex3 = (n) => `0x${n.toString(16).padStart(3, "0")}`;

function check_reserved(bytes, version) {
	for (const [at, length, since, until] of RESERVED) {
		const zero = bytes.subarray(at, at + length).every((byte) => byte === 0);
		demand(version < since || version > until || zero, "structure",
			`bytes ${hex3(at)} to ${hex3(at + length - 1)} must be zero in a report of version ${version}`);
	}
}

function check_fields(r, algorithm, key_info) {
	const signing_key = key_info >>> 2 & 7;
	demand(algorithm === 1, "structure", `signature algorithm ${algorithm}; only 1 (ECDSA P-384 with SHA-384) exists`);
	demand(r.policy & POLICY.RESERVED_ONE, "structure", "bit 17 of the guest policy must be one");
	demand(r.policy >> 26n === 0n, "structure", "bits 26 to 63 of the guest policy must be zero");
	demand(key_info >>> 5 === 0, "structure", "bits 5 to 31 of the key information must be zero");
	demand(signing_key <= 1, "signing-key", `signing key ${signing_key} is neither VCEK (0) nor VLEK (1)`);
	demand(r.vmpl <= 3 || r.vmpl === VMPL_HOST, "structure", `there is no VMPL ${r.vmpl}`);
}

/** Decode and check a report. The TCBs are left as bytes: their order is settled by the certificates. */
export function parse_report(bytes) {
	demand(bytes.length === REPORT_BYTES, "length", `the report has ${bytes.length} bytes, not ${REPORT_BYTES}`);
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	const u32 = (at) => view.getUint32(at, true), u64 = (at) => view.getBigUint64(at, true);
	const part = (at, length) => bytes.slice(at, at + length);
	const version_at = (at) => `${bytes[at + 2]}.${bytes[at + 1]}.${bytes[at]}`;
	const version = u32(0), key_info = u32(0x048);
	demand(version >= 2 && version <= 5, "structure", `report version ${version}; 2 to 5 are known`);
	check_reserved(bytes, version);
	const report = {
		version, guest_svn: u32(0x004), policy: u64(0x008), family_id: part(0x010, 16), image_id: part(0x020, 16), vmpl: u32(0x030),
		platform_info: u64(0x040), author_key_en: (key_info & 1) !== 0, mask_chip_key: (key_info & 2) !== 0,
		signing_key: (key_info >>> 2 & 7) === 0 ? "vcek" : "vlek",
		report_data: part(0x050, 64), measurement: part(0x090, 48), host_data: part(0x0c0, 32), id_key_digest: part(0x0e0, 48),
		author_key_digest: part(0x110, 48), report_id: part(0x140, 32), report_id_ma: part(0x160, 32), chip_id: part(0x1a0, 64),
		current_tcb: part(0x038, 8), reported_tcb: part(0x180, 8), committed_tcb: part(0x1e0, 8), launch_tcb: part(0x1f0, 8),
		current_version: version_at(0x1e8), committed_version: version_at(0x1ec), launch_mit: u64(0x1f8), current_mit: u64(0x200),
	};
	check_fields(report, u32(0x034), key_info);
	if (version >= 3) {
		const [family, model] = [bytes[0x188], bytes[0x189]];
		report.product = CPUID.find(([f, first, last]) => f === family && model >= first && model <= last)?.[3];
		demand(report.product, "product", `processor family ${family} model ${model} is not known`);
	}
	return report;
}

/* R and S are little-endian; WebCrypto wants both big-endian and side by side. */
function signature_of(bytes) {
	const signature = new Uint8Array(2 * P384_BYTES);
	for (const i of [0, 1]) {
		const start = SIGNED_BYTES + i * COMPONENT_BYTES, component = bytes.subarray(start, start + COMPONENT_BYTES);
		if (component.subarray(P384_BYTES).some((byte) => byte !== 0))
			return null; /* more than a component of P-384 has */
		signature.set(component.slice(0, P384_BYTES).reverse(), i * P384_BYTES);
	}
	return signature;
}

/** Refuses a report that is not signed by `key` (P-384). Its raw bytes are what is signed. */
export async function check_report_signature(bytes, key) {
	const signature = signature_of(bytes);
	demand(signature && await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-384" }, key, signature, bytes.subarray(0, SIGNED_BYTES)),
		"signature", "the report is not signed by the key of this certificate");
}
