/*
 * The made network from inside; for its own files alone. Each knows only those
 * above it:
 *
 *   net_due       what happens when
 *   net_port      addresses: who has which, and who listens there
 *   net_slot      sockets as places in the table
 *   net_pipe      the bytes on their way to one end of a connection
 *   net_request   requests, from submission to completion; the faults that strike them
 *   net_stream    sends and receives, ends and resets
 *   net_connect   from listening to an accepted connection
 *   net_socket    the calls that don't wait
 *   net_backend   the table (io/backend.h)
 *   net_check     what must hold
 *   net           the whole, and its time
 *
 * A request is tried when it is submitted, and then whenever what it waits for
 * has changed: nobody waits for what is there. A socket's number is its place in
 * the table, and its os_fd. Requests may be damaged while they are under way, and
 * a fault may cut a call short where it reads or writes a shard's memory: what is
 * needed of a request is copied when it is submitted, and the net's own lists are
 * changed after such a place, not before.
 *
 * Invariants: two connected ends name each other as peer. What was sent to an end
 * lies in its own window: first what has arrived, then what is on its way. A socket
 * that was accepted by nobody yet is in exactly one backlog.
 */
#ifndef TINA__SIM_NET_INSIDE_H
#define TINA__SIM_NET_INSIDE_H

#include "base/assert.h"
#include "base/bits.h"
#include "mem/pool.h"
#include "sim/net.h"
#include "sim/net_due.h"

#define TINA__NET_PIECES  8 /* of different times on their way to an end; more are joined to the last */
#define TINA__NET_OPTIONS (TINA_OPT_KEEPCNT + 1)
#define TINA__NET_PORTS   65536
#define TINA__NET_NOBODY  UINT32_MAX /* whose a socket is that waits in a backlog */

enum { TINA__NET_READS, TINA__NET_WRITES }; /* the halves of a socket */

typedef enum tina__net_half_state {
    TINA__HALF_IDLE,
    TINA__HALF_WAITS,
    TINA__HALF_LATE,     /* it is over; its completion comes when it is due */
    TINA__HALF_STARVED,  /* found no buffer: over, unless there is one when it is collected */
    TINA__HALF_GIVEN_UP, /* starved, and then its end was asked for */
} tina__net_half_state;

/* A request under way. */
typedef struct tina__net_half {
    const tina__io_request *request; /* only ever compared; NULL: none */
    uint64_t token;
    const uint8_t *data; /* send */
    uint32_t size;
    uint8_t kind;  /* tina__io_kind */
    uint8_t state; /* tina__net_half_state */
    uint8_t shard;
    bool no_wait;
} tina__net_half;

typedef struct tina__net_piece {
    uint64_t due_ns;
    uint32_t size;
} tina__net_piece;

/* An address as all families write it: IPv4 as IPv6 does, ::ffff:a.b.c.d. */
typedef struct tina__net_endpoint {
    uint8_t ip[16];
    uint32_t scope;
    uint16_t port;
    bool has_all_ipv4, has_all_ipv6; /* every address of that family */
} tina__net_endpoint;

/* Sockets in a line. */
typedef struct tina__net_list {
    uint32_t first, last, count; /* first and last mean something where count is not 0 */
} tina__net_list;

typedef enum tina__net_state {
    TINA__SOCKET_FREE,
    TINA__SOCKET_OPEN, /* neither listens nor is connected */
    TINA__SOCKET_LISTENING,
    TINA__SOCKET_CONNECTING, /* on its way to a listener */
    TINA__SOCKET_IN_LINE,    /* waits for room in a listener's backlog */
    TINA__SOCKET_CONNECTED,
    TINA__SOCKET_BROKEN, /* was connected, and reset */
} tina__net_state;

typedef struct tina__net_socket {
    tina__net_half halves[2];

    /* A connection. */
    uint32_t peer;  /* NONE: closed, or never was */
    uint32_t first; /* where in the window the oldest byte lies */
    uint32_t arrived, coming;
    int32_t error; /* of a reset, until an operation has told it */
    uint8_t state; /* tina__net_state */
    uint8_t family;
    uint8_t piece_first, piece_count;
    bool is_read_shut, is_write_shut;
    bool is_end_coming, has_ended; /* the peer's end of what it sends */
    uint64_t end_due_ns;
    tina__net_piece pieces[TINA__NET_PIECES];

    uint32_t shard; /* whose it is; NOBODY: it waits in a backlog */
    tina__net_endpoint local, remote;
    bool has_port;
    bool is_port_ours; /* the net's choice, or its listener's: given back when the connection is over */
    uint32_t port_next, port_previous;

    /* A listener: connections that nobody has accepted yet, and clients for which there is no room. */
    uint32_t backlog_max;
    tina__net_list backlog, line;

    uint32_t listener;       /* in whose backlog or line it is, or NONE */
    uint32_t next, previous; /* there */
    uint32_t link;           /* the pool's */
    int32_t options[TINA__NET_OPTIONS];
} tina__net_socket;

/* What may be due of a socket: four things each. */
typedef enum tina__net_thing {
    TINA__DUE_READER,  /* the completion of a late request in that half */
    TINA__DUE_WRITER,  /* likewise; or that it reaches the listener */
    TINA__DUE_ARRIVAL, /* the next piece, or the end */
    TINA__DUE_RESET,
} tina__net_thing;
#define TINA__DUE_THINGS 4

/* What the net keeps of a shard, whether there is a backend or not. */
typedef struct tina__net_shard {
    tina__backend *backend;
    uint32_t socket_count;
    tina__prng errors, resets, shorts, delays;
} tina__net_shard;

struct tina__net {
    tina__net_config config;
    uint64_t now_ns;
    tina__faults *faults;
    tina__net_shard *shards;
    tina__net_socket *sockets;
    tina__pool slots;
    uint32_t open_count, unaccepted_count; /* together: sockets that are not free */
    uint8_t *windows;
    size_t window_stride;
    tina__io_completion *late; /* by half: 2 x socket + half */
    tina__due due;
    uint32_t *ports; /* by port: the first that has it, from 1; 0: nobody. Those who listen stand first */
    uint32_t next_port;
    tina__prng stream;
    uint64_t sent, received, lost;
};

/* A completion, or what may become one. */
typedef struct tina__net_news {
    tina__io_completion completion;
    uint32_t starved; /* the socket whose receive found no buffer, or NONE */
} tina__net_news;

struct tina__backend {
    tina__net *net;
    uint32_t shard;
    uint32_t request_count; /* under way, without a completion yet; those that are late among them */
    uint8_t *buffers;
    uint32_t buffer_size, buffer_count;
    uint32_t lent_count;
    uint32_t taken_count; /* buffers in completions that were not collected yet */
    uint32_t op_count;
    uint32_t news_first, news_count;
    tina__net_news *news; /* a ring of op_count: each request has one completion */
    uint32_t *lent;       /* a stack */
};

static inline tina__net_socket *tina__net_at(const tina__net *net, uint32_t index)
{
    tina__assert(index < net->slots.fresh);
    return &net->sockets[index];
}

static inline uint32_t tina__net_thing_of(uint32_t index, tina__net_thing thing) { return index * TINA__DUE_THINGS + thing; }

/* ---- net_port ---- */

/* False: an unknown family. */
bool tina__net_endpoint_make(const tina_address *address, bool is_v6only, tina__net_endpoint *endpoint);
void tina__net_endpoint_write(const tina__net_endpoint *endpoint, uint8_t family, tina_address *address);
/* Nothing in particular, port 0. */
tina__net_endpoint tina__net_endpoint_any(uint8_t family, bool is_v6only);
bool tina__net_endpoint_is_ipv4(const tina__net_endpoint *endpoint);
bool tina__net_endpoint_is_any(const tina__net_endpoint *endpoint);

/* Whether somebody has the socket's address who does not share it. */
bool tina__net_port_conflicts(const tina__net *net, uint32_t index);
/* 0: every one is somebody's. */
uint16_t tina__net_port_choose(tina__net *net);
/* From here on the socket has the port of its local address; a listener's is found by those who connect. */
void tina__net_port_hold(tina__net *net, uint32_t index);
void tina__net_port_release(tina__net *net, uint32_t index);
/* Who listens there; of several, one by a draw. NONE: nobody. */
uint32_t tina__net_port_listener(tina__net *net, const tina__net_endpoint *target);

/* ---- net_slot ---- */

/* A free one, open, of that shard (NOBODY: of a backlog's). NONE: the table is full. */
uint32_t tina__net_slot_take(tina__net *net, uint32_t shard, uint8_t family);
/* Nothing of it is under way, due or in a list any more. */
void tina__net_slot_give(tina__net *net, uint32_t index);
/* One that waited in a backlog becomes that shard's. False: there may be no more sockets. */
bool tina__net_slot_accept(tina__net *net, uint32_t index, uint32_t shard);
/* That number is a socket that somebody has. */
static inline bool tina__net_slot_is_open(const tina__net *net, int32_t os_fd)
{
    if (os_fd < 0 || (uint32_t)os_fd >= net->slots.fresh)
        return false;
    const tina__net_socket *socket = &net->sockets[os_fd];
    return socket->state != TINA__SOCKET_FREE && socket->shard != TINA__NET_NOBODY;
}

void tina__net_list_push(tina__net *net, tina__net_list *list, uint32_t listener, uint32_t index);
void tina__net_list_remove(tina__net *net, tina__net_list *list, uint32_t index);

/* ---- net_pipe: of the bytes on their way to a socket ---- */

static inline uint32_t tina__net_pipe_room(const tina__net *net, const tina__net_socket *to)
{
    return net->config.window_size - to->arrived - to->coming;
}
/* At most as many as there is room for. */
void tina__net_pipe_put(tina__net *net, uint32_t to, const uint8_t *data, uint32_t size, uint64_t delay_ns);
/* The end, behind all that was put. */
void tina__net_pipe_end(tina__net *net, uint32_t to, uint64_t delay_ns);
/* When all that is on its way has arrived; 0: nothing is. */
uint64_t tina__net_pipe_last_ns(const tina__net *net, uint32_t to);
/* What is due by now arrives. */
void tina__net_pipe_arrive(tina__net *net, uint32_t to);
/* At most as many as have arrived. */
void tina__net_pipe_take(tina__net *net, uint32_t from, uint8_t *into, uint32_t size);
/* Nothing is on its way any more; nor has anything arrived. */
void tina__net_pipe_lose_coming(tina__net *net, uint32_t to);
void tina__net_pipe_lose(tina__net *net, uint32_t to);

/* ---- net_request ---- */

static inline bool tina__net_strikes(tina__prng *stream, tina_ratio rate)
{
    return rate.numerator != 0 && tina__fault_strikes(stream, rate);
}

/* How late something of that shard is, by the faults' choice. */
uint64_t tina__net_draw_delay(tina__net *net, uint32_t shard);
static inline uint64_t tina__net_delay(tina__net *net, uint32_t shard)
{
    tina_range rounds = net->faults->rates.io_delay;
    return (rounds.min | rounds.max) == 0 ? 0 : tina__net_draw_delay(net, shard);
}

/* Takes it over from whoever submits it. The half is idle. */
tina__net_half *tina__net_request_begin(tina__backend *backend, uint32_t index, const tina__io_request *request);
/*
 * It waits no longer: its completion comes at once, or late by a draw. What it has
 * done besides is the caller's to add, before it does anything else.
 */
tina__io_completion *tina__net_request_finish(tina__net *net, uint32_t index, uint32_t half, tina_status status,
                                              int os_error);
tina__io_completion *tina__net_request_finish_now(tina__net *net, uint32_t index, uint32_t half, tina_status status,
                                                  int os_error);
/* The receive found no buffer. */
void tina__net_request_starve(tina__net *net, uint32_t index);
/* A late one is due. */
void tina__net_request_tell(tina__net *net, uint32_t index, uint32_t half);
/* Nobody will be told. An accepted socket that it has, or -1. */
int32_t tina__net_request_drop(tina__net *net, uint32_t index, uint32_t half);

static inline tina__io_completion tina__net_completion(uint64_t token, tina_status status, int os_error)
{
    return (tina__io_completion){
        .token = token,
        .buffer = TINA__BUFFER_NONE,
        .os_fd = -1,
        .os_error = os_error,
        .status = (uint16_t)status,
    };
}

/* The next to be collected after those that are there. */
tina__net_news *tina__net_news_add(tina__backend *backend);

/* ---- net_stream ---- */

/* A receive, or a send, was submitted there: it and what it makes possible go on as far as they can. */
void tina__net_stream_receive(tina__net *net, uint32_t index);
void tina__net_stream_send(tina__net *net, uint32_t index);
/* What waits in the socket's halves, and at its peer, goes on as far as it can. */
void tina__net_stream_serve(tina__net *net, uint32_t index);
/* The receive that starved, now that there is a buffer: adds what it did to its completion. */
void tina__net_stream_feed(tina__net *net, uint32_t index, tina__io_completion *completion);
/* The peer's end comes, by that shard's doing. */
void tina__net_stream_end(tina__net *net, uint32_t index, uint32_t by_shard);
/* The connection breaks: here at once, and for the peer when it learns of it. */
void tina__net_stream_break(tina__net *net, uint32_t index, uint32_t by_shard);
/* A reset has come. */
void tina__net_stream_reset(tina__net *net, uint32_t index);
/* The end of a connection closes. Nothing of it is under way. */
void tina__net_stream_close(tina__net *net, uint32_t index, bool is_rude, uint32_t by_shard);

/* ---- net_connect ---- */

void tina__net_connect_begin(tina__net *net, uint32_t index, const tina_address *address);
/* It has come to where it wanted to. */
void tina__net_connect_arrive(tina__net *net, uint32_t index);
/* It wants to no more. */
void tina__net_connect_withdraw(tina__net *net, uint32_t index);
/* A port of the net's choice, where it has none. False: there is none. */
bool tina__net_connect_bind(tina__net *net, uint32_t index);

/* Who waits at a listener goes on as far as they can. */
void tina__net_listener_serve(tina__net *net, uint32_t index);
/* It listens no more: who waits in its backlog is reset. */
void tina__net_listener_end(tina__net *net, uint32_t index);

/* ---- net_socket ---- */

void tina__net_socket_close(tina__net *net, uint32_t index, uint32_t by_shard);

tina_status tina__net_socket_open(tina__backend *backend, int family, int type, int *os_fd, int *os_error);
tina_status tina__net_socket_bind(tina__backend *backend, int os_fd, const tina_address *address, int *os_error);
tina_status tina__net_socket_listen(tina__backend *backend, int os_fd, int backlog, int *os_error);
tina_status tina__net_socket_local(tina__backend *backend, int os_fd, tina_address *address, int *os_error);
tina_status tina__net_socket_peer(tina__backend *backend, int os_fd, tina_address *address, int *os_error);
tina_status tina__net_socket_set(tina__backend *backend, int os_fd, int option, int value, int *os_error);
tina_status tina__net_socket_get(tina__backend *backend, int os_fd, int option, int *value, int *os_error);
tina_status tina__net_socket_shutdown(tina__backend *backend, int os_fd, int half, int *os_error);

#endif
