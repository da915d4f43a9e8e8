/* SPDX-License-Identifier: BSD-2-Clause
 *
 * trivial — a process that does nothing.
 *
 * Question: what does an allocator cost a process that hardly needs one?
 * Unit:     launch.c's: processor time and peak memory of the whole process.
 * Noise:    much: it is about loading a library. Many processes make one figure (launch -n).
 * Honest:   the C library's own column loads no library at all, and that is how it is used.
 */
int main(void) {
    return 0;
}
