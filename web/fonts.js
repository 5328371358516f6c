// SPDX-License-Identifier: Apache-2.0
/** Fonts for the terminal: those that many computers have. None is sent along. */

const GOOD = ["SF Mono", "Cascadia Mono", "JetBrains Mono", "DejaVu Sans Mono", "Menlo", "Consolas", "Liberation Mono"];

/** Families that the settings suggest. */
export const FONTS = [...GOOD, "Fira Code", "Hack", "IBM Plex Mono", "Noto Sans Mono", "Source Code Pro", "Ubuntu Mono"].sort();

/** @param {string} chosen a family, "" for none @returns {string} for CSS */
export const font_family = (chosen) => [...(chosen ? [`"${chosen}"`] : []), "ui-monospace", ...GOOD.map((name) => `"${name}"`), "monospace"].join(", ");
