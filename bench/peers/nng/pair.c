/*
 * The pair of sockets that the workloads use, and the number in a message.
 *
 * Of the patterns for one sender and one receiver (pair0, pair1, push and pull, req
 * and rep), pair1 with the largest buffers that nng allows is the fastest.
 */
#include "workloads.h"

#include <nng/protocol/pair1/pair.h>

enum { BUFFER_MESSAGES = 8192 };

void must(int status, const char *what)
{
    if (status != 0)
        fail("%s: %s", what, nng_strerror(status));
}

static nng_socket open_socket(void)
{
    nng_socket socket;
    must(nng_pair1_open(&socket), "nng_pair1_open");
    must(nng_socket_set_int(socket, NNG_OPT_SENDBUF, BUFFER_MESSAGES), NNG_OPT_SENDBUF);
    must(nng_socket_set_int(socket, NNG_OPT_RECVBUF, BUFFER_MESSAGES), NNG_OPT_RECVBUF);
    return socket;
}

struct pair open_pair(void)
{
    struct pair pair = {.here = open_socket(), .there = open_socket()};
    must(nng_listen(pair.here, "inproc://bench", NULL, 0), "nng_listen");
    must(nng_dial(pair.there, "inproc://bench", NULL, 0), "nng_dial");
    return pair;
}

void close_pair(struct pair pair)
{
    must(nng_close(pair.there), "nng_close");
    must(nng_close(pair.here), "nng_close");
}

uint64_t message_number(nng_msg *message)
{
    uint64_t number;
    if (nng_msg_len(message) != sizeof number)
        fail("a message of %zu bytes arrived", nng_msg_len(message));
    memcpy(&number, nng_msg_body(message), sizeof number);
    return number;
}

void message_set_number(nng_msg *message, uint64_t number) { memcpy(nng_msg_body(message), &number, sizeof number); }
