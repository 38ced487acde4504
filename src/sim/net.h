/*
 * The made network: all sockets of a simulated system, the files that are open on
 * its disk (sim/disk.h), and a backend for each of its shards behind the usual table
 * (io/backend.h).
 *
 * Peers are real: a socket connects to one that listens, through a backlog; bytes
 * flow in order and in pieces, through a window that fills; ends are shut down by
 * halves, closed, and reset as a kernel would. Addresses are IPv4 and IPv6 as
 * isolates give them; there is one host, with all addresses, and port 0 gets a
 * free port of the net's own. Where nothing else is said it is as on Linux, errnos
 * included. A client that finds a backlog full waits in line until there is room,
 * or is refused when the listener ends: whoever does not want to wait for ever gives
 * a timeout. Ports are free as soon as their sockets are closed; ports below 1024
 * are anybody's.
 *
 * A datagram goes to whoever has its address when it is sent, into a queue of as many
 * bytes as a window, and a fixed count. Over IP one for which there is no room is
 * dropped, and one to nobody is lost; only a connected socket learns of that, by its
 * next operation. Over Unix sockets both are told at once: the sender waits, in a
 * line, or fails. What is in a queue stays there when its sender closes.
 *
 * Names of Unix sockets are paths in the disk, where they stay, leading to nobody,
 * until they are unlinked; or abstract, and go with their sockets.
 *
 * Sockets and files move: between let_go and take_over one is nobody's, keeps all
 * that has come and goes on getting more, and may be closed by any shard.
 *
 * Faults, by the rates of the moment. io_error: an operation fails with EIO, having
 * done nothing; disk_error: likewise what is asked of a file. connection_reset: a
 * send or a receive breaks its connection; what was on its way is lost. short_io: a
 * send, a receive, a read or a write does less than it could. io_delay: a connect
 * reaches its listener, bytes, ends and resets reach the other side, and accepts,
 * receives, sends and all that is asked of files are told of, so many rounds later;
 * what an operation has done it has done all the same, when it was submitted, and a
 * cancel brings it at once. Datagrams over IP have each a delay of their own, and so
 * overtake each other; datagram_loss: one is lost; datagram_double: it comes twice.
 * Over Unix sockets none is lost, doubled or overtaken. Without a rate everything
 * that can happen happens at once, and nothing is drawn but which of several sockets
 * of one address gets a client, or a datagram.
 *
 * One thread. Time comes with tina__net_advance; nothing else moves it. Asks for
 * memory when it is made, and never again.
 */
#ifndef TINA__SIM_NET_H
#define TINA__SIM_NET_H

#include "io/backend.h"
#include "sim/disk.h"
#include "sim/faults.h"

typedef struct tina__net tina__net;

typedef struct tina__net_config {
    uint64_t seed;
    uint64_t now_ns;
    uint64_t round_ns; /* what io_delay counts in */
    uint32_t shard_count;
    uint32_t socket_count; /* that may be open at once */
    uint32_t window_size;  /* bytes on their way in each direction of a connection, or to a socket for datagrams */
    tina__faults *faults;  /* outlives the net */
} tina__net_config;

/* NULL: no memory. */
tina__net *tina__net_make(const tina__net_config *config);
void tina__net_destroy(tina__net *net); /* NULL: does nothing */

/* The host's disk, which the net makes and destroys: Unix sockets have their names there. */
tina__disk *tina__net_disk(const tina__net *net);

/* Time passes: what is due by now happens. */
void tina__net_advance(tina__net *net, uint64_t now_ns);

/* When something is due next, exactly; TINA_NONE_NS: nothing is on its way. */
uint64_t tina__net_next_ns(const tina__net *net);

extern const tina__backend_api tina__net_backend;

/* The backend of that shard; config->memory: tina__net_backend.memory_size(config) bytes, zeroed. Instead of the table's open. */
tina__backend *tina__net_attach(tina__net *net, uint32_t shard, const tina__backend_config *config);

/* It has completions to collect. */
bool tina__net_has_news(const tina__backend *backend);

/* ---- For checkers ---- */

/* Each that was sent, or came into being as another's double, was received, is on its way, or was lost. */
typedef struct tina__net_tally {
    uint64_t sent, doubled, received, lost, on_their_way;
} tina__net_tally;

typedef struct tina__net_ledger {
    uint64_t sent, doubled, received, lost, on_their_way; /* bytes, likewise, of all sockets there ever were */
    tina__net_tally datagrams;
    uint32_t sockets;       /* open, whichever shard's; those that nobody has accepted yet are nobody's */
    uint32_t moving;        /* of these: a shard has let go of them, and none has taken them over yet */
    uint64_t read, written; /* bytes of files; what goes from one to a connection is sent instead */
} tina__net_ledger;
void tina__net_read_ledger(const tina__net *net, tina__net_ledger *ledger);

/* That descriptor is open, and that shard's: it opened it, or accepted it, or took it over. */
bool tina__net_is_open(const tina__net *net, int32_t os_fd, uint32_t shard);

/* That descriptor is open, and between two shards. */
bool tina__net_is_moving(const tina__net *net, int32_t os_fd);

/* What the shard's backend holds. */
typedef struct tina__net_holdings {
    uint32_t requests;    /* under way, without a completion yet */
    uint32_t completions; /* not collected yet */
    uint32_t buffers;     /* lent, or in completions that are not collected yet */
    uint32_t sockets;     /* open, of that shard; also those in completions */
} tina__net_holdings;
void tina__net_read_holdings(const tina__backend *backend, tina__net_holdings *holdings);

/* What each shard's backend has completed and not handed over yet: late ones, and those that were not collected. O(n). */
typedef void (*tina__net_look_fn)(void *user, uint32_t shard, const tina__io_completion *completion);
void tina__net_look_at_completions(const tina__net *net, tina__net_look_fn look, void *user);

/* NULL, or which truth about the net's own lists does not hold. O(n). */
const char *tina__net_broken(const tina__net *net);

#endif
