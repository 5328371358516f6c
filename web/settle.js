// SPDX-License-Identifier: Apache-2.0
/**
 * Leave every mode that a program may have set, keep what is on the screen, go to a fresh line at its end. Not RIS (ESC c): that would
 * also throw away the scrollback.
 */
export const SETTLE = "\x1b\\\x1b[?1049l\x1b[!p\x1b[?1000;1002;1003;1004;1005;1006;1015;2004;9;1;6;66;45l\x1b[?7;25h\x1b[4l\x1b[r\x1b(B\x0f\x1b[0m\x1b[999;1H\r\n";
