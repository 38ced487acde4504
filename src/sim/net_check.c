/* What checkers see of the net. Walks all sockets. */
#include "sim/net_inside.h"

/* ---- Books ------------------------------------------------------------------------------ */

void tina__net_read_ledger(const tina__net *net, tina__net_ledger *ledger)
{
    *ledger = (tina__net_ledger){
        .sent = net->sent,
        .doubled = net->doubled,
        .received = net->received,
        .lost = net->lost,
        .datagrams = net->datagrams,
        .sockets = net->open_count,
        .moving = net->moving_count,
        .read = net->read,
        .written = net->written,
    };
    for (uint32_t i = 0; i < net->slots.fresh; i++) {
        const tina__net_socket *socket = &net->sockets[i];
        if (socket->state == TINA__SOCKET_FREE)
            continue;
        ledger->on_their_way += (uint64_t)socket->arrived + socket->coming + socket->queue.size;
        ledger->datagrams.on_their_way += socket->queue.count;
    }
}

bool tina__net_is_moving(const tina__net *net, int32_t os_fd) { return tina__net_slot_is_moving(net, os_fd); }

bool tina__net_is_open(const tina__net *net, int32_t os_fd, uint32_t shard)
{
    return tina__net_slot_is_open(net, os_fd) && net->sockets[os_fd].shard == shard;
}

void tina__net_read_holdings(const tina__backend *backend, tina__net_holdings *holdings)
{
    *holdings = (tina__net_holdings){
        .requests = backend->request_count,
        .completions = backend->news_count,
        .buffers = backend->lent_count + backend->taken_count,
        .sockets = backend->net->shards[backend->shard].socket_count,
    };
}

/* ---- What must hold ------------------------------------------------------------------------ */

const char *tina__net_first_broken(const tina__net_truth *truths, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!truths[i].holds)
            return truths[i].text;
    }
    return NULL;
}

static bool is_alive(const tina__net *net, uint32_t index)
{
    return index < net->slots.fresh && net->sockets[index].state != TINA__SOCKET_FREE;
}

static const char *check_connection(const tina__net *net, uint32_t index)
{
    const tina__net_socket *self = &net->sockets[index];
    bool has_peer = self->peer != TINA__NONE;
    bool has_stream = self->state == TINA__SOCKET_CONNECTED || self->state == TINA__SOCKET_BROKEN;
    uint64_t pieces = 0;
    uint64_t due_ns = 0;
    bool is_in_order = true;
    for (uint32_t i = 0; i < self->piece_count; i++) {
        const tina__net_piece *piece = &self->pieces[(self->piece_first + i) % TINA__NET_PIECES];
        pieces += piece->size;
        is_in_order &= piece->due_ns >= due_ns;
        due_ns = piece->due_ns;
    }
    bool is_coming = self->piece_count != 0 || self->is_end_coming;
    const tina__net_truth truths[] = {
        {!has_peer || (is_alive(net, self->peer) && net->sockets[self->peer].peer == index), "a peer is not the other's"},
        {!has_peer || self->state == TINA__SOCKET_CONNECTED, "a socket without a connection has a peer"},
        {has_stream || self->arrived + self->coming == 0, "bytes are on their way to no connection"},
        {(uint64_t)self->arrived + self->coming <= net->config.window_size, "a window holds more than fits"},
        {self->first < net->config.window_size, "a window begins behind its end"},
        {pieces == self->coming, "pieces on their way are not what is coming"},
        {is_in_order, "a piece overtakes another"},
        {is_coming == tina__due_is_set(&net->due, tina__net_thing_of(index, TINA__DUE_ARRIVAL)),
         "what is on its way is not what is due"},
        {!self->has_ended || !is_coming, "something follows the end"},
    };
    return tina__net_first_broken(truths, sizeof truths / sizeof truths[0]);
}

/* Nobody waits for what is there. */
static const char *check_waiting(const tina__net *net, uint32_t index)
{
    const tina__net_socket *self = &net->sockets[index];
    const tina__net_half *reader = &self->halves[TINA__NET_READS];
    const tina__net_half *writer = &self->halves[TINA__NET_WRITES];
    bool reads = reader->state == TINA__HALF_WAITS;
    bool writes = writer->state == TINA__HALF_WAITS;
    bool receives = reads && reader->kind == TINA__IO_RECEIVE;
    bool sends = writes && (writer->kind == TINA__IO_SEND || writer->kind == TINA__IO_SENDFILE);
    bool waits_on_file = self->state == TINA__SOCKET_FILE && (reads || writes);
    bool accepts = reads && reader->kind == TINA__IO_ACCEPT;
    bool is_connecting = self->state == TINA__SOCKET_CONNECTING || self->state == TINA__SOCKET_IN_LINE;
    bool has_room = self->peer == TINA__NONE || tina__net_pipe_room(net, &net->sockets[self->peer]) != 0;
    const tina__net_truth truths[] = {
        {!receives || (self->arrived == 0 && !self->has_ended && !self->is_read_shut), "a receive waits for what is there"},
        {!sends || !has_room || tina__due_is_set(&net->due, tina__net_thing_of(index, TINA__DUE_RESET)),
         "a send waits although there is room"},
        {!waits_on_file, "an operation on a file waits"},
        {!accepts || (self->state == TINA__SOCKET_LISTENING && self->backlog.count == 0),
         "an accept waits for what is there"},
        {(writes && writer->kind == TINA__IO_CONNECT) == is_connecting, "a socket connects without a request"},
        {(reader->state == TINA__HALF_LATE) == tina__due_is_set(&net->due, tina__net_thing_of(index, TINA__DUE_READER)),
         "a late completion is not due"},
        {(writer->state == TINA__HALF_LATE || self->state == TINA__SOCKET_CONNECTING) ==
             tina__due_is_set(&net->due, tina__net_thing_of(index, TINA__DUE_WRITER)),
         "a late completion is not due"},
    };
    return tina__net_first_broken(truths, sizeof truths / sizeof truths[0]);
}

bool tina__net_waits_in_line(const tina__net_socket *socket)
{
    const tina__net_half *writer = &socket->halves[TINA__NET_WRITES];
    bool sends = writer->state == TINA__HALF_WAITS && writer->kind == TINA__IO_SEND_TO;
    return sends || socket->state == TINA__SOCKET_IN_LINE;
}

bool tina__net_list_is_sound(const tina__net *net, const tina__net_list *list, uint32_t listener, bool is_backlog)
{
    uint32_t previous = TINA__NONE;
    uint32_t index = list->first;
    for (uint32_t i = 0; i < list->count; i++) {
        if (!is_alive(net, index))
            return false;
        const tina__net_socket *socket = &net->sockets[index];
        bool is_unaccepted = socket->shard == TINA__NET_NOBODY;
        bool is_right = is_unaccepted == is_backlog && (is_backlog || tina__net_waits_in_line(socket));
        if (socket->listener != listener || socket->previous != previous || !is_right)
            return false;
        previous = index;
        index = socket->next;
    }
    return list->count == 0 || (index == TINA__NONE && list->last == previous);
}

static const char *check_listening(const tina__net *net, uint32_t index)
{
    const tina__net_socket *self = &net->sockets[index];
    bool listens = self->state == TINA__SOCKET_LISTENING;
    bool is_full = self->backlog.count > self->backlog_max;
    bool waits = self->shard == TINA__NET_NOBODY || self->state == TINA__SOCKET_IN_LINE;
    const tina__net_truth truths[] = {
        {listens || self->backlog.count + self->line.count == 0, "one that does not listen has a backlog"},
        {!listens || self->has_port || tina__net_is_unix(self), "one that listens has no port"},
        {tina__net_list_is_sound(net, &self->backlog, index, true), "a backlog is not in order"},
        {tina__net_list_is_sound(net, &self->line, index, false), "a line is not in order"},
        {self->line.count == 0 || is_full, "a client waits in line although there is room"},
        {waits == (self->listener != TINA__NONE), "one that waits is in no list"},
    };
    return tina__net_first_broken(truths, sizeof truths / sizeof truths[0]);
}

static const char *check_socket(const tina__net *net, uint32_t index)
{
    const tina__net_socket *self = &net->sockets[index];
    bool is_stream = self->state != TINA__SOCKET_FILE && !tina__net_is_datagram(self);
    const char *broken = NULL;
    if (is_stream)
        broken = check_connection(net, index);
    else if (tina__net_is_datagram(self))
        broken = tina__net_check_datagram(net, index);
    if (broken == NULL)
        broken = check_waiting(net, index);
    return broken == NULL && is_stream ? check_listening(net, index) : broken;
}

/* ---- All of them together -------------------------------------------------------------------- */

typedef struct census {
    uint32_t open, moving, unaccepted, with_port, in_lists, listed, files;
    uint64_t on_their_way, datagrams;
} census;

static void count_socket(const tina__net_socket *socket, census *seen)
{
    seen->open += socket->shard != TINA__NET_NOBODY;
    seen->moving += socket->shard == TINA__NET_MOVING;
    seen->unaccepted += socket->shard == TINA__NET_NOBODY;
    seen->with_port += socket->has_port;
    seen->files += socket->state == TINA__SOCKET_FILE && socket->shard != TINA__NET_NOBODY;
    seen->in_lists += socket->listener != TINA__NONE;
    seen->listed += socket->backlog.count + socket->line.count;
    seen->on_their_way += (uint64_t)socket->arrived + socket->coming + socket->queue.size;
    seen->datagrams += socket->queue.count;
}

/* How many have that port; NONE: the circle is broken, or somebody listens behind one who does not. */
static uint32_t count_port(const tina__net *net, const uint32_t *ports, uint32_t port)
{
    uint32_t count = 0;
    bool may_listen = true;
    for (uint32_t place = ports[port]; place != 0;) {
        if (!is_alive(net, place - 1) || count == net->slots.fresh)
            return TINA__NONE;
        const tina__net_socket *socket = &net->sockets[place - 1];
        bool listens = socket->state == TINA__SOCKET_LISTENING;
        bool is_right = socket->has_port && socket->local.port == port && tina__net_ports_of(net, socket) == ports;
        if (!is_right || (listens && !may_listen))
            return TINA__NONE;
        may_listen = listens;
        count++;
        place = socket->port_next == ports[port] ? 0 : socket->port_next;
    }
    return count;
}

/* Looks only where somebody has a port, or had one. */
static bool are_ports_sound(const tina__net *net, const census *seen)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < net->slots.fresh; i++) {
        const tina__net_socket *socket = &net->sockets[i];
        bool has_port = socket->state != TINA__SOCKET_FREE && socket->has_port;
        const uint32_t *ports = tina__net_ports_of(net, socket);
        bool is_first = ports[socket->local.port] == i + 1;
        if (is_first && !has_port)
            return false;
        count += is_first ? count_port(net, ports, socket->local.port) : 0;
    }
    return count == seen->with_port;
}

static const char *check_backend(const tina__net *net, const tina__backend *backend)
{
    uint32_t requests = 0, sockets = 0;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < net->slots.fresh; i++) {
        const tina__net_socket *socket = &net->sockets[i];
        if (socket->state == TINA__SOCKET_FREE)
            continue;
        sockets += socket->shard == backend->shard;
        for (uint32_t which = TINA__NET_READS; which <= TINA__NET_WRITES; which++) {
            const tina__net_half *half = &socket->halves[which];
            bool is_late = half->state == TINA__HALF_LATE;
            bool is_ours = half->request != NULL && half->shard == backend->shard;
            requests += is_ours && (half->state == TINA__HALF_WAITS || is_late);
            taken += is_ours && is_late && net->late[2 * i + which].buffer != TINA__BUFFER_NONE;
        }
    }
    for (uint32_t i = 0; i < backend->news_count; i++)
        taken += backend->news[(backend->news_first + i) % backend->op_count].completion.buffer != TINA__BUFFER_NONE;
    const tina__net_truth truths[] = {
        {requests == backend->request_count, "requests under way are not as many as were submitted"},
        {backend->request_count + backend->news_count <= backend->op_count, "there are more requests than may be"},
        {sockets == net->shards[backend->shard].socket_count, "a shard's sockets are miscounted"},
        {taken == backend->taken_count, "buffers in completions are miscounted"},
        {backend->lent_count + backend->taken_count <= backend->buffer_count, "more buffers are lent than there are"},
    };
    return tina__net_first_broken(truths, sizeof truths / sizeof truths[0]);
}

static uint32_t count_opens(const tina__net *net)
{
    tina__disk_ledger disk;
    tina__disk_read_ledger(net->disk, &disk);
    return disk.opens;
}

static const char *check_whole(const tina__net *net, const census *seen)
{
    const tina__net_truth truths[] = {
        {tina__pool_is_sound(&net->slots), "the table's free list is not in order"},
        {tina__due_is_sound(&net->due), "what is due is not in order"},
        {net->open_count == seen->open, "open sockets are miscounted"},
        {net->moving_count == seen->moving, "sockets between shards are miscounted"},
        {net->unaccepted_count == seen->unaccepted, "sockets in backlogs are miscounted"},
        {net->slots.used == seen->open + seen->unaccepted, "the table and its sockets disagree"},
        {seen->in_lists == seen->listed, "a socket is in no list, or in two"},
        {net->sent + net->doubled == net->received + net->lost + seen->on_their_way, "bytes are not conserved"},
        {net->datagrams.sent + net->datagrams.doubled == net->datagrams.received + net->datagrams.lost + seen->datagrams,
         "datagrams are not conserved"},
        {are_ports_sound(net, seen), "a port's list is not in order"},
        {count_opens(net) == seen->files, "files are open that nobody has"},
    };
    return tina__net_first_broken(truths, sizeof truths / sizeof truths[0]);
}

static void look_at_late(const tina__net *net, uint32_t index, tina__net_look_fn look, void *user)
{
    for (uint32_t which = TINA__NET_READS; which <= TINA__NET_WRITES; which++) {
        const tina__net_half *half = &net->sockets[index].halves[which];
        if (half->state == TINA__HALF_LATE)
            look(user, half->shard, &net->late[2 * index + which]);
    }
}

void tina__net_look_at_completions(const tina__net *net, tina__net_look_fn look, void *user)
{
    for (uint32_t shard = 0; shard < net->config.shard_count; shard++) {
        const tina__backend *backend = net->shards[shard].backend;
        for (uint32_t i = 0; backend != NULL && i < backend->news_count; i++)
            look(user, shard, &backend->news[(backend->news_first + i) % backend->op_count].completion);
    }
    for (uint32_t i = 0; i < net->slots.fresh; i++) {
        if (net->sockets[i].state != TINA__SOCKET_FREE)
            look_at_late(net, i, look, user);
    }
}

const char *tina__net_broken(const tina__net *net)
{
    census seen = {0};
    const char *broken = NULL;
    for (uint32_t i = 0; i < net->slots.fresh && broken == NULL; i++) {
        if (net->sockets[i].state == TINA__SOCKET_FREE)
            continue;
        count_socket(&net->sockets[i], &seen);
        broken = check_socket(net, i);
    }
    if (broken == NULL)
        broken = check_whole(net, &seen);
    for (uint32_t i = 0; i < net->config.shard_count && broken == NULL; i++) {
        if (net->shards[i].backend != NULL)
            broken = check_backend(net, net->shards[i].backend);
    }
    return broken != NULL ? broken : tina__disk_broken(net->disk);
}
