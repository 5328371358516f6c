/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest guest: a kernel that QEMU enters by PVH, says on its serial line that it is ready, and answers what is typed there:
 *
 *   o   switches itself off (ACPI, as q35's firmware has set it up)
 *   r   resets
 *   p   panics: tells pvpanic
 *   any other byte comes back
 *
 * It listens to its power button too. For tests that start some hundred machines.
 */
	.code32
	.section .note.Xen, "a", @note
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.text
	.globl _start
_start:
	mov	$stack_end, %esp
	mov	$0x602, %dx		/* PM1_EN: the power button */
	mov	$0x100, %ax
	out	%ax, %dx
	mov	$marker, %esi
1:	lodsb
	test	%al, %al
	jz	poll
	call	put
	jmp	1b

poll:
	mov	$0x600, %dx		/* PM1_STS */
	in	%dx, %ax
	test	$0x100, %ax
	jnz	off
	mov	$0x3fd, %dx
	in	%dx, %al
	test	$1, %al
	jz	rest
	mov	$0x3f8, %dx
	in	%dx, %al
	cmp	$'o', %al
	je	off
	cmp	$'r', %al
	je	reset
	cmp	$'p', %al
	je	panic
	call	put
	jmp	poll

rest:
	mov	$20000, %ecx		/* a machine that waits leaves the processor to the others, as far as it can without interrupts */
2:	pause
	loop	2b
	jmp	poll

off:
	mov	$0x604, %dx		/* PM1_CNT: SLP_EN, type 0 is S5 */
	mov	$0x2000, %ax
	out	%ax, %dx
	jmp	.
reset:
	mov	$0xcf9, %dx
	mov	$6, %al
	out	%al, %dx
	jmp	.
panic:
	mov	$0x505, %dx
	mov	$1, %al
	out	%al, %dx
	jmp	.

put:
	push	%eax
	mov	$0x3fd, %dx
3:	in	%dx, %al
	test	$0x20, %al
	jz	3b
	pop	%eax
	mov	$0x3f8, %dx
	out	%al, %dx
	ret

	.section .rodata
marker:	.asciz "\033]7717;ready\007tiny\r\n"
	.bss
	.skip	4096
stack_end:
