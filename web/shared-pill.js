// SPDX-License-Identifier: Apache-2.0
/** What lies over somebody else's terminal when there is something to do about it. */
import { t } from "./words.js";

/**
 * What the pill says.
 * @param {{link: string, reason?: string, away: boolean, may_control: boolean, types: boolean, free: boolean}} now `free`: nobody types
 * @returns {?{text: string, act: string, does: "connect"|"take"|"wake"}}
 */
export function shared_pill({ link, reason, away, may_control, types, free }) {
	if (link === "ended")
		return { text: reason === "exited" ? t("shared.exited") : t("pill.idle"), act: t("door.retry"), does: "connect" };
	if (link === "open")
		return may_control && !types && free ? { text: t("shared.free"), act: t("pill.take"), does: "take" } : null;
	return away ? { text: t("pill.away"), act: t("pill.now"), does: "wake" } : null;
}
