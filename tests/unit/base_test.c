/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Goal:   every message leaves whole and once, by the program's function if it has set one; what
 *         ends the process names its reason in one line.
 * Method: children whose standard error is read, and a malloc_message that keeps what it gets.
 */
#include "alloc/base.h"
#include "tests/support/dies.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 2048, LINE_BYTES_MAX = 512 /* of base.c, with the final 0 */ };

static char kept[TEXT_BYTES_MAX];
static unsigned kept_count;
static bool was_lock_free;

static void keep(void *opaque, const char *text) {
    ck_assert_ptr_null(opaque);
    ck_assert_uint_lt(strlen(text), sizeof(kept));
    strcpy(kept, text);
    kept_count++;
    errno = ERANGE;
}

START_TEST(a_message_goes_to_the_programs_function) {
    malloc_message = keep;
    errno = EDOM;
    al_message_write("some words\n");
    malloc_message = NULL;
    ck_assert_int_eq(errno, EDOM);
    ck_assert_uint_eq(kept_count, 1);
    ck_assert_str_eq(kept, "some words\n");
}
END_TEST

static void write_to_nobody(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    (void)close(STDERR_FILENO);
    errno = EDOM;
    al_message_write("nobody hears\n");
    _exit(errno == EDOM ? 0 : 1);
}

/* A pipe whose reader is gone: EPIPE, not EINTR, and not again. */
static void write_to_broken_pipe(void) {
    int fds[2];

    (void)signal(SIGPIPE, SIG_IGN);
    if (pipe(fds) != 0 || dup2(fds[1], STDERR_FILENO) < 0 || close(fds[0]) != 0) {
        _exit(1);
    }
    errno = EDOM;
    al_message_write("nobody hears\n");
    _exit(errno == EDOM ? 0 : 1);
}

START_TEST(a_message_that_cannot_be_written_is_dropped) {
    assert_ends(write_to_nobody, 0, "");
    assert_ends(write_to_broken_pipe, 0, "");
}
END_TEST

static void die(void) {
    al_die("a reason");
}

static void die_ptr(void) {
    al_die_ptr("a reason", (const void *)(uintptr_t)0xabc0);
}

static void die_ptr_null(void) {
    al_die_ptr("a reason", NULL);
}

static void check_holds(void) {
    AL_CHECK(1 + 1 == 2, "arithmetic");
}

static void check_fails(void) {
    AL_CHECK(1 + 1 == 3, "arithmetic");
}

START_TEST(the_last_line_names_the_reason) {
    assert_dies(die, "tally: a reason\n");
    assert_dies(die_ptr, "tally: a reason: 0xADDR\n");
    assert_dies(die_ptr_null, "tally: a reason: 0xADDR\n");
    assert_ends(check_holds, 0, "");
    assert_dies(check_fails, "tally: arithmetic\n");
}
END_TEST

/* `_i` bytes around the longest line there is. */
static int reason_bytes;

static void die_long(void) {
    char reason[TEXT_BYTES_MAX];

    memset(reason, 'r', (size_t)reason_bytes);
    reason[reason_bytes] = '\0';
    al_die(reason);
}

START_TEST(a_line_too_long_is_cut_and_ends) {
    static const char prefix[] = "tally: ";
    const int room_bytes = LINE_BYTES_MAX - (int)sizeof(prefix) - 1;
    char want[TEXT_BYTES_MAX];

    reason_bytes = room_bytes + _i;
    const int shown_bytes = reason_bytes < room_bytes ? reason_bytes : room_bytes;
    strcpy(want, prefix);
    memset(want + strlen(prefix), 'r', (size_t)shown_bytes);
    strcpy(want + strlen(prefix) + shown_bytes, "\n");
    assert_dies(die_long, want);
}
END_TEST

static void look_and_tell(void *opaque, const char *text) {
    (void)opaque;
    was_lock_free = al_is_lock_free;
    malloc_message = NULL;
    al_message_write(was_lock_free ? "no locks: " : "locks: ");
    al_message_write(text);
}

static void die_telling(void) {
    malloc_message = look_and_tell;
    al_die("a reason");
}

/* The function may allocate, and the thread that dies may hold any lock. */
START_TEST(the_last_words_are_said_without_locks) {
    assert_dies(die_telling, "no locks: tally: a reason\n");
    ck_assert(!al_is_lock_free);
}
END_TEST

enum { ASSERT_LINE = __LINE__ + 3 };

static void assert_fails(void) {
    AL_ASSERT(kept_count > 100);
}

static void audit_runs(void) {
    AL_AUDIT(al_message_write("walked\n"));
}

START_TEST(the_build_decides_what_is_checked) {
    if (al_is_debug) {
        char want[TEXT_BYTES_MAX];
        (void)snprintf(want, sizeof(want), "tally: internal: " __FILE__ ":%d: kept_count > 100\n",
                       ASSERT_LINE);
        assert_dies(assert_fails, want);
    } else {
        assert_ends(assert_fails, 0, "");
    }
    assert_ends(audit_runs, 0, al_is_audit ? "walked\n" : "");
}
END_TEST

int main(void) {
    TCase *const tcase = tcase_create("base");

    tcase_add_test(tcase, a_message_goes_to_the_programs_function);
    tcase_add_test(tcase, a_message_that_cannot_be_written_is_dropped);
    tcase_add_test(tcase, the_last_line_names_the_reason);
    tcase_add_loop_test(tcase, a_line_too_long_is_cut_and_ends, -2, 3);
    tcase_add_test(tcase, the_last_words_are_said_without_locks);
    tcase_add_test(tcase, the_build_decides_what_is_checked);
    return suite_run(tcase, "base", 30);
}
