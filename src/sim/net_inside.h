/*
 * The made network from inside; for its own files alone. Each knows only those
 * above it:
 *
 *   net_due       what happens when
 *   net_port      IP addresses: who has which, and who listens there
 *   net_name      names of Unix sockets, in the file system and beside it
 *   net_slot      sockets as places in the table
 *   net_pipe      the bytes on their way to one end of a connection
 *   net_queue     the datagrams on their way to a socket
 *   net_request   requests, from submission to completion; the faults that strike them
 *   net_file      files: what is asked of the made disk (sim/disk.h)
 *   net_stream    sends and receives, ends and resets
 *   net_connect   from listening to an accepted connection
 *   net_flight    a datagram over IP: to whom, and what becomes of it
 *   net_datagram  sends and receives of datagrams
 *   net_socket    the calls that don't wait
 *   net_backend   the table (io/backend.h)
 *   net_check     what must hold; its part for datagrams is net_check_datagram
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
 * lies in its own window: first what has arrived, then what is on its way; datagrams
 * likewise. A socket that was accepted by nobody yet is in exactly one backlog. One
 * that a shard has let go of is nobody's, and in none, until another takes it over.
 */
#ifndef TINA__SIM_NET_INSIDE_H
#define TINA__SIM_NET_INSIDE_H

#include "base/assert.h"
#include "base/bits.h"
#include "mem/pool.h"
#include "sim/disk.h"
#include "sim/net.h"
#include "sim/net_due.h"

#define TINA__NET_PIECES    8  /* of different times on their way to an end; more are joined to the last */
#define TINA__NET_DATAGRAMS 64 /* on their way to a socket, those that have arrived among them */
#define TINA__NET_OPTIONS   (TINA_OPT_KEEPCNT + 1)
#define TINA__NET_PORTS     65536
#define TINA__NET_NOBODY    UINT32_MAX       /* whose a socket is that waits in a backlog */
#define TINA__NET_MOVING    (UINT32_MAX - 1) /* and one that is between two shards */

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
    const uint8_t *data; /* send, write */
    uint64_t offset;     /* of a file, as is the next */
    int32_t file;        /* sendfile: which */
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

/* Of a Unix socket. */
typedef struct tina__net_name {
    uint8_t length; /* 0: it has none */
    char path[sizeof((tina_address *)0)->path];
} tina__net_name;

/* A socket for as long as it is the same: its place may be another's later. */
typedef struct tina__net_ref {
    uint32_t index;
    uint64_t life; /* 0: none */
} tina__net_ref;

/* What only Unix sockets have. */
typedef struct tina__net_unix_end {
    tina__net_name name, peer_name;
    bool is_found;        /* by its name; the ends of a listener's connections have it, too, and are not */
    uint32_t node;        /* where it is found in the file system; NONE: not there */
    tina__net_ref target; /* to whom a socket for datagrams is connected */
} tina__net_unix_end;

/* One on its way to a socket. These lie behind its window, in the order in which they arrive. */
typedef struct tina__net_datagram {
    uint64_t due_ns;
    uint32_t at, size; /* its bytes in the window, which have no gaps */
    tina_address from;
} tina__net_datagram;

typedef struct tina__net_queue {
    uint32_t count, arrived; /* datagrams; those that have arrived are the first */
    uint32_t size;           /* bytes of all of them */
} tina__net_queue;

/* Sockets in a line. */
typedef struct tina__net_list {
    uint32_t first, last, count; /* first and last mean something where count is not 0 */
} tina__net_list;

typedef enum tina__net_state {
    TINA__SOCKET_FREE,
    TINA__SOCKET_OPEN, /* neither listens nor is connected; datagrams' are only this or connected */
    TINA__SOCKET_LISTENING,
    TINA__SOCKET_CONNECTING, /* on its way to a listener */
    TINA__SOCKET_IN_LINE,    /* waits for room in a listener's backlog */
    TINA__SOCKET_CONNECTED,
    TINA__SOCKET_BROKEN, /* was connected, and reset */
    TINA__SOCKET_FILE,   /* no socket at all; nobody's: only there for a request with a path, until that is told */
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
    uint8_t type; /* tina_socket_type */
    uint8_t piece_first, piece_count;
    bool is_read_shut, is_write_shut;
    bool is_end_coming, has_ended; /* the peer's end of what it sends */
    uint64_t end_due_ns;
    tina__net_piece pieces[TINA__NET_PIECES];

    tina__net_queue queue;
    tina__net_unix_end unix_end;

    tina__disk_file file; /* that it is open on; a file that is nobody's: none */

    uint32_t shard; /* whose it is; NOBODY: it waits in a backlog; MOVING: it is between two */
    uint64_t life;
    tina__net_endpoint local, remote;
    bool has_port;
    bool is_port_ours; /* the net's choice, or its listener's: given back when the connection is over */
    uint32_t port_next, port_previous;

    /*
     * A listener: connections that nobody has accepted yet, and clients for which there
     * is no room. In the line of a datagram socket stand those who send to it.
     */
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
    tina__prng errors, resets, shorts, delays, losses, doubles;
} tina__net_shard;

struct tina__net {
    tina__net_config config;
    uint64_t now_ns;
    tina__faults *faults;
    tina__disk *disk; /* made and destroyed with the net */
    tina__net_shard *shards;
    tina__net_socket *sockets;
    tina__pool slots;
    uint32_t open_count, unaccepted_count; /* together: sockets that are not free */
    uint32_t moving_count;                 /* of those that are open */
    uint64_t life_count;
    uint8_t *windows;
    size_t window_stride;
    tina__io_completion *late; /* by half: 2 x socket + half */
    tina__due due;
    uint32_t
        *ports; /* by port, of streams, then of datagrams: the first that has it, from 1; 0: nobody. Listeners stand first */
    uint32_t next_port, next_name;
    tina__prng stream;
    uint64_t sent, doubled, received, lost; /* bytes, of datagrams too */
    tina__net_tally datagrams;              /* but for on_their_way, which is counted when it is asked for */
    uint64_t read, written;                 /* bytes of files; what goes from one to a connection is only sent */
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
    uint8_t *annexes;
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

static inline bool tina__net_is_datagram(const tina__net_socket *socket) { return socket->type == TINA_DATAGRAM; }
static inline bool tina__net_is_unix(const tina__net_socket *socket) { return socket->family == TINA_UNIX; }
static inline bool tina__net_is_somebodys(const tina__net_socket *socket) { return socket->shard < TINA__NET_MOVING; }

/* What an operation comes to. */
typedef struct tina__net_outcome {
    tina_status status;
    int os_error;
} tina__net_outcome;

/* ---- net_port ---- */

/* False: an unknown family. */
bool tina__net_endpoint_make(const tina_address *address, bool is_v6only, tina__net_endpoint *endpoint);
void tina__net_endpoint_write(const tina__net_endpoint *endpoint, uint8_t family, tina_address *address);
/* Nothing in particular, port 0. */
tina__net_endpoint tina__net_endpoint_any(uint8_t family, bool is_v6only);
bool tina__net_endpoint_is_ipv4(const tina__net_endpoint *endpoint);
bool tina__net_endpoint_is_any(const tina__net_endpoint *endpoint);
/* Whom an address leads to, who is on this host: nothing in particular is its loopback. The family is known. */
tina__net_endpoint tina__net_endpoint_target(const tina_address *address);
/* A socket that takes IPv6 only has no way to the other. */
bool tina__net_endpoint_is_out_of_reach(const tina__net_socket *socket, const tina__net_endpoint *target);
/* What a host puts as its own address on the way to one that is its own, too. */
tina__net_endpoint tina__net_endpoint_source(const tina__net_endpoint *own, const tina__net_endpoint *target);

/* Whether somebody has the socket's address who does not share it. */
bool tina__net_port_conflicts(const tina__net *net, uint32_t index);
/* By port, of streams or of datagrams. */
static inline uint32_t *tina__net_ports_of(const tina__net *net, const tina__net_socket *socket)
{
    return net->ports + (tina__net_is_datagram(socket) ? TINA__NET_PORTS : 0);
}
/* One that nobody has; 0: every one is somebody's. */
uint16_t tina__net_port_choose(tina__net *net, const tina__net_socket *socket);
/* From here on the socket has the port of its local address; a listener's is found by those who connect. */
void tina__net_port_hold(tina__net *net, uint32_t index);
void tina__net_port_release(tina__net *net, uint32_t index);
/* Who listens there; of several, one by a draw. NONE: nobody. */
uint32_t tina__net_port_listener(tina__net *net, const tina__net_endpoint *target);
/* Who gets a datagram from there; likewise. */
uint32_t tina__net_port_receiver(tina__net *net, const tina__net_endpoint *target, const tina__net_endpoint *from);

/* ---- net_name ---- */

/* Of a family that is known. */
bool tina__net_is_address(const tina_address *address);
/* A path ends at its first zero byte. */
tina__net_name tina__net_name_of(const tina_address *address);
void tina__net_name_write(const tina__net_name *name, tina_address *address);
/* Where it is, and whom it is connected to. */
void tina__net_local_write(const tina__net_socket *socket, tina_address *address);
void tina__net_remote_write(const tina__net_socket *socket, tina_address *address);

/* A socket without one gets that name; an empty one: one of the net's choice. 0, or errno. */
int tina__net_name_bind(tina__net *net, uint32_t index, const tina__net_name *name);
/* It has it no more; in the file system it stays, and leads to nobody. */
void tina__net_name_release(tina__net *net, uint32_t index);
/* The socket of that name and type. NONE, and why. */
uint32_t tina__net_name_find(tina__net *net, const tina__net_name *name, uint8_t type, tina__net_outcome *why);

/* ---- net_slot ---- */

/* A free one, open, of that shard (NOBODY: of a backlog's). NONE: the table is full. */
uint32_t tina__net_slot_take(tina__net *net, uint32_t shard, uint8_t family, uint8_t type);
/* Nothing of it is under way, due or in a list any more. */
void tina__net_slot_give(tina__net *net, uint32_t index);
/* One that was only there for a request with a path, which is over, is given; any other is left. */
void tina__net_slot_pass(tina__net *net, uint32_t index);
/* One that waited in a backlog, or is for a file that is opened, becomes that shard's. False: there may be no more sockets. */
bool tina__net_slot_accept(tina__net *net, uint32_t index, uint32_t shard);
/* From a shard to MOVING, and from there to a shard. */
void tina__net_slot_move(tina__net *net, uint32_t index, uint32_t shard);
static inline tina__net_ref tina__net_ref_to(const tina__net *net, uint32_t index)
{
    return (tina__net_ref){index, tina__net_at(net, index)->life};
}
/* NONE: it is gone. */
uint32_t tina__net_ref_get(const tina__net *net, tina__net_ref ref);
/* That number is a socket that some shard has. */
static inline bool tina__net_slot_is_open(const tina__net *net, int32_t os_fd)
{
    if (os_fd < 0 || (uint32_t)os_fd >= net->slots.fresh)
        return false;
    const tina__net_socket *socket = &net->sockets[os_fd];
    return socket->state != TINA__SOCKET_FREE && tina__net_is_somebodys(socket);
}
/* That number is a socket between two shards. */
static inline bool tina__net_slot_is_moving(const tina__net *net, int32_t os_fd)
{
    if (os_fd < 0 || (uint32_t)os_fd >= net->slots.fresh)
        return false;
    const tina__net_socket *socket = &net->sockets[os_fd];
    return socket->state != TINA__SOCKET_FREE && socket->shard == TINA__NET_MOVING;
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

/* ---- net_queue: of the datagrams on their way to a socket ---- */

tina__net_datagram *tina__net_queue_at(const tina__net *net, uint32_t index, uint32_t number);
bool tina__net_queue_has_room(const tina__net *net, uint32_t to, uint32_t size);
/* There is room. */
void tina__net_queue_put(tina__net *net, uint32_t to, const uint8_t *data, uint32_t size, const tina_address *from,
                         uint64_t due_ns);
/* When the last of them arrives; 0: there is none. */
uint64_t tina__net_queue_last_ns(const tina__net *net, uint32_t to);
/* What is due by now arrives. */
void tina__net_queue_arrive(tina__net *net, uint32_t to);
/* The first, which has arrived, or as much of it as there is space for. How large it was. */
uint32_t tina__net_queue_take(tina__net *net, uint32_t of, uint8_t *into, uint32_t space, tina_address *from);
void tina__net_queue_lose(tina__net *net, uint32_t to);

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

/* How many of the bytes that could go do, by the faults' choice: at least one. */
uint32_t tina__net_shorten(tina__net *net, uint32_t shard, uint32_t size);
/* Whether an operation of that shard fails, having done nothing: 0, or the errno. */
int tina__net_request_strike(tina__net *net, uint32_t shard);

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

/* ---- net_file: what is done takes effect when it is submitted, however late that is told ---- */

/* What is asked of a file, or with a path, or neither: of a socket. */
bool tina__net_file_is_asked(uint8_t kind);
/* A request on the file was submitted there. */
void tina__net_file_start(tina__net *net, uint32_t index, uint32_t half);
/* A request with a path. */
void tina__net_file_start_named(tina__backend *backend, const tina__io_request *request);
/* The read that starved, now that there is a buffer: adds what it did to its completion. */
void tina__net_file_feed(tina__net *net, uint32_t index, tina__io_completion *completion);
/* How much of its file a sendfile has still to send; 0: nothing, or not at all, which is the errno in *error. */
uint32_t tina__net_file_left(tina__net *net, const tina__net_half *half, int *error);
/* As many bytes of it into the window of that socket. */
void tina__net_file_put(tina__net *net, uint32_t to, const tina__net_half *half, uint32_t size, uint64_t delay_ns);
void tina__net_file_close(tina__net *net, uint32_t index);

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
/* It listens no more, by that shard's doing: who waits in its backlog is reset. */
void tina__net_listener_end(tina__net *net, uint32_t index, uint32_t by_shard);

/* ---- net_flight ---- */

/* What is sent there, to where it is connected to if to is NULL, is on its way; receiver: to whom, or NONE. Or why it is not. */
tina__net_outcome tina__net_flight_start(tina__net *net, uint32_t index, const tina_address *to, uint32_t *receiver);
tina__net_outcome tina__net_flight_connect(tina__net *net, uint32_t index, const tina_address *to);

/* ---- net_datagram ---- */

void tina__net_datagram_connect(tina__net *net, uint32_t index, const tina_address *address);
/* To whom it is connected, if address is NULL. */
void tina__net_datagram_send(tina__net *net, uint32_t index, const tina_address *address);
/* Who waits at it, and in its line, goes on as far as they can. */
void tina__net_datagram_serve(tina__net *net, uint32_t index);
/* As of streams. */
void tina__net_datagram_feed(tina__net *net, uint32_t index, tina__io_completion *completion);
/* It learns that nobody was where it has sent to. */
void tina__net_datagram_refuse(tina__net *net, uint32_t index);
/* It waits in a line, and wants to no more. */
void tina__net_datagram_withdraw(tina__net *net, uint32_t index);
/* Who waits in its line does not any more. */
void tina__net_datagram_end_line(tina__net *net, uint32_t index, tina_status status, int os_error);
/* What it has got is lost, and who waits in its line is told that. Nothing of it is under way. */
void tina__net_datagram_close(tina__net *net, uint32_t index);

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

/* ---- net_check ---- */

typedef struct tina__net_truth {
    bool holds;
    const char *text;
} tina__net_truth;

/* The first that does not hold, or NULL. */
const char *tina__net_first_broken(const tina__net_truth *truths, size_t count);
/* At a listener, for a place in its backlog; or at a socket for datagrams, for room. */
bool tina__net_waits_in_line(const tina__net_socket *socket);
/* Every socket in the list names its listener, and there are as many as it says. */
bool tina__net_list_is_sound(const tina__net *net, const tina__net_list *list, uint32_t listener, bool is_backlog);
/* NULL, or what does not hold of a socket for datagrams. */
const char *tina__net_check_datagram(const tina__net *net, uint32_t index);

#endif
