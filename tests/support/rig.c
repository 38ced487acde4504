#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/rig.h"

#include "core/dispatch.h"
#include "core/invariant.h"
#include "core/route.h"
#include "core/stats.h"
#include "os/os.h"
#include "spec/build.h"
#include "spec/check.h"

#include <stdlib.h>
#include <string.h>

#define TICKS_MAX    1000000
#define FIRST_OS_FD  1000
#define START_NS     1000000000000ull
#define ISOLATE_SIZE sizeof(rig_actor *)

static rig_system *current; /* whose actors run */

/* ---- Actors ------------------------------------------------------------------------------- */

const rig_seen *rig_saw(const rig_actor *actor, uint32_t index)
{
    assert_true(index < actor->seen_count);
    assert_true(actor->seen_count - index <= RIG_SEEN_MAX);
    return &actor->seen[index % RIG_SEEN_MAX];
}

const rig_seen *rig_saw_last(const rig_actor *actor)
{
    assert_true(actor->seen_count != 0);
    return rig_saw(actor, actor->seen_count - 1);
}

uint32_t rig_count_tag(const rig_actor *actor, tina_tag tag)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < actor->seen_count && i < RIG_SEEN_MAX; i++)
        count += actor->seen[i].tag == tag;
    return count;
}

void rig_forget(rig_actor *actor) { actor->seen_count = 0; }

static bool is_io(tina_tag tag) { return (tag >= TINA_IO_READ && tag <= TINA_IO_UNLINK) || tag == TINA_TAG_FD; }

static void note(rig_actor *me, const tina_message *message, const tina_ctx *ctx)
{
    rig_seen *seen = &me->seen[me->seen_count++ % RIG_SEEN_MAX];
    *seen = (rig_seen){
        .tag = message->tag,
        .correlation = message->correlation,
        .source = message->source,
        .caller = tina_message_caller(message),
        .is_call = tina_is_call(message),
        .size = message->size,
        .now_ns = tina_now(ctx),
        .tick = ctx->shard->tick,
        .order = ++current->order,
    };
    if (is_io(message->tag)) {
        seen->status = message->io.status;
        seen->size = message->io.size;
        seen->fd = message->io.fd;
        seen->user = message->io.user;
        if (message->io.data != NULL)
            memcpy(&seen->value, message->io.data, message->io.size < 8 ? message->io.size : 8);
        if (message->tag == TINA_TAG_FD)
            seen->value = message->io.peer->family == TINA_IPV4 ? message->io.peer->port : 0;
        return;
    }
    memcpy(&seen->value, message->payload, message->size < 8 ? message->size : 8);
    if (message->tag == TINA_TAG_CALL_FAILED)
        seen->status = (uint16_t)seen->value;
}

tina_effect rig_actor_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    if (args_size == 0)
        return tina_receive();
    if (args_size != sizeof(rig_actor *) || (uintptr_t)args % 16 != 0)
        return tina_crash(255);
    rig_actor *me = *(rig_actor *const *)args;
    *(rig_actor **)self = me;
    me->self = tina_self(ctx);
    me->init_count++;
    return me->on_init != NULL ? me->on_init(me, ctx) : tina_receive();
}

tina_effect rig_actor_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    rig_actor *me = *(rig_actor **)self;
    if (me == NULL)
        return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
    if (message->tag == RIG_TAG_DO && me->todo != NULL) {
        tina_effect (*todo)(rig_actor *, tina_ctx *) = me->todo;
        me->todo = NULL;
        return todo(me, ctx);
    }
    note(me, message, ctx);
    if (me->on != NULL)
        return me->on(me, message, ctx);
    return message->tag == TINA_TAG_SHUTDOWN ? tina_done() : tina_receive();
}

/* ---- A system to be ------------------------------------------------------------------------- */

void rig_plan_init(rig_plan *plan, size_t shard_count, size_t type_count)
{
    assert_true(shard_count <= RIG_SHARDS_MAX);
    assert_true(type_count <= RIG_TYPES_MAX);
    memset(plan, 0, sizeof *plan);
    for (size_t i = 0; i < type_count; i++) {
        plan->types[i] = (tina_type){
            .name = "actor",
            .init = rig_actor_init,
            .handler = rig_actor_handle,
            .size = ISOLATE_SIZE,
            .slot_count = 16,
            .mailbox_capacity = 32,
        };
    }
    for (size_t i = 0; i < shard_count; i++) {
        plan->shards[i].root.children = plan->children[i];
        plan->shards[i].root.restart_max = 100;
        plan->shards[i].root.dynamic_max = 12;
    }
    plan->spec = (tina_system_spec){
        .types = plan->types,
        .type_count = type_count,
        .shards = plan->shards,
        .shard_count = shard_count,
        .message_count = 256,
        .channel_capacity = 64,
        .inbox_capacity = 64,
        .timer_count = 64,
        .fd_count = 16,
        .op_count = 32,
        .buffer_count = 16,
        .buffer_size = 256,
        .transfer_count = 4,
        .transfer_size = 4096,
        .scratch_size = 4096,
        .log_size = 4096,
        .timer_resolution_ns = RIG_MS,
        .shutdown_timeout_ns = 1000 * RIG_MS,
        .shard_restart_max = 100,
    };
}

tina_child *rig_plan_child(rig_plan *plan, size_t shard, uint8_t type, rig_actor *actor)
{
    tina_group_spec *root = &plan->shards[shard].root;
    assert_true(root->child_count < RIG_CHILDREN_MAX);
    size_t index = root->child_count++;
    plan->args[shard][index] = actor;
    plan->children[shard][index] = (tina_child){
        .args = &plan->args[shard][index],
        .args_size = sizeof plan->args[shard][index],
        .type = type,
        .restart = TINA_TEMPORARY,
    };
    return &plan->children[shard][index];
}

/* ---- The backend -------------------------------------------------------------------------------- */

static bool reads(const tina__io_request *request) { return tina__io_reads(request->kind); }

/* Numbers are of whoever opened them: each is another. */
static struct tina__backend *opener_of(int os_fd)
{
    assert_true(os_fd >= FIRST_OS_FD && os_fd < FIRST_OS_FD + RIG_SHARDS_MAX * RIG_OS_FDS_MAX);
    return &current->backends[(os_fd - FIRST_OS_FD) / RIG_OS_FDS_MAX];
}

static uint8_t *holder_of(int os_fd) { return &opener_of(os_fd)->os_fds[(os_fd - FIRST_OS_FD) % RIG_OS_FDS_MAX]; }

static void check_os_fd(const struct tina__backend *backend, int os_fd)
{
    assert_int_equal(*holder_of(os_fd), RIG_HELD_BY + backend->shard);
}

static int open_os_fd(struct tina__backend *backend)
{
    for (int i = 0; i < RIG_OS_FDS_MAX; i++) {
        if (backend->os_fds[i] != RIG_CLOSED)
            continue;
        backend->os_fds[i] = (uint8_t)(RIG_HELD_BY + backend->shard);
        backend->shut[i] = 0;
        backend->os_fd_count++;
        return FIRST_OS_FD + (int)backend->shard * RIG_OS_FDS_MAX + i;
    }
    fail_msg("the rig has no more descriptors");
    return -1;
}

/* Once; and what another shard holds, this one doesn't close. */
static void close_os_fd(struct tina__backend *backend, int os_fd)
{
    uint8_t *holder = holder_of(os_fd);
    assert_true(*holder == RIG_IN_A_MESSAGE || *holder == RIG_HELD_BY + backend->shard);
    backend->os_fd_count -= *holder != RIG_IN_A_MESSAGE;
    *holder = RIG_CLOSED;
}

static rig_request *find_request(struct tina__backend *backend, const tina__io_request *request)
{
    for (uint32_t i = 0; i < backend->request_count; i++) {
        if (backend->requests[i].request == request)
            return &backend->requests[i];
    }
    return NULL;
}

/* On an open descriptor, and alone in its half. */
static void check_place(struct tina__backend *backend, const tina__io_request *request)
{
    check_os_fd(backend, request->os_fd);
    assert_true(request->slot < backend->config.fd_count);
    for (uint32_t i = 0; i < backend->request_count; i++) {
        const tina__io_request *other = backend->requests[i].request;
        assert_false(other->os_fd == request->os_fd && reads(other) == reads(request));
    }
}

static void take_request(struct tina__backend *backend, tina__io_request *request)
{
    assert_true(backend->request_count < RIG_REQUESTS_MAX);
    if (tina__io_has_fd(request->kind))
        check_place(backend, request);
    for (uint32_t i = 0; i < backend->request_count; i++)
        assert_ptr_not_equal(backend->requests[i].request, request);
    backend->requests[backend->request_count++] = (rig_request){.request = request, .token = request->token};
    backend->submitted++;
    if (request->peer == NULL)                      /* what may lie there, and the test may want to look at */
        memset(request->backend_memory, 0xA5, 128); /* it is the backend's */
}

static void fake_submit(tina__backend *backend, tina__io_request *requests)
{
    assert_non_null(requests);
    while (requests != NULL) {
        tina__io_request *next = requests->next;
        take_request(backend, requests);
        requests = next;
    }
}

/* The request is over. */
static void push_completion(struct tina__backend *backend, tina__io_request *request, tina__io_completion completion)
{
    rig_request *entry = find_request(backend, request);
    assert_non_null(entry);
    assert_true(entry->token == request->token);
    completion.token = entry->token;
    uint32_t index = (uint32_t)(entry - backend->requests);
    memmove(entry, entry + 1, (backend->request_count - index - 1) * sizeof *entry);
    backend->request_count--;
    assert_true(backend->completion_count < RIG_REQUESTS_MAX);
    backend->completions[backend->completion_count++] = completion;
}

static void complete_plainly(struct tina__backend *backend, tina__io_request *request, tina_status status, uint32_t size)
{
    push_completion(
        backend, request,
        (tina__io_completion){.status = (uint16_t)status, .size = size, .buffer = TINA__BUFFER_NONE, .os_fd = -1});
}

static void fake_cancel(tina__backend *backend, tina__io_request *request)
{
    rig_request *entry = find_request(backend, request);
    if (entry == NULL)
        return; /* its completion waits to be collected */
    if (backend->holds_cancels)
        entry->is_cancelled = true;
    else
        complete_plainly(backend, request, TINA_CANCELLED, 0);
}

static void fake_lend(tina__backend *backend, uint32_t buffer)
{
    assert_true(buffer < backend->config.buffer_count);
    assert_true(backend->lent_count < backend->config.buffer_count);
    for (uint32_t i = 0; i < backend->lent_count; i++)
        assert_int_not_equal(backend->lent[i], buffer);
    backend->lent[backend->lent_count++] = buffer;
}

static uint32_t fake_collect(tina__backend *backend, tina__io_completion *completions, uint32_t max)
{
    uint32_t count = backend->completion_count < max ? backend->completion_count : max;
    memcpy(completions, backend->completions, count * sizeof *completions);
    backend->completion_count -= count;
    memmove(backend->completions, backend->completions + count, backend->completion_count * sizeof *completions);
    return count;
}

static void fake_wake(tina__backend *backend, int wake_fd)
{
    (void)wake_fd;
    backend->wakes++;
}

/* What an accept brought and nobody collected is closed. */
static void drop_completion(struct tina__backend *backend, const tina__io_completion *completion)
{
    if (completion->os_fd >= 0)
        close_os_fd(backend, completion->os_fd);
}

static void fake_flush(tina__backend *backend, uint64_t wait_ns)
{
    (void)backend;
    assert_int_equal(wait_ns, 0); /* a tick does not wait */
}

static bool fake_abandon(tina__backend *backend)
{
    for (uint32_t i = 0; i < backend->completion_count; i++)
        drop_completion(backend, &backend->completions[i]);
    backend->completion_count = 0;
    backend->request_count = 0;
    backend->lent_count = 0;
    return true;
}

static void fake_close_fd(tina__backend *backend, int os_fd, uint32_t slot)
{
    assert_true(slot < backend->config.fd_count || slot == TINA__SLOT_NONE);
    for (uint32_t i = 0; i < backend->request_count; i++)
        assert_int_not_equal(backend->requests[i].request->os_fd, os_fd);
    close_os_fd(backend, os_fd);
}

static tina_status fake_socket_open(tina__backend *backend, int family, int type, int *os_fd, int *os_error)
{
    (void)family;
    (void)type;
    *os_error = 13;
    if (backend->socket_status == TINA_OK)
        *os_fd = open_os_fd(backend);
    return backend->socket_status;
}

static tina_status fake_socket_bind(tina__backend *backend, int os_fd, const tina_address *address, int *os_error)
{
    (void)address;
    (void)os_error;
    check_os_fd(backend, os_fd);
    return backend->socket_status;
}

static tina_status fake_socket_listen(tina__backend *backend, int os_fd, int backlog, int *os_error)
{
    (void)backlog;
    (void)os_error;
    check_os_fd(backend, os_fd);
    return backend->socket_status;
}

static tina_status fake_socket_address(tina__backend *backend, int os_fd, tina_address *address, int *os_error)
{
    (void)os_error;
    check_os_fd(backend, os_fd);
    *address = tina_ipv4(127, 0, 0, 1, (uint16_t)os_fd);
    return backend->socket_status;
}

static tina_status fake_adopt(tina__backend *backend, int os_fd, uint8_t *fd_class, int *os_error)
{
    (void)backend;
    (void)os_fd;
    (void)fd_class;
    *os_error = 0;
    return TINA_UNSUPPORTED;
}

static void fake_let_go(tina__backend *backend, int os_fd, uint32_t slot)
{
    assert_true(slot < backend->config.fd_count);
    check_os_fd(backend, os_fd);
    for (uint32_t i = 0; i < backend->request_count; i++)
        assert_int_not_equal(backend->requests[i].request->os_fd, os_fd);
    *holder_of(os_fd) = RIG_IN_A_MESSAGE;
    backend->os_fd_count--;
}

static void fake_take_over(tina__backend *backend, int os_fd)
{
    assert_int_equal(*holder_of(os_fd), RIG_IN_A_MESSAGE);
    *holder_of(os_fd) = (uint8_t)(RIG_HELD_BY + backend->shard);
    backend->os_fd_count++;
}

static tina_status fake_socket_set(tina__backend *backend, int os_fd, int option, int value, int *os_error)
{
    (void)option;
    (void)value;
    (void)os_error;
    check_os_fd(backend, os_fd);
    return backend->socket_status;
}

static tina_status fake_socket_get(tina__backend *backend, int os_fd, int option, int *value, int *os_error)
{
    (void)option;
    (void)os_error;
    check_os_fd(backend, os_fd);
    *value = 0;
    return backend->socket_status;
}

static tina_status fake_socket_shutdown(tina__backend *backend, int os_fd, int half, int *os_error)
{
    (void)os_error;
    check_os_fd(backend, os_fd);
    opener_of(os_fd)->shut[(os_fd - FIRST_OS_FD) % RIG_OS_FDS_MAX] |= (uint8_t)half;
    return backend->socket_status;
}

static const tina__backend_api fake_api = {
    .abandon = fake_abandon,
    .flush = fake_flush,
    .name = "rig",
    .id = TINA_BACKEND_EPOLL,
    .submit = fake_submit,
    .cancel = fake_cancel,
    .lend = fake_lend,
    .collect = fake_collect,
    .wake = fake_wake,
    .socket_open = fake_socket_open,
    .socket_bind = fake_socket_bind,
    .socket_listen = fake_socket_listen,
    .socket_local = fake_socket_address,
    .socket_peer = fake_socket_address,
    .socket_set = fake_socket_set,
    .socket_get = fake_socket_get,
    .socket_shutdown = fake_socket_shutdown,
    .adopt = fake_adopt,
    .close_fd = fake_close_fd,
    .let_go = fake_let_go,
    .take_over = fake_take_over,
};

tina__io_request *rig_request_of(rig_system *rig, tina_fd fd, tina__io_kind kind)
{
    struct tina__backend *backend = &rig->backends[tina__word_shard(fd.bits)];
    for (uint32_t i = 0; i < backend->request_count; i++) {
        tina__io_request *request = backend->requests[i].request;
        if (request->kind == kind && request->slot == tina__word_index(fd.bits))
            return request;
    }
    return NULL;
}

uint32_t rig_request_count(const rig_system *rig, size_t shard) { return rig->backends[shard].request_count; }

bool rig_is_cancelled(const rig_system *rig, size_t shard, const tina__io_request *request)
{
    const struct tina__backend *backend = &rig->backends[shard];
    for (uint32_t i = 0; i < backend->request_count; i++) {
        if (backend->requests[i].request == request)
            return backend->requests[i].is_cancelled;
    }
    fail_msg("the backend has no such request");
    return false;
}

void rig_complete(rig_system *rig, size_t shard, tina__io_request *request, tina_status status, uint32_t size)
{
    complete_plainly(&rig->backends[shard], request, status, size);
}

void rig_complete_receive(rig_system *rig, size_t shard, tina__io_request *request, const void *data, uint32_t size)
{
    struct tina__backend *backend = &rig->backends[shard];
    assert_non_null(request);
    assert_true(tina__io_fills(request->kind));
    assert_true(size <= request->size);
    if (backend->lent_count == 0) {
        complete_plainly(backend, request, TINA_BUSY, 0);
        return;
    }
    uint32_t buffer = backend->lent[0];
    memmove(backend->lent, backend->lent + 1, --backend->lent_count * sizeof *backend->lent);
    memcpy(backend->config.buffers + (size_t)buffer * backend->config.buffer_size, data, size);
    push_completion(backend, request, (tina__io_completion){.status = TINA_OK, .size = size, .buffer = buffer, .os_fd = -1});
}

void rig_complete_accept(rig_system *rig, size_t shard, tina__io_request *request)
{
    struct tina__backend *backend = &rig->backends[shard];
    assert_non_null(request);
    assert_int_equal(request->kind, TINA__IO_ACCEPT);
    push_completion(backend, request,
                    (tina__io_completion){.status = TINA_OK, .buffer = TINA__BUFFER_NONE, .os_fd = open_os_fd(backend)});
}

tina__io_request *rig_request_last(rig_system *rig, size_t shard)
{
    struct tina__backend *backend = &rig->backends[shard];
    return backend->request_count == 0 ? NULL : backend->requests[backend->request_count - 1].request;
}

void rig_complete_open(rig_system *rig, size_t shard, tina__io_request *request, tina__fd_class fd_class)
{
    struct tina__backend *backend = &rig->backends[shard];
    assert_non_null(request);
    assert_int_equal(request->kind, TINA__IO_OPEN);
    push_completion(
        backend, request,
        (tina__io_completion){
            .status = TINA_OK, .buffer = TINA__BUFFER_NONE, .os_fd = open_os_fd(backend), .fd_class = (uint8_t)fd_class});
}

void rig_cancel_wins(rig_system *rig, size_t shard)
{
    struct tina__backend *backend = &rig->backends[shard];
    uint32_t i = 0;
    while (i < backend->request_count) {
        if (backend->requests[i].is_cancelled)
            complete_plainly(backend, backend->requests[i].request, TINA_CANCELLED, 0);
        else
            i++;
    }
}

/* ---- Making ---------------------------------------------------------------------------------------- */

static void map_shard(rig_system *rig, size_t shard)
{
    tina__plan *plan = &rig->plans[shard];
    int os_error;
    assert_int_equal(tina__os_reserve(plan->total, &rig->bases[shard], &os_error), TINA_OK);
    uint8_t *base = rig->bases[shard];
    assert_int_equal(tina__os_open_memory(base + plan->user_offset, plan->user_size, &os_error), TINA_OK);
    assert_int_equal(tina__os_open_memory(base + plan->runtime_offset, plan->runtime_size, &os_error), TINA_OK);
}

static void open_backend(rig_system *rig, size_t shard)
{
    struct tina__backend *backend = &rig->backends[shard];
    backend->shard = (uint32_t)shard;
    backend->config = rig->plans[shard].backend;
    backend->config.buffers = tina__plan_at(&rig->plans[shard], rig->bases[shard], TINA__REGION_BUFFERS);
    backend->config.annexes = tina__plan_at(&rig->plans[shard], rig->bases[shard], TINA__REGION_ANNEXES);
    backend->lent = calloc(backend->config.buffer_count + 1u, sizeof *backend->lent);
    assert_non_null(backend->lent);
    tina__shard_attach(rig->shards[shard], &fake_api, backend);
}

static tina__build build_of(rig_system *rig, size_t shard)
{
    return (tina__build){
        .spec = &rig->plan->spec,
        .plans = rig->plans,
        .bases = rig->bases,
        .shared = &rig->shared,
        .shard = shard,
        .seed = shard + 1,
        .now_ns = rig->now_ns,
    };
}

static void build_shards(rig_system *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++) {
        assert_true(tina__plan_make(&rig->plan->spec, i, rig->shard_count, tina__os_page_size(), &rig->plans[i]));
        map_shard(rig, i);
    }
    for (size_t i = 0; i < rig->shard_count; i++) {
        tina__build build = build_of(rig, i);
        rig->shards[i] = tina__build_shard(&build);
        tina__lives_init(&rig->lives[i], rig->entries[i], &rig->plan->spec);
        open_backend(rig, i);
    }
}

rig_system *rig_start_raw(rig_plan *plan)
{
    tina_error error;
    tina_status status = tina__spec_check(&plan->spec, &error);
    if (status != TINA_OK)
        fail_msg("%s %s", error.path, error.message);
    rig_system *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    current = rig;
    rig->plan = plan;
    rig->shard_count = plan->spec.shard_count;
    rig->now_ns = START_NS;
    rig->publics = aligned_alloc(TINA__CACHE_LINE, rig->shard_count * sizeof *rig->publics);
    assert_non_null(rig->publics);
    memset(rig->publics, 0, rig->shard_count * sizeof *rig->publics);
    rig->shared.shards = rig->publics;
    rig->shared.shard_count = (uint8_t)rig->shard_count;
    rig->shared.user = plan->spec.user;
    rig->shared.shutdown_timeout_ns = plan->spec.shutdown_timeout_ns;
    rig->shared.helper_bell = &rig->helper_bell;
    rig->shared.has_log = true;
    rig->shared.on_abort = TINA_SUSPECT_PROCESS;
    rig->shared.on_foreign_fault = TINA_SUSPECT_ISOLATE;
    build_shards(rig);
    for (size_t i = 0; i < rig->shard_count; i++)
        tina__shard_boot(rig->shards[i], rig->now_ns);
    return rig;
}

rig_system *rig_start(rig_plan *plan)
{
    rig_system *rig = rig_start_raw(plan);
    for (size_t i = 0; i < rig->shard_count; i++) {
        for (uint32_t tick = 0; tick < TICKS_MAX && tina__shard_is_booting(rig->shards[i]); tick++)
            (void)rig_tick(rig, i);
        assert_false(tina__shard_is_booting(rig->shards[i]));
        tina__shard_set_state(rig->shards[i], TINA_SHARD_RUNNING);
    }
    rig_settle(rig);
    return rig;
}

/* ---- Turning ----------------------------------------------------------------------------------------- */

static void read_log(rig_system *rig, size_t shard)
{
    uint8_t level;
    uint32_t length;
    while (tina__log_ring_read(rig->shards[shard]->p.log, &level, rig->log, TINA_LOG_LINE_MAX, &length))
        rig->log[length] = '\0';
    atomic_store_explicit(&rig->shards[shard]->p.trace->is_dumping, false, memory_order_release); /* dumps are not read */
}

static void begin_anew(rig_system *rig, size_t shard)
{
    tina__build build = build_of(rig, shard);
    build.is_rebirth = true;
    tina__wipe_order order = {
        .build = &build,
        .shard = rig->shards[shard],
        .api = rig->shards[shard]->api,
        .backend = rig->shards[shard]->backend,
        .next = tina__lives_spend(&rig->lives[shard], rig->shards[shard], (tina_shard_state)rig->publics[shard].state,
                                  rig->now_ns),
    };
    tina__wipe_shard(&order);
    assert_true(order.has_let_go);
}

uint32_t rig_tick(rig_system *rig, size_t shard)
{
    if (tina__shard_has_ended(rig->shards[shard]))
        return 0;
    uint32_t work = tina__shard_tick(rig->shards[shard], rig->now_ns);
    if (rig->shards[shard]->wipe != TINA__WIPE_NOT && rig->shards[shard]->boot_failure == NULL)
        begin_anew(rig, shard);
    read_log(rig, shard);
    return work;
}

void rig_wipe(rig_system *rig, size_t shard) { rig->shards[shard]->wipe = TINA__WIPE_FAULT; }

void rig_revive(rig_system *rig)
{
    atomic_fetch_add_explicit(&rig->shared.revive, 1, memory_order_relaxed);
    rig_settle(rig);
}

bool rig_settle_within(rig_system *rig, uint32_t ticks)
{
    for (uint32_t tick = 0; tick < ticks; tick++) {
        uint32_t work = 0;
        for (size_t i = 0; i < rig->shard_count; i++)
            work += rig_tick(rig, i);
        if (work == 0) {
            rig_check_sound(rig);
            return true;
        }
    }
    return false;
}

void rig_settle(rig_system *rig) { assert_true(rig_settle_within(rig, TICKS_MAX)); }

void rig_advance(rig_system *rig, uint64_t ns)
{
    rig->now_ns += ns;
    rig_settle(rig);
}

void rig_stop(rig_system *rig, tina__stop how)
{
    atomic_store_explicit(&rig->shared.stop, how, memory_order_release);
    for (size_t i = 0; i < rig->shard_count; i++)
        (void)tina__doorbell_ring(&rig->publics[i].bell, TINA__DOORBELL_CONTROL);
}

bool rig_post(rig_system *rig, tina_handle to, tina_tag tag, const void *payload, size_t size)
{
    uint8_t shard = tina_handle_shard(to);
    tina_message message;
    tina__route_fill(&message, (tina_handle){0}, to, tag, payload, size, TINA__MESSAGE_COUNTED, 0);
    if (!tina__mpsc_push(rig->shards[shard]->p.inbox, &message))
        return false;
    (void)tina__doorbell_ring(&rig->publics[shard].bell, TINA__DOORBELL_INBOX);
    return true;
}

/* ---- Looking --------------------------------------------------------------------------------------------- */

tina_stats rig_stats(const rig_system *rig, size_t shard)
{
    tina_stats stats;
    tina__stats_publish(rig->shards[shard]);
    tina__shard_read_stats(rig->shards[shard], &rig->publics[shard], 0, &stats);
    return stats;
}

tina_stats rig_total(const rig_system *rig)
{
    tina_stats total = {0};
    for (size_t i = 0; i < rig->shard_count; i++) {
        tina_stats stats = rig_stats(rig, i);
        tina__stats_add(&total, &stats);
    }
    return total;
}

static void check_buffers(const rig_system *rig, size_t index)
{
    const tina__shard *shard = rig->shards[index];
    const struct tina__backend *backend = &rig->backends[index];
    uint32_t with_users = 0;
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < shard->p.buffer_count; i++)
        with_users += shard->p.buffer_users[i] != 0;
    for (uint32_t i = 0; i < backend->completion_count; i++)
        in_flight += backend->completions[i].buffer != TINA__BUFFER_NONE;
    assert_int_equal(shard->buffers_lent, backend->lent_count + in_flight);
    assert_int_equal(shard->buffers_lent + tina__pool_free_count(&shard->buffers) + with_users, shard->p.buffer_count);
}

void rig_check_sound(const rig_system *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++) {
        const tina__shard *shard = rig->shards[i];
        const char *broken = tina__invariant_broken(shard);
        if (broken != NULL)
            fail_msg("shard %zu is not sound: %s", i, broken);
        check_buffers(rig, i);
        assert_int_equal(shard->depth, 0);
        assert_int_equal(shard->stage_used, 0);
        assert_int_equal(shard->scratch_used, 0);
        assert_int_equal(shard->begun_count, 0);
        assert_true(shard->operations_under_way >= rig->backends[i].request_count);
    }
}

uint32_t rig_count_in_messages(const rig_system *rig)
{
    uint32_t count = 0;
    for (size_t i = 0; i < rig->shard_count; i++) {
        for (size_t k = 0; k < RIG_OS_FDS_MAX; k++)
            count += rig->backends[i].os_fds[k] == RIG_IN_A_MESSAGE;
    }
    return count;
}

void rig_check_ledger(const rig_system *rig)
{
    tina_stats total = rig_total(rig);
    uint64_t accepted = total.sent_local + total.sent_remote + total.posted;
    uint64_t ended =
        total.delivered + total.arrived_full + total.arrived_stale + total.arrived_exhausted + total.died_with_owner;
    uint64_t waiting = 0;
    for (size_t i = 0; i < rig->shard_count; i++)
        waiting += tina__pool_taken(&rig->shards[i]->messages);
    assert_int_equal(accepted, ended + waiting);
}

/* ---- The end ------------------------------------------------------------------------------------------------ */

static bool all_have_ended(const rig_system *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++) {
        if (!tina__shard_has_ended(rig->shards[i]))
            return false;
    }
    return true;
}

static void check_nothing_left(const rig_system *rig, size_t index)
{
    const tina__shard *shard = rig->shards[index];
    const struct tina__backend *backend = &rig->backends[index];
    assert_int_equal(shard->live_count, 0);
    assert_int_equal(tina__pool_taken(&shard->messages), 0);
    assert_int_equal(shard->timers.used, 0);
    assert_int_equal(shard->watches.used, 0);
    assert_int_equal(tina__pool_taken(&shard->operations), 0);
    assert_int_equal(shard->descriptors.used, 0);
    assert_int_equal(shard->transfers.used, 0);
    assert_int_equal(shard->buffers.used, shard->buffers_lent);
    assert_int_equal(shard->buffers_sending, 0);
    assert_int_equal(shard->operations_under_way, 0);
    assert_int_equal(shard->p.wheel->count, 0);
    for (uint32_t i = 0; i < TINA__STARVED_LISTS; i++)
        assert_int_equal(shard->starved_head[i], TINA__NONE);
    assert_int_equal(shard->file_reads, 0);
    assert_int_equal(shard->child_pool.used, shard->p.static_child_count);
    for (uint32_t i = 0; i < shard->p.group_count; i++)
        assert_int_equal(shard->p.groups[i].dynamic_count, 0);
    for (uint32_t i = 0; i < shard->p.owed_count; i++)
        assert_int_equal(shard->p.owed[i].isolate, TINA__NONE);
    assert_int_equal(backend->request_count, 0);
    assert_int_equal(backend->completion_count, 0);
    assert_int_equal(backend->os_fd_count, 0);
}

void rig_end(rig_system *rig)
{
    for (size_t i = 0; i < rig->shard_count; i++) {
        rig->backends[i].holds_cancels = false;
        rig_cancel_wins(rig, i);
    }
    if (rig->shared.stop == TINA__STOP_NOT)
        rig_stop(rig, TINA__STOP_GRACEFUL);
    for (uint32_t tick = 0; tick < TICKS_MAX && !all_have_ended(rig); tick++) {
        for (size_t i = 0; i < rig->shard_count; i++)
            rig_tick(rig, i);
    }
    assert_true(all_have_ended(rig));
    rig_check_sound(rig);
    rig_check_ledger(rig);
    assert_int_equal(rig_count_in_messages(rig), 0);
    for (size_t i = 0; i < rig->shard_count; i++) {
        check_nothing_left(rig, i);
        tina__os_release(rig->bases[i], rig->plans[i].total);
        free(rig->backends[i].lent);
    }
    free(rig->publics);
    free(rig);
    current = NULL;
}

/* ---- Orders --------------------------------------------------------------------------------------------------- */

void rig_order(rig_system *rig, rig_actor *actor, tina_effect (*todo)(rig_actor *me, tina_ctx *ctx))
{
    actor->todo = todo;
    assert_true(rig_post(rig, actor->self, RIG_TAG_DO, NULL, 0));
}

void rig_do(rig_system *rig, rig_actor *actor, tina_effect (*todo)(rig_actor *me, tina_ctx *ctx))
{
    rig_order(rig, actor, todo);
    rig_settle(rig);
    assert_null(actor->todo); /* it was parked for something else */
}

static tina_effect act_send(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_send(ctx, me->act.to, me->act.tag, me->act.payload, me->act.size);
    return tina_receive();
}

tina_status rig_send(rig_system *rig, rig_actor *actor, tina_handle to, tina_tag tag, uint64_t value)
{
    actor->act.to = to;
    actor->act.tag = tag;
    actor->act.payload = &value;
    actor->act.size = sizeof value;
    rig_do(rig, actor, act_send);
    return actor->act.status;
}

static tina_effect act_call(rig_actor *me, tina_ctx *ctx)
{
    return tina_call(ctx, me->act.to, me->act.tag, NULL, 0, me->act.time_ns);
}

void rig_call(rig_system *rig, rig_actor *actor, tina_handle to, tina_tag tag, uint64_t timeout_ns)
{
    actor->act.to = to;
    actor->act.tag = tag;
    actor->act.time_ns = timeout_ns;
    rig_do(rig, actor, act_call);
}

static tina_effect act_call_start(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_call_start(ctx, me->act.to, me->act.tag, NULL, 0, me->act.time_ns, &me->act.call);
    return tina_receive();
}

tina_status rig_call_start(rig_system *rig, rig_actor *actor, tina_handle to, tina_tag tag, uint64_t timeout_ns)
{
    actor->act.to = to;
    actor->act.tag = tag;
    actor->act.time_ns = timeout_ns;
    rig_do(rig, actor, act_call_start);
    return actor->act.status;
}

static tina_effect act_reply_to(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_reply_to(ctx, me->act.caller, me->act.tag, me->act.payload, me->act.size);
    return tina_receive();
}

tina_status rig_reply_to(rig_system *rig, rig_actor *actor, tina_caller caller, tina_tag tag, uint64_t value)
{
    actor->act.caller = caller;
    actor->act.tag = tag;
    actor->act.payload = &value;
    actor->act.size = sizeof value;
    rig_do(rig, actor, act_reply_to);
    return actor->act.status;
}

static tina_effect act_timer(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_timer_start(ctx, me->act.time_ns, me->act.tag, &me->act.timer);
    return tina_receive();
}

tina_status rig_timer(rig_system *rig, rig_actor *actor, uint64_t delay_ns, tina_tag tag)
{
    actor->act.time_ns = delay_ns;
    actor->act.tag = tag;
    rig_do(rig, actor, act_timer);
    return actor->act.status;
}

static tina_effect act_repeat(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_timer_repeat(ctx, me->act.time_ns, me->act.tag, &me->act.timer);
    return tina_receive();
}

tina_status rig_repeat(rig_system *rig, rig_actor *actor, uint64_t period_ns, tina_tag tag)
{
    actor->act.time_ns = period_ns;
    actor->act.tag = tag;
    rig_do(rig, actor, act_repeat);
    return actor->act.status;
}

static tina_effect act_timer_cancel(rig_actor *me, tina_ctx *ctx)
{
    me->act.is_true = tina_timer_cancel(ctx, me->act.timer);
    return tina_receive();
}

bool rig_timer_cancel(rig_system *rig, rig_actor *actor, tina_timer timer)
{
    actor->act.timer = timer;
    rig_do(rig, actor, act_timer_cancel);
    return actor->act.is_true;
}

static tina_effect act_spawn(rig_actor *me, tina_ctx *ctx)
{
    me->act.child = (tina_handle){0};
    me->act.status = tina_spawn_child(ctx, &me->act.spawn, &me->act.child);
    return tina_receive();
}

tina_status rig_spawn(rig_system *rig, rig_actor *actor, const tina_spawn *spawn)
{
    actor->act.spawn = *spawn;
    rig_do(rig, actor, act_spawn);
    return actor->act.status;
}

static tina_effect act_done(rig_actor *me, tina_ctx *ctx)
{
    (void)me;
    (void)ctx;
    return tina_done();
}

void rig_done(rig_system *rig, rig_actor *actor) { rig_do(rig, actor, act_done); }

static tina_effect act_crash(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    return tina_crash(me->act.reason);
}

void rig_crash(rig_system *rig, rig_actor *actor) { rig_do(rig, actor, act_crash); }

static tina_effect act_socket(rig_actor *me, tina_ctx *ctx)
{
    me->act.fd.bits = 0;
    me->act.status = tina_socket(ctx, TINA_IPV4, TINA_STREAM, &me->act.fd);
    return tina_receive();
}

tina_fd rig_socket(rig_system *rig, rig_actor *actor)
{
    rig_do(rig, actor, act_socket);
    return actor->act.fd;
}

static tina_effect act_io(rig_actor *me, tina_ctx *ctx) { return tina_io(ctx, &me->act.op); }

void rig_io(rig_system *rig, rig_actor *actor, const tina_op *op)
{
    actor->act.op = *op;
    rig_do(rig, actor, act_io);
}

static tina_effect act_io_start(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_io_start(ctx, &me->act.op);
    return tina_receive();
}

tina_status rig_io_start(rig_system *rig, rig_actor *actor, const tina_op *op)
{
    actor->act.op = *op;
    rig_do(rig, actor, act_io_start);
    return actor->act.status;
}

static tina_effect act_io_cancel(rig_actor *me, tina_ctx *ctx)
{
    tina_io_cancel(ctx, me->act.fd, me->act.half);
    return tina_receive();
}

void rig_io_cancel(rig_system *rig, rig_actor *actor, tina_fd fd, tina_half half)
{
    actor->act.fd = fd;
    actor->act.half = half;
    rig_do(rig, actor, act_io_cancel);
}

static tina_effect act_watch(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_watch(ctx, me->act.to);
    return tina_receive();
}

tina_status rig_watch(rig_system *rig, rig_actor *actor, tina_handle target)
{
    actor->act.to = target;
    rig_do(rig, actor, act_watch);
    return actor->act.status;
}

static tina_effect act_unwatch(rig_actor *me, tina_ctx *ctx)
{
    tina_unwatch(ctx, me->act.to);
    return tina_receive();
}

void rig_unwatch(rig_system *rig, rig_actor *actor, tina_handle target)
{
    actor->act.to = target;
    rig_do(rig, actor, act_unwatch);
}

static tina_effect act_give(rig_actor *me, tina_ctx *ctx)
{
    me->act.status = tina_fd_give(ctx, me->act.to, me->act.fd);
    return tina_receive();
}

tina_status rig_give(rig_system *rig, rig_actor *actor, tina_handle to, tina_fd fd)
{
    actor->act.to = to;
    actor->act.fd = fd;
    rig_do(rig, actor, act_give);
    return actor->act.status;
}

static tina_effect act_transfer(rig_actor *me, tina_ctx *ctx)
{
    tina_transfer transfer;
    void *data;
    size_t capacity;
    me->act.status = tina_transfer_alloc(ctx, &transfer, &data, &capacity);
    if (me->act.status != TINA_OK)
        return tina_receive();
    memset(data, (int)me->act.reason, me->act.size < capacity ? me->act.size : capacity);
    me->act.status = tina_transfer_send(ctx, me->act.to, transfer, me->act.size);
    if (me->act.status != TINA_OK)
        tina_transfer_free(ctx, transfer);
    return tina_receive();
}

tina_status rig_transfer(rig_system *rig, rig_actor *actor, tina_handle to, uint8_t byte, size_t size)
{
    actor->act.to = to;
    actor->act.reason = byte;
    actor->act.size = size;
    rig_do(rig, actor, act_transfer);
    return actor->act.status;
}
