#include "core/trace.h"

#include "base/assert.h"
#include "base/bits.h"
#include "core/shard.h"
#include "os/trap.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- The ring ------------------------------------------------------------------------- */

void tina__trace_init(tina__trace *trace, tina__event *events, tina__event *dump, uint32_t count)
{
    tina__assert(tina__is_power_of_two(count));
    trace->events = events;
    trace->next = events;
    trace->passed = 0;
    trace->mask = count - 1;
    trace->dump_count = 0;
    trace->dump_first = 0;
    trace->dump = dump;
    atomic_init(&trace->is_dumping, false);
    trace->is_detailed = false;
    tina__trace_stop_at(trace, UINT64_MAX);
}

void tina__trace_stop_at(tina__trace *trace, uint64_t number)
{
    uint64_t written = tina__trace_written(trace);
    uint64_t room = trace->passed + trace->mask + 1 - written;
    tina__assert(number >= written);
    trace->full_at = number;
    trace->stop = trace->next + tina__min_u64(room, number - written);
}

tina__event *tina__trace_go_on(tina__trace *trace)
{
    if (tina__trace_written(trace) == trace->full_at)
        trace->on_full(trace->user);
    if (trace->next == trace->events + trace->mask + 1) {
        trace->passed += (uint64_t)trace->mask + 1;
        trace->next = trace->events;
    }
    tina__trace_stop_at(trace, trace->full_at);
    return trace->next;
}

bool tina__trace_dump(tina__trace *trace, uint32_t most)
{
    /* acquire, with the reader's clearing: its reads of the last copy come before our writes over it. */
    if (atomic_load_explicit(&trace->is_dumping, memory_order_acquire))
        return false;
    uint64_t held = tina__min_u64(tina__trace_written(trace), (uint64_t)trace->mask + 1);
    trace->dump_count = (uint32_t)tina__min_u64(most, held);
    trace->dump_first = tina__trace_written(trace) - trace->dump_count;
    for (uint32_t i = 0; i < trace->dump_count; i++)
        trace->dump[i] = trace->events[(trace->dump_first + i) & trace->mask];
    /* release, with the reader's look: who sees the flag sees the copy. */
    atomic_store_explicit(&trace->is_dumping, true, memory_order_release);
    return true;
}

const tina__event *tina__trace_at(const tina__trace *trace, uint64_t number)
{
    if (number >= tina__trace_written(trace) || tina__trace_written(trace) - number > (uint64_t)trace->mask + 1)
        return NULL;
    return &trace->events[number & trace->mask];
}

/* ---- Words ------------------------------------------------------------------------------ */

/*
 * An event is formatted from whatever bytes a fault has left: every number is
 * looked up in a table within its bounds, and written as a number where it is
 * in none.
 */

/* A text under way: at most size bytes of it are kept, all of it is counted. And what is needed to name isolates. */
typedef struct writer {
    char *text;
    size_t size;
    size_t length;
    const char *const *type_names;
    uint32_t type_count;
    uint8_t shard;
} writer;

static void put(writer *to, const char *format, ...) TINA_PRINTF(2, 3);
static void put(writer *to, const char *format, ...)
{
    bool has_room = to->length < to->size;
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(has_room ? to->text + to->length : NULL, has_room ? to->size - to->length : 0, format, arguments);
    va_end(arguments);
    to->length += more < 0 ? 0 : (size_t)more;
}

#define NAME(value)  [value] = #value
#define TABLE(names) names, sizeof names / sizeof names[0]

static const char *const tag_names[] = {
    NAME(TINA_TAG_CALL_FAILED),
    NAME(TINA_TAG_TIMER),
    NAME(TINA_TAG_SHUTDOWN),
    NAME(TINA_TAG_TRANSFER),
    NAME(TINA_TAG_SHARD_RESTARTED),
    NAME(TINA_TAG_SHARD_QUARANTINED),
    NAME(TINA_TAG_DOWN),
    NAME(TINA_TAG_RESUME),
    NAME(TINA_TAG_FD),
    NAME(TINA_IO_READ),
    NAME(TINA_IO_WRITE),
    NAME(TINA_IO_ACCEPT),
    NAME(TINA_IO_CONNECT),
    NAME(TINA_IO_SEND),
    NAME(TINA_IO_RECV),
    NAME(TINA_IO_SENDTO),
    NAME(TINA_IO_RECVFROM),
    NAME(TINA_IO_CLOSE),
    NAME(TINA_IO_SENDFILE),
    NAME(TINA_IO_OPEN),
    NAME(TINA_IO_SYNC),
    NAME(TINA_IO_STAT),
    NAME(TINA_IO_TRUNCATE),
    NAME(TINA_IO_RENAME),
    NAME(TINA_IO_UNLINK),
};

static const char *const end_names[] = {
    NAME(TINA_END_DONE),    NAME(TINA_END_CRASH), NAME(TINA_END_FAULT), NAME(TINA_END_KILLED),
    NAME(TINA_END_STOPPED), NAME(TINA_END_SHARD), NAME(TINA_END_GONE),
};

static const char *const states[] = {
    [TINA_SHARD_INIT] = "is coming up",    [TINA_SHARD_RUNNING] = "is running", [TINA_SHARD_QUARANTINED] = "is quarantined",
    [TINA_SHARD_DRAINING] = "is draining", [TINA_SHARD_ENDED] = "has ended",
};

static const char *const wipes[] = {
    [TINA__WIPE_BUDGET] = "the root group is past its budget",
    [TINA__WIPE_FAULT] = "a fault",
    [TINA__WIPE_DAMAGE] = "damaged memory",
};

/* The word for value, or what it is no word of, and the number. */
static void put_word(writer *to, const char *const *words, size_t count, const char *what, uint64_t value)
{
    if (value < count && words[value] != NULL)
        put(to, "%s", words[value]);
    else
        put(to, "%s %llu", what, (unsigned long long)value);
}

static void put_tag(writer *to, tina_tag tag)
{
    if (tag < sizeof tag_names / sizeof tag_names[0] && tag_names[tag] != NULL)
        put(to, "%s", tag_names[tag]);
    else
        put(to, "tag 0x%x", tag);
}

/* Of operations: what they came to is in value. */

static void put_status(writer *to, uint64_t status)
{
    if (status <= TINA_SYSTEM_ERROR)
        put(to, "%s", tina_status_name((tina_status)status));
    else
        put(to, "status %llu", (unsigned long long)status);
}

static void put_end(writer *to, uint16_t end) { put_word(to, TABLE(end_names), "end", end); }
static void put_state(writer *to, uint16_t state) { put_word(to, TABLE(states), "is in state", state); }

static void put_isolate(writer *to, uint32_t type, uint32_t slot)
{
    if (type == TINA__TYPE_NAMED)
        put(to, "name %u", slot);
    else if (type < to->type_count && to->type_names[type] != NULL)
        put(to, "%s/%u", to->type_names[type], slot);
    else
        put(to, "type %u/%u", type, slot);
}

static void put_handle(writer *to, uint64_t bits)
{
    tina_handle handle = {bits};
    if (tina_handle_is_none(handle)) {
        put(to, "nobody");
        return;
    }
    if (tina_handle_shard(handle) != to->shard)
        put(to, "shard %u ", tina_handle_shard(handle));
    put_isolate(to, tina_handle_type(handle), tina__handle_slot(handle));
}

static void put_who(writer *to, const tina__event *event)
{
    if (tina__event_is_shards(event))
        put(to, "the shard");
    else
        put_isolate(to, tina__event_type(event), tina__event_slot(event));
}

static void put_group(writer *to, uint64_t index)
{
    if (index == TINA__GROUP_ROOT)
        put(to, "the root group");
    else
        put(to, "group %llu", (unsigned long long)index);
}

/* In the largest unit of which it is a whole number. */
static void put_duration(writer *to, uint64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    uint32_t unit = 0;
    for (; unit < 3 && ns != 0 && ns % 1000 == 0; unit++)
        ns /= 1000;
    put(to, "%llu %s", (unsigned long long)ns, units[unit]);
}

/* ---- Events ------------------------------------------------------------------------------- */

static void put_dispatch(writer *to, const tina__event *event)
{
    put(to, " handles ");
    put_tag(to, event->tag);
    if (tina__tag_is_io(event->tag)) {
        put(to, ": ");
        put_status(to, event->value);
        return;
    }
    if (event->value != 0) {
        put(to, " from ");
        put_handle(to, event->value);
    }
    if (event->detail != 0)
        put(to, " (%u byte%s)", event->detail, event->detail == 1 ? "" : "s");
}

static void put_init(writer *to, const tina__event *event)
{
    put(to, " runs its init");
    if (event->value == 0)
        return;
    put(to, ", spawned by ");
    put_handle(to, event->value);
}

static void put_ended(writer *to, const tina__event *event)
{
    put(to, " ends: ");
    put_end(to, event->tag);
    if (event->detail != 0)
        put(to, ", reason %u", event->detail);
}

static void put_refused(writer *to, const tina__event *event)
{
    put(to, " can't send ");
    put_tag(to, event->tag);
    put(to, " to ");
    put_handle(to, event->value);
    put(to, ": ");
    put_status(to, event->detail);
}

static void put_not_got(writer *to, const tina__event *event)
{
    put(to, " does not get ");
    put_tag(to, event->tag);
    if (event->value == 0)
        return;
    put(to, " from ");
    put_handle(to, event->value);
}

static void put_arrived(writer *to, const tina__event *event)
{
    put_not_got(to, event);
    put(to, ": ");
    put_status(to, event->detail);
}

static void put_lost(writer *to, const tina__event *event)
{
    put_not_got(to, event);
    put(to, ": it is lost");
}

static void put_io(writer *to, const tina__event *event)
{
    put(to, " submits ");
    put_tag(to, event->tag);
    put(to, " on descriptor %u", tina__word_index(event->value));
}

static void put_fault(writer *to, const tina__event *event)
{
    char signal[32];
    put(to, " faults: ");
    switch (event->tag) {
    case TINA__FAULT_SIGNAL: put(to, "%s", tina__trap_signal_name(event->detail, signal, sizeof signal)); break;
    case TINA__FAULT_ABORT: put(to, "abort()"); break;
    case TINA__FAULT_KILLED: put(to, "killed by the watchdog"); break;
    case TINA__FAULT_BROKEN: put(to, "a broken invariant"); break;
    default: put(to, "kind %u, signal %u", event->tag, event->detail); break;
    }
    if (event->value != 0)
        put(to, ", pc 0x%llx", (unsigned long long)event->value);
}

static void put_restart(writer *to, const tina__event *event)
{
    if (event->tag == 1)
        put(to, "group %u", event->detail);
    else
        put_who(to, event);
    put(to, " is to start again");
    if (event->value == 0)
        return;
    put(to, " in ");
    put_duration(to, event->value);
}

static void put_group_event(writer *to, const tina__event *event, const char *what)
{
    put_group(to, event->value);
    put(to, " %s", what);
}

static void put_wipe(writer *to, const tina__event *event)
{
    put(to, "the shard is wiped: ");
    put_word(to, TABLE(wipes), "reason", event->tag);
}

static void put_peer(writer *to, const tina__event *event)
{
    put(to, "shard %llu was wiped and ", (unsigned long long)event->value);
    put_state(to, event->tag);
}

static void put_down(writer *to, const tina__event *event)
{
    put(to, " is told of the end of ");
    put_handle(to, event->value);
    put(to, ": ");
    put_end(to, event->tag);
}

static void put_sent(writer *to, const tina__event *event)
{
    put(to, " sends ");
    put_tag(to, event->tag);
    put(to, " to ");
    put_handle(to, event->value);
    if (event->detail != 0)
        put(to, " (%u byte%s)", event->detail, event->detail == 1 ? "" : "s");
}

static void put_io_over(writer *to, const tina__event *event)
{
    put(to, "'s ");
    put_tag(to, event->tag);
    put(to, " is over: ");
    put_status(to, event->detail);
    if (event->value != 0)
        put(to, ", %llu bytes", (unsigned long long)event->value);
}

static void put_unknown(writer *to, const tina__event *event)
{
    put(to, ": event %u, tag 0x%x, detail %u, value 0x%llx", tina__event_kind_of(event), event->tag, event->detail,
        (unsigned long long)event->value);
}

/* What happened to the one that was named. */
static void put_what(writer *to, const tina__event *event)
{
    switch (tina__event_kind_of(event)) {
    case TINA__EVENT_DISPATCH: put_dispatch(to, event); break;
    case TINA__EVENT_INIT: put_init(to, event); break;
    case TINA__EVENT_UP: put(to, " is up"); break;
    case TINA__EVENT_END: put_ended(to, event); break;
    case TINA__EVENT_REFUSED: put_refused(to, event); break;
    case TINA__EVENT_ARRIVED: put_arrived(to, event); break;
    case TINA__EVENT_IO: put_io(to, event); break;
    case TINA__EVENT_FAULT: put_fault(to, event); break;
    case TINA__EVENT_DOWN: put_down(to, event); break;
    case TINA__EVENT_SENT: put_sent(to, event); break;
    case TINA__EVENT_IO_OVER: put_io_over(to, event); break;
    case TINA__EVENT_LOST: put_lost(to, event); break;
    default: put_unknown(to, event); break;
    }
}

static void put_event(writer *to, const tina__event *event)
{
    switch (tina__event_kind_of(event)) {
    case TINA__EVENT_RESTART: put_restart(to, event); break;
    case TINA__EVENT_GROUP_END: put_group_event(to, event, "is ended"); break;
    case TINA__EVENT_ESCALATE: put_group_event(to, event, "is past its budget"); break;
    case TINA__EVENT_GROUP_UP: put_group_event(to, event, "is up"); break;
    case TINA__EVENT_STATE:
        put(to, "the shard ");
        put_state(to, event->tag);
        break;
    case TINA__EVENT_WIPE: put_wipe(to, event); break;
    case TINA__EVENT_PEER: put_peer(to, event); break;
    default:
        put_who(to, event);
        put_what(to, event);
        break;
    }
}

size_t tina__event_format(const tina__event *event, uint8_t shard, const char *const *type_names, uint32_t type_count,
                          char *text, size_t size)
{
    writer to = {.text = text, .size = size, .type_names = type_names, .type_count = type_count, .shard = shard};
    put(&to, "tick %u: ", event->tick);
    put_event(&to, event);
    return to.length;
}

size_t tina__tag_format(tina_tag tag, char *text, size_t size)
{
    writer to = {.text = text, .size = size};
    put_tag(&to, tag);
    return to.length;
}
