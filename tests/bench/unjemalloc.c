/* SPDX-License-Identifier: BSD-2-Clause
 *
 * unjemalloc — a libjemalloc.so.2 without an allocator in it.
 *
 * Debian's redis-server is linked with jemalloc. It would be loaded and set up beside each other
 * allocator, and would be the allocator where none is preloaded. With this file in its place, by
 * LD_LIBRARY_PATH, malloc is whoever is preloaded or the C library; redis asks for statistics and
 * is told that there are none. What has these functions of its own and is preloaded comes first.
 *
 * nallocx tells redis whether a realloc would change nothing. 0 is never what a block has, so that
 * it calls realloc, as a redis built for the C library's malloc does.
 */
#include <errno.h>
#include <stddef.h>

int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
void malloc_stats_print(void (*write)(void *, const char *), void *arg, const char *options);
size_t nallocx(size_t size_bytes, int flags);

int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes) {
    (void)name;
    (void)old;
    (void)old_bytes;
    (void)new;
    (void)new_bytes;
    return ENOENT;
}

void malloc_stats_print(void (*write)(void *, const char *), void *arg, const char *options) {
    (void)write;
    (void)arg;
    (void)options;
}

size_t nallocx(size_t size_bytes, int flags) {
    (void)size_bytes;
    (void)flags;
    return 0;
}
