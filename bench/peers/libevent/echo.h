/*
 * A shard of the echo server, and the forms that its connections can have. A
 * connection belongs to its shard's thread.
 */
#ifndef ECHO_H
#define ECHO_H

#include <event2/util.h>
#include <pthread.h>
#include <stddef.h>

typedef struct echo_shard echo_shard;

/* Takes an accepted socket and serves it until it ends. */
typedef void echo_open(echo_shard *shard, evutil_socket_t socket);

struct echo_shard {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *stop;
    echo_open *open;
    char *buffer; /* what the raw form reads into */
    size_t buffer_size;
    pthread_t thread;
};

echo_open echo_open_buffered;
echo_open echo_open_raw;

#endif
