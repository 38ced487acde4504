#include "sim/timeline.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/prng.h"
#include "core/message.h"
#include "sim/file.h"
#include "sim/sends.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX TINA__TIMELINE_THREADS_MAX
#define PLACES      (2 * THREADS_MAX) /* that threads are hashed to */
#define TICK_MAX    8192              /* events that are laid out together */
#define TEXT_MAX    320
#define TYPES       256 /* of an event, whatever its bytes are */
TINA_STATIC_ASSERT((PLACES & (PLACES - 1)) == 0, "hashes are masked");

/* What one row of the viewer is. */
typedef struct thread {
    uint64_t key;  /* an isolate's first handle; 0: it is no isolate's own */
    uint32_t id;   /* 0: nobody has needed it yet */
    uint16_t name; /* of the isolate; 0: none */
} thread;

typedef struct row { /* of a shard */
    thread others;   /* those isolates' that came too late for a thread of their own */
    uint32_t live, live_shown;
} row;

struct tina__timeline {
    tina__file file;
    const char *separator; /* before the next event */
    const char *const *type_names;
    uint32_t type_count;
    uint32_t shard_count;
    uint64_t (*ended_ns)[TYPES]; /* by shard and type: when the latest one ended */
    uint64_t flow_count;
    row rows[UINT8_MAX + 1];

    /* The tick that is being taken in. */
    tina__event tick[TICK_MAX];
    uint32_t tick_count;
    uint8_t shard;
    uint64_t now_ns, round_ns;
    uint64_t first_ns, step_ns; /* where it is laid out */
    uint64_t until_ns;          /* what is before it is written */

    uint32_t thread_count, next_thread_id;
    thread threads[PLACES];
    tina__sends sends;
};

/* ---- Events of the file -------------------------------------------------------------------- */

/* An event's beginning; what follows is fields, and the last brace. */
static void print_event(tina__timeline *timeline, char phase, uint8_t shard, uint32_t thread_id, uint64_t at_ns)
{
    tina__file_print(&timeline->file, "%s{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,\"ts\":%llu.%03u", timeline->separator, phase,
                     shard + 1u, thread_id, (unsigned long long)(at_ns / 1000), (unsigned)(at_ns % 1000));
    timeline->separator = ",\n";
}

static void print_label(tina__timeline *timeline, uint8_t shard, uint32_t thread_id, const char *what, const char *name)
{
    tina__file_print(&timeline->file, "%s{\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"name\":\"%s\",\"args\":{\"name\":\"",
                     timeline->separator, shard + 1u, thread_id, what);
    timeline->separator = ",\n";
    tina__file_print_json(&timeline->file, name);
    tina__file_print(&timeline->file, "\"}}");
}

/* ---- Threads ------------------------------------------------------------------------------ */

/* An isolate as another of that shard calls it. */
static void name_isolate(const tina__timeline *timeline, uint8_t shard, tina_handle handle, char *text)
{
    uint32_t type = tina_handle_type(handle);
    uint32_t slot = tina__handle_slot(handle);
    int length = 0;
    if (tina_handle_shard(handle) != shard)
        length = snprintf(text, TEXT_MAX, "shard %u ", tina_handle_shard(handle));
    size_t size = TEXT_MAX - (size_t)length;
    if (type < timeline->type_count && timeline->type_names[type] != NULL)
        snprintf(text + length, size, "%s/%u", timeline->type_names[type], slot);
    else
        snprintf(text + length, size, "type %u/%u", type, slot);
}

/* Perfetto tells a thread by its id alone, whatever its process, and takes one with the process's own for the main thread. */
static uint32_t shard_thread_id(uint8_t shard) { return shard + 1u; }

static void begin_thread(tina__timeline *timeline, thread *begun, uint8_t shard, const char *name)
{
    begun->id = timeline->next_thread_id++;
    print_label(timeline, shard, begun->id, "thread_name", name);
}

/* The one with that key, or where it belongs. */
static thread *find_thread(tina__timeline *timeline, uint64_t key)
{
    for (uint64_t place = tina__mix64(key);; place++) {
        thread *found = &timeline->threads[place & (PLACES - 1)];
        if (found->key == key || found->key == 0)
            return found;
    }
}

static thread *thread_of(tina__timeline *timeline, tina_handle who)
{
    uint8_t shard = tina_handle_shard(who);
    thread *others = &timeline->rows[shard].others;
    uint64_t key = tina__handle_make(shard, tina_handle_type(who), tina__handle_slot(who), 1).bits;
    thread *found = find_thread(timeline, key);
    if (found->key == key)
        return found;
    if (timeline->thread_count < THREADS_MAX) {
        char name[TEXT_MAX];
        name_isolate(timeline, shard, who, name);
        timeline->thread_count++;
        found->key = key;
        begin_thread(timeline, found, shard, name);
        return found;
    }
    if (others->id == 0)
        begin_thread(timeline, others, shard, "all others");
    return others;
}

/* Whose event it is, with its shard. */
static tina_handle who_of(uint8_t shard, const tina__event *event)
{
    return (tina_handle){(uint64_t)shard << 56 | event->kind_and_who << 8 >> 8};
}

/* Where it is shown: what nobody is meant by, and what was for a name that nobody bears, with the shard. */
static uint32_t thread_id_of(tina__timeline *timeline, uint8_t shard, const tina__event *event)
{
    if (tina__event_is_shards(event) || tina__event_type(event) >= timeline->type_count)
        return shard_thread_id(shard);
    return thread_of(timeline, who_of(shard, event))->id;
}

/* When an isolate of that type ended last: mail that waits for a name ends with whoever bears it, and nobody says so. */
static uint64_t *ended_ns(tina__timeline *timeline, uint8_t shard, uint32_t type)
{
    return &timeline->ended_ns[shard][type];
}

/* ---- Arrows ---------------------------------------------------------------------------------- */

static void print_flow(tina__timeline *timeline, tina_tag tag)
{
    char name[TEXT_MAX];
    tina__tag_format(tag, name, sizeof name);
    tina__file_print(&timeline->file, ",\"id\":%llu,\"cat\":\"message\",\"name\":\"%s\"",
                     (unsigned long long)timeline->flow_count, name);
}

/* From its send to the slice that was printed last, to which it is bound by being at its beginning. */
static void show_arrow(tina__timeline *timeline, const tina__event *event, uint64_t at_ns)
{
    tina_handle self = who_of(timeline->shard, event);
    const thread *of = thread_of(timeline, self);
    tina__sends_receiver receiver = {
        .self = self,
        .name = of->name,
        .heir_since_ns = *ended_ns(timeline, timeline->shard, tina__event_type(event)),
    };
    const tina__sent *sent = tina__sends_take(&timeline->sends, (tina_handle){event->value}, &receiver, event->tag);
    if (sent == NULL)
        return;
    tina__assert(sent->at_ns < at_ns);
    timeline->flow_count++;
    print_event(timeline, 's', tina_handle_shard(sent->source), sent->thread_id, sent->at_ns);
    print_flow(timeline, event->tag);
    tina__file_print(&timeline->file, "}");
    print_event(timeline, 'f', timeline->shard, of->id, at_ns);
    print_flow(timeline, event->tag);
    tina__file_print(&timeline->file, ",\"bp\":\"e\"}");
}

/* ---- A tick ---------------------------------------------------------------------------------- */

static uint64_t place_ns(const tina__timeline *timeline, uint32_t index)
{
    return timeline->first_ns + index * timeline->step_ns;
}

static bool is_over_with(const tina__event *slice, const tina__event *later)
{
    switch (tina__event_kind_of(later)) {
    case TINA__EVENT_DISPATCH: return true;
    case TINA__EVENT_UP:
    case TINA__EVENT_END:
    case TINA__EVENT_FAULT: return slice->kind_and_who << 8 == later->kind_and_who << 8;
    default: return false;
    }
}

/* A handler runs until the next one does or its isolate ends, an init until its isolate is up or not; or to the tick's end. */
static uint64_t slice_end_ns(const tina__timeline *timeline, uint32_t index)
{
    uint32_t end = index + 1;
    while (end < timeline->tick_count && !is_over_with(&timeline->tick[index], &timeline->tick[end]))
        end++;
    return place_ns(timeline, end);
}

static void print_slice(tina__timeline *timeline, uint32_t index, const char *category, const char *name)
{
    const tina__event *event = &timeline->tick[index];
    uint64_t at_ns = place_ns(timeline, index);
    uint64_t length_ns = slice_end_ns(timeline, index) - at_ns;
    print_event(timeline, 'X', timeline->shard, thread_id_of(timeline, timeline->shard, event), at_ns);
    tina__file_print(&timeline->file, ",\"dur\":%llu.%03u,\"cat\":\"%s\",\"name\":\"%s\",\"args\":{\"tick\":%u",
                     (unsigned long long)(length_ns / 1000), (unsigned)(length_ns % 1000), category, name, event->tick);
}

static void print_source(tina__timeline *timeline, uint64_t source)
{
    char text[TEXT_MAX];
    if (source == 0)
        return;
    name_isolate(timeline, timeline->shard, (tina_handle){source}, text);
    tina__file_print(&timeline->file, ",\"from\":\"");
    tina__file_print_json(&timeline->file, text);
    tina__file_print(&timeline->file, "\"");
}

static void show_dispatch(tina__timeline *timeline, uint32_t index)
{
    const tina__event *event = &timeline->tick[index];
    char name[TEXT_MAX];
    tina__tag_format(event->tag, name, sizeof name);
    print_slice(timeline, index, "handler", name);
    if (tina__tag_is_io(event->tag)) {
        tina__file_print(&timeline->file, ",\"status\":\"%s\"}}", tina_status_name((tina_status)event->value));
        return;
    }
    print_source(timeline, event->value);
    tina__file_print(&timeline->file, ",\"size\":%u}}", event->detail);
    if (event->value != 0)
        show_arrow(timeline, event, place_ns(timeline, index));
}

static void show_init(tina__timeline *timeline, uint32_t index)
{
    const tina__event *event = &timeline->tick[index];
    thread *of = thread_of(timeline, who_of(timeline->shard, event));
    if (of->key != 0)
        of->name = event->detail;
    timeline->rows[timeline->shard].live++;
    print_slice(timeline, index, "init", "init");
    print_source(timeline, event->value);
    tina__file_print(&timeline->file, "}}");
}

/* The event's words. A fault's program counter is the host's, and stays out of it. */
static void show_instant(tina__timeline *timeline, uint32_t index, const char *category)
{
    tina__event event = timeline->tick[index];
    if (tina__event_kind_of(&event) == TINA__EVENT_FAULT)
        event.value = 0;
    char text[TEXT_MAX];
    tina__event_format(&event, timeline->shard, timeline->type_names, timeline->type_count, text, sizeof text);
    print_event(timeline, 'i', timeline->shard, thread_id_of(timeline, timeline->shard, &event), place_ns(timeline, index));
    tina__file_print(&timeline->file, ",\"s\":\"%c\",\"cat\":\"%s\",\"name\":\"", tina__event_is_shards(&event) ? 'p' : 't',
                     category);
    tina__file_print_json(&timeline->file, strstr(text, ": ") + 2); /* behind the number of the tick */
    tina__file_print(&timeline->file, "\",\"args\":{\"tick\":%u}}", event.tick);
}

static void note_end(tina__timeline *timeline, uint32_t index)
{
    const tina__event *event = &timeline->tick[index];
    row *of = &timeline->rows[timeline->shard];
    of->live -= of->live != 0; /* a tick too long for the flight recorder has lost its beginning */
    *ended_ns(timeline, timeline->shard, tina__event_type(event)) = place_ns(timeline, index);
}

/* It ends all, and not one by one. */
static void note_wipe(tina__timeline *timeline, uint32_t index)
{
    timeline->rows[timeline->shard].live = 0;
    for (uint32_t type = 0; type < TYPES; type++)
        *ended_ns(timeline, timeline->shard, type) = place_ns(timeline, index);
}

static void note_sent(tina__timeline *timeline, uint32_t index)
{
    const tina__event *event = &timeline->tick[index];
    tina__sends_add(&timeline->sends, who_of(timeline->shard, event), (tina_handle){event->value}, event->tag,
                    place_ns(timeline, index), thread_id_of(timeline, timeline->shard, event));
}

static void note_refused(tina__timeline *timeline, uint32_t index)
{
    const tina__event *event = &timeline->tick[index];
    tina__sends_forget(&timeline->sends, (tina_handle){event->value}, who_of(timeline->shard, event), event->tag);
}

static void show_event(tina__timeline *timeline, uint32_t index)
{
    const tina__event *event = &timeline->tick[index];
    switch (tina__event_kind_of(event)) {
    case TINA__EVENT_DISPATCH: show_dispatch(timeline, index); break;
    case TINA__EVENT_INIT: show_init(timeline, index); break;
    case TINA__EVENT_SENT: note_sent(timeline, index); break;
    case TINA__EVENT_REFUSED: show_instant(timeline, index, "refused"); break;
    case TINA__EVENT_ARRIVED:
        note_refused(timeline, index);
        show_instant(timeline, index, "refused");
        break;
    case TINA__EVENT_LOST:
        note_refused(timeline, index);
        show_instant(timeline, index, "lost");
        break;
    case TINA__EVENT_FAULT: show_instant(timeline, index, "fault"); break;
    case TINA__EVENT_END:
        note_end(timeline, index);
        show_instant(timeline, index, "end");
        break;
    case TINA__EVENT_RESTART:
    case TINA__EVENT_GROUP_END:
    case TINA__EVENT_ESCALATE: show_instant(timeline, index, "supervision"); break;
    case TINA__EVENT_WIPE:
        note_wipe(timeline, index);
        show_instant(timeline, index, "shard");
        break;
    case TINA__EVENT_STATE:
    case TINA__EVENT_PEER: show_instant(timeline, index, "shard"); break;
    default: break; /* said by others already, or too much */
    }
}

static void show_live(tina__timeline *timeline, uint8_t shard)
{
    row *of = &timeline->rows[shard];
    if (of->live == of->live_shown)
        return;
    of->live_shown = of->live;
    print_event(timeline, 'C', shard, shard_thread_id(shard), timeline->until_ns);
    tina__file_print(&timeline->file, ",\"name\":\"isolates\",\"args\":{\"live\":%u}}", of->live);
}

/* Its part of the round. Another tick may always follow: it takes no more than half of what is left, or a nanosecond an event. */
static void lay_out(tina__timeline *timeline)
{
    uint64_t first_ns = tina__max_u64(timeline->now_ns, timeline->until_ns);
    uint64_t end_ns = tina__add_saturating(timeline->now_ns, timeline->round_ns);
    uint64_t left_ns = end_ns > first_ns ? end_ns - first_ns : 0;
    uint64_t part_ns = tina__min_u64(timeline->round_ns / (timeline->shard_count + 1), left_ns / 2);
    timeline->first_ns = first_ns;
    timeline->step_ns = tina__max_u64(part_ns / timeline->tick_count, 1);
    timeline->until_ns = place_ns(timeline, timeline->tick_count);
}

static void show_tick(tina__timeline *timeline)
{
    if (timeline->tick_count == 0)
        return;
    lay_out(timeline);
    for (uint32_t i = 0; i < timeline->tick_count; i++)
        show_event(timeline, i);
    show_live(timeline, timeline->shard);
    timeline->tick_count = 0;
}

/* ---- From outside ------------------------------------------------------------------------------ */

static tina__timeline *make(uint32_t shard_count, const char *const *type_names, uint32_t type_count)
{
    tina__timeline *timeline = calloc(1, sizeof *timeline);
    if (timeline == NULL)
        return NULL;
    timeline->separator = "";
    timeline->type_names = type_names;
    timeline->type_count = type_count;
    timeline->shard_count = shard_count;
    timeline->next_thread_id = shard_count + 1;
    tina__sends_init(&timeline->sends);
    timeline->ended_ns = calloc(shard_count, sizeof *timeline->ended_ns);
    if (timeline->ended_ns != NULL)
        return timeline;
    free(timeline);
    return NULL;
}

static void destroy(tina__timeline *timeline)
{
    free(timeline->ended_ns);
    free(timeline);
}

static void print_head(tina__timeline *timeline)
{
    tina__file_print(&timeline->file, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    for (uint32_t i = 0; i < timeline->shard_count; i++) {
        char name[TEXT_MAX];
        snprintf(name, sizeof name, "shard %u", i);
        print_label(timeline, (uint8_t)i, shard_thread_id((uint8_t)i), "process_name", name);
        print_label(timeline, (uint8_t)i, shard_thread_id((uint8_t)i), "thread_name", "the shard");
    }
}

tina_status tina__timeline_open(const char *path, uint32_t shard_count, const char *const *type_names, uint32_t type_count,
                                tina__timeline **timeline, int *os_error)
{
    tina__assert(shard_count <= UINT8_MAX);
    *os_error = 0;
    *timeline = NULL;
    tina__timeline *made = make(shard_count, type_names, type_count);
    if (made == NULL)
        return TINA_POOL_EXHAUSTED;
    tina_status status = tina__file_open(&made->file, path, os_error);
    if (status != TINA_OK) {
        destroy(made);
        return status;
    }
    print_head(made);
    *timeline = made;
    return TINA_OK;
}

void tina__timeline_add(tina__timeline *timeline, uint8_t shard, const tina__event *event, uint64_t now_ns,
                        uint64_t round_ns)
{
    tina__assert(shard < timeline->shard_count);
    if (timeline->tick_count == TICK_MAX || shard != timeline->shard || now_ns != timeline->now_ns)
        show_tick(timeline);
    timeline->shard = shard;
    timeline->now_ns = now_ns;
    timeline->round_ns = round_ns;
    timeline->tick[timeline->tick_count++] = *event;
}

void tina__timeline_mark(tina__timeline *timeline, uint8_t shard, const char *what, uint64_t now_ns)
{
    tina__assert(shard < timeline->shard_count);
    show_tick(timeline);
    uint64_t at_ns = tina__max_u64(now_ns, timeline->until_ns);
    timeline->until_ns = at_ns + 1;
    print_event(timeline, 'i', shard, shard_thread_id(shard), at_ns);
    tina__file_print(&timeline->file, ",\"s\":\"p\",\"cat\":\"world\",\"name\":\"");
    tina__file_print_json(&timeline->file, what);
    tina__file_print(&timeline->file, "\"}");
}

tina_status tina__timeline_close(tina__timeline *timeline, int *os_error)
{
    *os_error = 0;
    if (timeline == NULL)
        return TINA_OK;
    show_tick(timeline);
    tina__file_print(&timeline->file, "\n]}\n");
    tina_status status = tina__file_close(&timeline->file, os_error);
    destroy(timeline);
    return status;
}
