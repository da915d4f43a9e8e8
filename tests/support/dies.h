/* SPDX-License-Identifier: BSD-2-Clause
 *
 * dies — runs a function in a child and looks at its last words.
 */
#ifndef TESTS_DIES_H
#define TESTS_DIES_H

/* Fails the running Check test unless `run` writes exactly `want` to stderr and the child is
 * then ended by `signal_number` (0: it must exit with status 0). "0xADDR" in `want` stands for
 * any hexadecimal address.
 */
void assert_ends(void (*run)(void), int signal_number, const char *want);

/* The usual case: abort. */
void assert_dies(void (*run)(void), const char *want);

#endif
