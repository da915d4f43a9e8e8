/* SPDX-License-Identifier: BSD-2-Clause
 *
 * override_new_x86_64 — bool al_new_call_catching(new_handler): a call with a landing pad of its
 * own. The frame's personality is al_new_personality; no table is needed, it has one call.
 */
#include "alloc/override_new.h"

__asm__(".pushsection .text\n"
        ".hidden al_new_call_catching, al_new_landing, al_new_personality, al_new_caught\n"
        ".globl al_new_call_catching, al_new_landing\n"
        ".type al_new_call_catching, @function\n"
        "al_new_call_catching:\n"
        ".cfi_startproc\n"
        ".cfi_personality 0x1b, al_new_personality\n"
        "    subq $8, %rsp\n"
        ".cfi_adjust_cfa_offset 8\n"
        "    call *%rdi\n"
        "    movl $1, %eax\n"
        "    addq $8, %rsp\n"
        ".cfi_adjust_cfa_offset -8\n"
        "    ret\n"
        "al_new_landing:\n"
        ".cfi_adjust_cfa_offset 8\n"
        "    movq %rax, %rdi\n"
        "    call al_new_caught\n"
        "    xorl %eax, %eax\n"
        "    addq $8, %rsp\n"
        ".cfi_adjust_cfa_offset -8\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size al_new_call_catching, . - al_new_call_catching\n"
        ".popsection\n");
