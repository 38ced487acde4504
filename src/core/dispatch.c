#include "core/dispatch.h"

#include "core/effect.h"
#include "core/fault.h"
#include "core/gift.h"
#include "core/mailbox.h"
#include "core/measure.h"
#include "core/reactor.h"
#include "core/route.h"
#include "core/stats.h"
#include "core/supervise.h"
#include "core/timers.h"
#include "core/tree.h"
#include "core/watch.h"

#include <string.h>

/* ---- Who is next ---------------------------------------------------------------------- */

/* The first ready type at or behind the cursor, or NULL. */
static tina__type *next_in_order(tina__shard *shard, uint32_t *cursor)
{
    uint64_t mask = ~0ull << (*cursor % 64);
    for (uint32_t word = *cursor / 64; word < TINA__DOORBELL_WORDS; word++, mask = ~0ull) {
        uint64_t ready = shard->ready[word] & ~shard->exhausted[word] & mask;
        if (ready != 0) {
            *cursor = word * 64 + tina__lowest_bit(ready);
            return &shard->p.types[*cursor];
        }
    }
    return NULL;
}

/* The type whose turn it is, or NULL: none is ready with budget left. */
static inline __attribute__((always_inline)) tina__type *next_type(tina__shard *shard, uint32_t *cursor)
{
    if (shard->p.type_count <= 64) {
        /* Without a branch on whether the turn wraps. */
        uint64_t ready = shard->ready[0] & ~shard->exhausted[0];
        uint64_t ahead = ready & (~0ull << *cursor);
        if (ready == 0)
            return NULL;
        *cursor = tina__lowest_bit(ahead != 0 ? ahead : ready);
        return &shard->p.types[*cursor];
    }
    tina__type *type = next_in_order(shard, cursor);
    if (type == NULL) {
        *cursor = 0;
        type = next_in_order(shard, cursor);
    }
    return type;
}

/* The slot of the first in the type's queue, which holds somebody. */
static uint32_t pop_ready(tina__type *type)
{
    uint32_t slot = type->ready_head;
    type->ready_head = type->isolates[slot].ready_next;
    if (type->ready_head != TINA__NONE) {
        /* What runs next is known: its line, its struct. */
        __builtin_prefetch(&type->isolates[type->ready_head]);
        __builtin_prefetch(tina__isolate_self(type, type->ready_head));
    }
    return slot;
}

/* Within a turn the first frame is the handlers'; what the runtime does between two of them is outside. */
static void enter_handlers(tina__shard *shard)
{
    shard->frames[0].type = shard->turn;
    shard->depth = 1;
}

static void leave_handlers(tina__shard *shard) { shard->depth = 0; }

static inline void begin_turn(tina__shard *shard, tina__type *type)
{
    if (type->budget_tick != shard->tick) {
        type->budget_tick = shard->tick;
        tina__measure_begin_tick(shard, type);
        type->budget = type->budget_per_tick;
    }
    shard->turn = type;
    shard->turn_begin = shard->handled;
    shard->frames[0].type = type;
}

/*
 * What was left to the turn's end: the budget is what it is, and the type, which
 * stayed marked as ready, is only if it is.
 */
static inline void end_turn(tina__shard *shard, tina__type *type)
{
    type->budget -= shard->handled - shard->turn_begin; /* at most all of it: there the turn is over */
    if (type->ready_head == TINA__NONE)
        *type->ready_word &= ~type->ready_bit;
    if (type->budget != 0)
        return;
    shard->exhausted[type->id / 64] |= type->ready_bit;
    shard->has_exhausted = true;
}

/* ---- With which message ------------------------------------------------------------------ */

static const tina_message *make_notice(tina_ctx *frame, tina_tag tag)
{
    tina_message *notice = &frame->shard->notice;
    tina_handle nobody = {0};
    tina__route_fill(notice, nobody, frame->self, tag, NULL, 0, 0, 0); /* the header alone: it has no payload */
    frame->mail_kind = TINA__MAIL_NONE;
    return notice;
}

static const tina_message *refused_message(tina_ctx *frame)
{
    const tina__isolate *isolate = frame->isolate;
    tina_message *notice = &frame->shard->notice;
    make_notice(frame, isolate->refused_tag);
    memset(notice->payload, 0, sizeof notice->payload);
    tina_status status = (tina_status)(isolate->awaited & 0xFF);
    if (isolate->refused_tag == TINA_TAG_CALL_FAILED) {
        notice->size = sizeof status;
        memcpy(notice->payload, &status, sizeof status);
        return notice;
    }
    notice->size = sizeof notice->io;
    notice->io.status = (uint16_t)status;
    uint32_t index = isolate->awaited >> 8;
    if (index != TINA__REFUSED_NO_FD)
        notice->io.fd = tina__descriptor_handle(frame->shard, index);
    return notice;
}

static const tina_message *done_message(tina_ctx *frame, uint32_t node)
{
    frame->mail_kind = TINA__MAIL_NONE;
    if (tina__gift_is_back(frame->shard, node))
        return tina__gift_back_message(frame, node);
    if (node >= frame->shard->p.operation_count)
        return tina__descriptor_closed_message(frame->shard, node, frame->self);
    frame->mail_kind = TINA__MAIL_OPERATION;
    return tina__operation_message(frame, node, &frame->mail);
}

static const tina_message *shutdown_message(tina_ctx *frame)
{
    frame->isolate->flags &= (uint8_t) ~(TINA__ISOLATE_SHUTDOWN | TINA__ISOLATE_REPEATS);
    return make_notice(frame, TINA_TAG_SHUTDOWN);
}

/* One that yields again and again hears of the shutdown all the same: in place of a resume. */
static const tina_message *resume_message(tina_ctx *frame)
{
    return frame->isolate->flags & TINA__ISOLATE_SHUTDOWN ? shutdown_message(frame) : make_notice(frame, TINA_TAG_RESUME);
}

/* So does one that tries again and again what is refused at once: in place of the second refusal. */
static const tina_message *refusal_or_shutdown(tina_ctx *frame)
{
    uint8_t *flags = &frame->isolate->flags;
    if ((*flags & TINA__ISOLATE_SHUTDOWN) == 0)
        return refused_message(frame);
    if (*flags & TINA__ISOLATE_REPEATS)
        return shutdown_message(frame);
    *flags |= TINA__ISOLATE_REPEATS;
    return refused_message(frame);
}

/* What the isolate was parked for. */
static const tina_message *awaited_message(tina_ctx *frame)
{
    tina__isolate *isolate = frame->isolate;
    isolate->flags &= (uint8_t)~TINA__ISOLATE_WOKEN;
    uint32_t awaited = isolate->awaited;
    switch (isolate->state) {
    case TINA__ISOLATE_IN_IO:
        isolate->awaited = TINA__NONE; /* its place may be another's before the handler returns */
        return done_message(frame, awaited);
    case TINA__ISOLATE_IN_CALL:
        isolate->awaited = TINA__NONE; /* likewise */
        return tina__timer_message(frame, awaited);
    case TINA__ISOLATE_REFUSED: return refusal_or_shutdown(frame);
    default: return resume_message(frame);
    }
}

/* The few messages that take more than to be read. */
static __attribute__((noinline)) void look_at(tina_ctx *frame, tina_message *message, uint32_t index)
{
    if (message->flags & TINA__MESSAGE_FD)
        tina__look_up_peer(frame, message);
    if (message->flags & TINA__MESSAGE_TIMED)
        tina__measure_handled(frame->shard, &frame->shard->p.types[frame->isolate->type], index);
}

static inline const tina_message *mail_message(tina__shard *shard, tina_ctx *frame, tina__isolate *isolate)
{
    uint32_t index = tina__mailbox_pop(shard, isolate);
    if (index == TINA__NONE)
        return NULL;
    if (index >= shard->p.message_count)
        return tina__timer_message(frame, index - shard->p.message_count);
    tina_message *message = &shard->p.mail[index];
    if (tina__unlikely(message->flags & (TINA__MESSAGE_FD | TINA__MESSAGE_TIMED)))
        look_at(frame, message, index);
    return message;
}

static __attribute__((noinline)) const tina_message *other_message(tina__shard *shard, tina_ctx *frame,
                                                                   tina__isolate *isolate)
{
    if (isolate->flags & TINA__ISOLATE_DEAD)
        return NULL;
    if (isolate->flags & TINA__ISOLATE_WOKEN)
        return awaited_message(frame);
    if (isolate->done_tail != TINA__NONE && isolate->state == TINA__ISOLATE_RECEIVING)
        return done_message(frame, tina__done_pop(shard, isolate));
    if (isolate->flags & TINA__ISOLATE_SHUTDOWN) {
        isolate->state = TINA__ISOLATE_RECEIVING; /* what it was parked for goes on as a started one, from this handler on */
        return shutdown_message(frame);
    }
    return isolate->state == TINA__ISOLATE_RECEIVING ? mail_message(shard, frame, isolate) : NULL;
}

/* It waits for mail, and nothing else is there for it, as is nearly always the case. */
static inline bool has_mail_at_most(const tina__isolate *isolate)
{
    return isolate->state == TINA__ISOLATE_RECEIVING && isolate->flags == TINA__ISOLATE_QUEUED &&
           isolate->done_tail == TINA__NONE;
}

static inline const tina_message *next_message(tina__shard *shard, tina_ctx *frame, tina__isolate *isolate)
{
    return tina__likely(has_mail_at_most(isolate)) ? mail_message(shard, frame, isolate)
                                                   : other_message(shard, frame, isolate);
}

static void release_other(tina__shard *shard, tina_ctx *frame)
{
    if (frame->mail_kind != TINA__MAIL_ANSWER)
        shard->handled_otherwise++;
    if (frame->mail_kind == TINA__MAIL_OPERATION)
        tina__operation_handled(shard, frame->mail);
    else if (frame->mail_kind == TINA__MAIL_WATCH)
        tina__watch_handled(shard, frame->mail);
    frame->mail_kind = TINA__MAIL_MESSAGE;
}

/* The handler is done with its message. */
static inline void release_mail(tina__shard *shard, tina_ctx *frame)
{
    if (tina__unlikely(frame->mail_kind != TINA__MAIL_MESSAGE)) {
        release_other(shard, frame);
        return;
    }
    tina__message_release(shard, frame->message);
}

/* ---- Frames --------------------------------------------------------------------------------- */

static inline void frame_enter(tina_ctx *frame, tina__isolate *isolate, tina_handle self)
{
    frame->isolate = isolate;
    __atomic_store_n(&frame->self.bits, self.bits, __ATOMIC_RELAXED); /* the watchdog may look who runs */
    frame->os_error = 0;
}

/* What was made and not returned never happened. */
static inline void frame_clear(tina_ctx *frame)
{
    if (frame->is_begun)
        tina__route_abandon(frame);
    if (frame->staged != TINA__NONE)
        tina__operations_unstage_all(frame);
}

/* The handler's frame is the outermost: it begins with nothing. */
static inline void handler_leave(tina__shard *shard)
{
    tina__assert(shard->depth == 1);
    frame_clear(&shard->frames[0]);
    shard->stage_used = 0;
    shard->scratch_used = 0;
}

static void yielded_push(tina__shard *shard, tina__isolate *isolate)
{
    uint32_t index = tina__isolate_index(shard, isolate);
    isolate->ready_next = TINA__NONE;
    if (shard->yielded_head == TINA__NONE)
        shard->yielded_head = index;
    else
        shard->p.isolates[shard->yielded_tail].ready_next = index;
    shard->yielded_tail = index;
}

static void park_other(tina__shard *shard, tina__isolate *isolate)
{
    if (isolate->state == TINA__ISOLATE_YIELDED) {
        yielded_push(shard, isolate); /* stays marked as queued */
        return;
    }
    isolate->flags &= (uint8_t)~TINA__ISOLATE_QUEUED;
    tina__isolate_notify(shard, isolate);
}

/* The isolate is parked; if there is something for it already, it is queued again. */
static inline void park(tina__shard *shard, tina__type *type, tina__isolate *isolate, uint32_t slot)
{
    if (tina__unlikely(!has_mail_at_most(isolate))) {
        park_other(shard, isolate);
    } else if (isolate->inbox_head == TINA__NONE) {
        isolate->flags = 0;
    } else {
        __builtin_prefetch(&shard->p.mail[isolate->inbox_head]);
        tina__ready_push(type, isolate, slot);
    }
}

static void exit_isolate(tina__shard *shard, tina__isolate *isolate, tina__ending ending)
{
    isolate->flags &= (uint8_t)~TINA__ISOLATE_QUEUED;
    tina__isolate_exit(shard, isolate, ending.end, ending.reason);
}

/* ---- Running ---------------------------------------------------------------------------------- */

static inline void trace_dispatch(tina__shard *shard, const tina_ctx *frame, const tina_message *message)
{
    uint64_t value = tina__tag_is_io(message->tag) ? message->io.status : message->source.bits;
    tina__trace_add(shard->p.trace, shard->tick, TINA__EVENT_DISPATCH, frame->self, message->tag, message->size, value);
}

static inline tina_effect run_user(tina__shard *shard, tina__type *type, uint32_t slot, const tina_message *message,
                                   bool is_measured)
{
    void *self = tina__isolate_self(type, slot);
    bool is_timed = is_measured && tina__measure_takes(type);
    uint64_t start_ns = is_timed ? tina__measure_now(shard) : 0;
    tina__guard_turn(shard->guard);
    tina_effect effect = type->handler(self, message, &shard->frames[0]);
    tina__guard_turn(shard->guard);
    if (is_timed)
        tina__measure_handler(shard, type, start_ns);
    return effect;
}

/* A slot whose isolate ended while it was queued: now nothing refers to it any more. */
static void bury(tina__type *type, uint32_t slot)
{
    type->isolates[slot].flags = 0;
    tina__pool_give(&type->pool, slot);
}

/* There is nothing to handle. */
static void go_past(tina__shard *shard, tina__type *type, tina__isolate *isolate, uint32_t slot)
{
    handler_leave(shard);
    if (isolate->flags & TINA__ISOLATE_DEAD)
        bury(type, slot);
    else
        park_other(shard, isolate); /* what it was queued for is gone */
}

static inline __attribute__((always_inline)) void run_handler(tina__shard *shard, tina__type *type, uint32_t slot,
                                                              bool is_measured)
{
    tina__isolate *isolate = &type->isolates[slot];
    tina_ctx *frame = &shard->frames[0];
    frame_enter(frame, isolate, tina__handle_of_slot(type->handle_base, slot, isolate->generation));
    const tina_message *message = next_message(shard, frame, isolate);
    if (tina__unlikely(message == NULL)) {
        go_past(shard, type, isolate, slot);
        return;
    }
    frame->message = message;
    trace_dispatch(shard, frame, message);
    tina__tracepoint_dispatch(frame->self.bits, message->tag, message->source.bits);
    shard->handled++;
    tina_effect effect = run_user(shard, type, slot, message, is_measured);
    tina__ending ending;
    tina__assert(frame->isolate == isolate);
    bool lives = tina__effect_is_plain(isolate, effect) || tina__effect_apply(frame, effect, &ending);
    handler_leave(shard);
    release_mail(shard, frame);
    if (tina__likely(lives)) {
        park(shard, type, isolate, slot);
        return;
    }
    leave_handlers(shard);
    exit_isolate(shard, isolate, ending);
    enter_handlers(shard);
}

void tina__dispatch_settle(tina__shard *shard, const tina__fault *fault)
{
    tina__assert(shard->depth == 1);
    tina_ctx *frame = &shard->frames[0];
    if (!tina__fault_note(shard, frame, fault))
        return;
    tina__ending ending = {.end = tina__fault_end(fault)};
    handler_leave(shard);
    release_mail(shard, frame);
    leave_handlers(shard);
    exit_isolate(shard, frame->isolate, ending);
}

/* Between two handlers: those that are due to start again. What fails its init again and again has no try for each handler. */
static void start_due(tina__shard *shard)
{
    if (shard->init_failed_tick == shard->tick)
        return;
    leave_handlers(shard);
    (void)tina__supervise_advance(shard);
    enter_handlers(shard);
}

/* Runs the type's isolates while there are any and it has budget. Returns how many were taken from its queue. */
static inline __attribute__((always_inline)) uint32_t run_type(tina__shard *shard, tina__type *type, bool is_measured)
{
    uint32_t count = 0;
    begin_turn(shard, type);
    /* A shard that is to be wiped runs nobody. */
    const uint32_t end = shard->turn_begin + type->budget;
    while (type->ready_head != TINA__NONE && shard->handled != end && shard->wipe == TINA__WIPE_NOT) {
        uint32_t slot = pop_ready(type);
        count++;
        run_handler(shard, type, slot, is_measured);
        if (tina__unlikely(tina__due_first(shard) != TINA__NONE))
            start_due(shard);
    }
    end_turn(shard, type);
    return count;
}

/* All turns of the tick. Twice, so that what is not measured knows nothing of what is. */
static inline __attribute__((always_inline)) uint32_t run_all(tina__shard *shard, bool is_measured)
{
    uint32_t count = 0;
    tina__type *type;
    while (shard->wipe == TINA__WIPE_NOT && (type = next_type(shard, &shard->cursor)) != NULL)
        count += run_type(shard, type, is_measured);
    return count;
}

static __attribute__((noinline)) uint32_t run_all_measured(tina__shard *shard)
{
    tina__measure_begin(shard);
    uint32_t count = run_all(shard, true);
    tina__measure_end_tick(shard);
    return count;
}

uint32_t tina__dispatch(tina__shard *shard)
{
    if (shard->turn != NULL) /* a fault has ended it */
        end_turn(shard, shard->turn);
    enter_handlers(shard);
    if (tina__unlikely(tina__due_first(shard) != TINA__NONE)) /* whom the fault has ended */
        start_due(shard);
    uint32_t count = tina__measure_is_due(shard) ? run_all_measured(shard) : run_all(shard, false);
    leave_handlers(shard);
    shard->turn = NULL;
    tina__count_by(shard, dispatches, shard->handled);
    tina__count_by(shard, delivered, shard->handled - shard->handled_otherwise);
    shard->handled = 0;
    shard->handled_otherwise = 0;
    return count;
}

/* ---- Inits ------------------------------------------------------------------------------------- */

typedef struct init_call {
    tina_ctx *frame;
    void *self;
    const tina__start *start;
    bool is_outermost;
    tina_effect effect; /* once it has come back */
} init_call;

static void run_init(void *argument)
{
    init_call *call = argument;
    tina_ctx *frame = call->frame;
    tina__guard *guard = frame->shard->guard;
    if (!call->is_outermost)
        tina__guard_set(&guard->is_changing, false);
    call->effect = frame->type->init(call->self, call->start->args, call->start->args_size, frame);
    if (!call->is_outermost)
        tina__guard_set(&guard->is_changing, true);
}

/*
 * The watchdog's kill has hit an init in a handler, which may be no more than what
 * the handler's time was spent on: when the turn is asked to end once more, the
 * handler's own end follows.
 */
static void blame_handler(tina__shard *shard)
{
    uint32_t turn = atomic_load_explicit(&shard->guard->turn, memory_order_relaxed);
    if (shard->killed_turn == turn)
        tina__guard_set(&shard->guard->is_kill_waiting, true);
    shard->killed_turn = turn;
}

/*
 * Runs the init as a unit of its own. An init in a handler is a part of the
 * handler's turn, and of the runtime call that makes the child. False: it faulted.
 */
static bool run_init_trapped(tina__shard *shard, init_call *call, tina__ending *ending)
{
    bool is_outermost = call->is_outermost;
    tina__fault fault;
    if (is_outermost)
        tina__guard_turn(shard->guard);
    bool came_back = tina__trap_run(run_init, call, &fault);
    if (!came_back && !tina__fault_is_isolates(shard, &fault))
        tina__trap_throw(&fault);
    if (!is_outermost)
        tina__guard_set(&shard->guard->is_changing, true);
    else if (came_back)
        tina__guard_turn(shard->guard);
    if (!came_back && !tina__fault_note(shard, call->frame, &fault))
        tina__trap_throw(&fault);
    if (!came_back && !is_outermost && fault.kind == TINA__FAULT_KILLED)
        blame_handler(shard);
    if (!came_back)
        *ending = (tina__ending){.end = tina__fault_end(&fault)};
    return came_back;
}

bool tina__dispatch_init(tina__shard *shard, tina__isolate *isolate, tina_handle self, const tina__start *start,
                         tina__ending *ending)
{
    tina__type *type = &shard->p.types[start->type];
    uint32_t depth = shard->depth;
    tina__assert(depth <= TINA__INIT_DEPTH_MAX);
    tina_ctx *frame = &shard->frames[depth];
    shard->depth = depth + 1;
    frame_enter(frame, isolate, self);
    frame->type = type;
    frame->message = NULL;
    frame->stage_first = shard->stage_used;
    frame->scratch_first = shard->scratch_used;
    init_call call;
    call.frame = frame;
    call.self = tina__isolate_self(type, tina__handle_slot(self));
    call.start = start;
    call.is_outermost = depth == 0;
    bool lives = run_init_trapped(shard, &call, ending) && tina__effect_apply(frame, call.effect, ending);
    frame_clear(frame);
    shard->depth = depth;
    shard->stage_used = frame->stage_first;
    shard->scratch_used = frame->scratch_first;
    if (lives)
        park_other(shard, isolate);
    else
        isolate->flags &= (uint8_t)~TINA__ISOLATE_QUEUED;
    return lives;
}

uint32_t tina__dispatch_resume(tina__shard *shard)
{
    uint32_t count = 0;
    shard->cursor = 0;
    if (shard->has_exhausted) {
        memset(shard->exhausted, 0, sizeof shard->exhausted);
        shard->has_exhausted = false;
    }
    uint32_t index = shard->yielded_head;
    shard->yielded_head = TINA__NONE;
    while (index != TINA__NONE) {
        tina__isolate *isolate = &shard->p.isolates[index];
        index = isolate->ready_next;
        isolate->flags |= TINA__ISOLATE_WOKEN;
        tina__type *type = &shard->p.types[isolate->type];
        tina__ready_push(type, isolate, tina__isolate_slot(type, isolate));
        count++;
    }
    return count;
}

void tina__dispatch_announce_shutdown(tina__shard *shard)
{
    for (uint32_t group = 0; group < shard->p.group_count; group++) {
        uint32_t index = shard->p.groups[group].live_head;
        while (index != TINA__NONE) {
            tina__isolate *isolate = &shard->p.isolates[index];
            isolate->flags |= TINA__ISOLATE_SHUTDOWN;
            tina__isolate_notify(shard, isolate);
            index = isolate->live_next;
        }
    }
}
