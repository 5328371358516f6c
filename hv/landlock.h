/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_LANDLOCK_H
#define HV_LANDLOCK_H

/** landlock_abi() - version of Landlock that this kernel has and permits; 0 without */
int landlock_abi(void);

#endif
