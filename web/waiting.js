// SPDX-License-Identifier: Apache-2.0
/** Of machines that were asked to start while many others are on their way. */
import { t } from "./words.js";

/** @param {object} vm of the API @returns {string} where it stands in the line, "" when it does not wait */
export const waiting_words = ({ waiting }) => !waiting ? "" : waiting.before > 0 ? t("state.waiting", { count: waiting.before }) : t("state.next");
