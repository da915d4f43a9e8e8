/* SPDX-License-Identifier: BSD-2-Clause
 *
 * leaky_server — a small server that leaks on purpose, for the demo and its test.
 *
 * It answers lines on a loopback socket: "VISIT <user> <page>" with a page of text. It has the
 * three kinds of memory a heap profile must tell apart: requests and pages that are freed at
 * once, a page cache that fills to its bound and stays, and a record of each visit's session
 * that remember_session links into a list nobody ever reads: the leak.
 *
 *   leaky_server [VISITS]      its own client sends that many (20,000); then it ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    VISIT_COUNT_DEFAULT = 20000,
    CACHE_PAGE_COUNT = 256,
    PAGE_BYTES = 4096,
    LINE_BYTES = 128,
    HISTORY_BYTES = 900,
};

struct session {
    struct session *next;
    char *user;
    char *history;
};

struct request {
    char *user;
    char *page;
};

static struct session *sessions;
static char *page_cache[CACHE_PAGE_COUNT];

static void *checked(void *ptr) {
    if (ptr == NULL) {
        perror("leaky_server");
        exit(1);
    }
    return ptr;
}

/* Errors of the sockets end the program: there is nothing to show without them. */
static int checked_call(int result) {
    if (result < 0) {
        perror("leaky_server");
        exit(1);
    }
    return result;
}

/* The leak: every visit is a new session, and none is ever dropped. */
static void remember_session(const char *user) {
    struct session *const session = checked(malloc(sizeof(*session)));

    session->user = checked(strdup(user));
    session->history = checked(malloc(HISTORY_BYTES));
    memset(session->history, 'h', HISTORY_BYTES);
    session->next = sessions;
    sessions = session;
}

/* Bounded: what a profile shows here does not grow. */
static const char *cached_page(const char *page) {
    const unsigned idx = (unsigned)strtoul(page, NULL, 10) % CACHE_PAGE_COUNT;

    if (page_cache[idx] == NULL) {
        page_cache[idx] = checked(malloc(PAGE_BYTES));
        memset(page_cache[idx], 'p', PAGE_BYTES);
        snprintf(page_cache[idx], PAGE_BYTES, "page %u", idx);
    }
    return page_cache[idx];
}

static struct request *parse_request(const char *line) {
    char user[LINE_BYTES];
    char page[LINE_BYTES];

    if (sscanf(line, "VISIT %127s %127s", user, page) != 2) {
        return NULL;
    }
    struct request *const request = checked(malloc(sizeof(*request)));
    request->user = checked(strdup(user));
    request->page = checked(strdup(page));
    return request;
}

static void free_request(struct request *request) {
    free(request->user);
    free(request->page);
    free(request);
}

static char *render_page(const struct request *request) {
    const char *const body = cached_page(request->page);
    const size_t answer_bytes = strlen(body) + strlen(request->user) + 32;
    char *const answer = checked(malloc(answer_bytes));

    snprintf(answer, answer_bytes, "200 hello %s, %s\n", request->user, body);
    return answer;
}

static void handle_line(FILE *client, const char *line) {
    struct request *const request = parse_request(line);

    if (request == NULL) {
        fputs("400 what?\n", client);
    } else {
        char *const answer = render_page(request);
        remember_session(request->user);
        fputs(answer, client);
        free(answer);
        free_request(request);
    }
    fflush(client);
}

/* Serves one client until it hangs up. */
static void serve(int listener) {
    const int fd = checked_call(accept(listener, NULL, NULL));
    FILE *const client = checked(fdopen(fd, "r+"));
    char line[LINE_BYTES * 3];

    while (fgets(line, sizeof(line), client) != NULL) {
        handle_line(client, line);
    }
    fclose(client);
}

struct load {
    struct sockaddr_in address;
    unsigned long visit_count;
    unsigned long good_count;
};

/* The client: asks, and reads the answer before it asks again. */
static void *run_load(void *arg) {
    struct load *const load = arg;
    const int fd = checked_call(socket(AF_INET, SOCK_STREAM, 0));
    char line[LINE_BYTES * 3];

    checked_call(connect(fd, (const struct sockaddr *)&load->address, sizeof(load->address)));
    FILE *const server = checked(fdopen(fd, "r+"));
    for (unsigned long visit = 0; visit < load->visit_count; visit++) {
        fprintf(server, "VISIT user%lu %lu\n", visit, visit * 7919);
        fflush(server);
        if (fgets(line, sizeof(line), server) != NULL && strncmp(line, "200 ", 4) == 0) {
            load->good_count++;
        }
    }
    fclose(server);
    return NULL;
}

int main(int argc, char **argv) {
    struct load load = {
        .address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}},
        .visit_count = argc > 1 ? strtoul(argv[1], NULL, 10) : VISIT_COUNT_DEFAULT,
    };
    socklen_t address_bytes = sizeof(load.address);
    pthread_t client;

    const int listener = checked_call(socket(AF_INET, SOCK_STREAM, 0));
    checked_call(bind(listener, (const struct sockaddr *)&load.address, sizeof(load.address)));
    checked_call(listen(listener, 1));
    checked_call(getsockname(listener, (struct sockaddr *)&load.address, &address_bytes));
    errno = pthread_create(&client, NULL, run_load, &load);
    checked_call(errno == 0 ? 0 : -1);
    serve(listener);
    (void)pthread_join(client, NULL);
    close(listener);
    printf("leaky_server: %lu of %lu visits answered\n", load.good_count, load.visit_count);
    return load.good_count == load.visit_count ? 0 : 1;
}
