#include "run/stats_page.h"

#include "base/page.h"
#include "core/stats.h"
#include "os/claim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_NS 250000000u

typedef struct tina__stats_page {
    tina__claim claim;
    uint64_t next_ns;
    bool is_failing; /* and that was said */
    size_t size;
    uint8_t bytes[]; /* as they are to stand in the file */
} tina__stats_page;

static tina__page *header_of(tina__stats_page *page) { return (tina__page *)(void *)page->bytes; }

static void fill_header(const tina_system *system, tina__page *header)
{
    *header = (tina__page){
        .magic = TINA__PAGE_MAGIC,
        .version = TINA__PAGE_VERSION,
        .header_size = sizeof(tina__page),
        .shard_size = sizeof(tina_stats),
        .type_size = sizeof(tina_type_stats),
        .shard_count = (uint32_t)system->shard_count,
        .type_count = (uint32_t)system->spec->type_count,
        .writer = (uint64_t)getpid(),
        .interval_ns = INTERVAL_NS,
        .started_ns = tina__os_now_ns(),
    };
    strncpy(header->library, tina_version(), sizeof header->library - 1);
}

/* What is known before a shard runs: there are no others' records to read. */
static void fill_names(const tina_system *system, tina__stats_page *page)
{
    size_t type_count = system->spec->type_count;
    for (size_t i = 0; i < system->shard_count * type_count; i++) {
        uint8_t *record = &page->bytes[tina__page_type_at(system->shard_count, type_count, 0, i)];
        const char *name = system->spec->types[i % type_count].name;
        memcpy(record + offsetof(tina_type_stats, name), name, strlen(name)); /* at most 63 bytes */
    }
}

static void fill_shard(const tina_system *system, tina__stats_page *page, size_t shard, uint64_t now_ns)
{
    size_t type_count = system->spec->type_count;
    tina_stats stats;
    tina__shard_read_stats(system->threads[shard].shard, &system->publics[shard], now_ns, &stats);
    memcpy(&page->bytes[tina__page_shard_at(shard)], &stats, sizeof stats);
    for (size_t i = 0; i < type_count; i++) {
        tina_type_stats type;
        tina__type_read_stats(&system->publics[shard].types[i], &type);
        memcpy(&page->bytes[tina__page_type_at(system->shard_count, type_count, shard, i)], &type, sizeof type);
    }
}

static void fill(const tina_system *system, tina__stats_page *page, uint64_t now_ns)
{
    for (size_t i = 0; i < system->shard_count; i++) {
        /* acquire, with tina__thread_reach(): the shard is made. */
        uint32_t phase = atomic_load_explicit(&system->threads[i].phase, memory_order_acquire);
        if (phase != TINA__BOOT_STARTED && system->threads[i].shard != NULL)
            fill_shard(system, page, i, now_ns);
    }
}

/* Between two looks at an even sequence a reader finds one state, or another number. */
static bool write_all(tina__stats_page *page, int *os_error)
{
    tina__page *header = header_of(page);
    header->sequence |= 1;
    bool is_written = tina__claim_write(&page->claim, &header->sequence, sizeof header->sequence,
                                        offsetof(tina__page, sequence), os_error) &&
                      tina__claim_write(&page->claim, page->bytes, page->size, 0, os_error);
    header->sequence++;
    return is_written && tina__claim_write(&page->claim, &header->sequence, sizeof header->sequence,
                                           offsetof(tina__page, sequence), os_error);
}

tina_status tina__stats_page_open(tina_system *system, tina_error *error)
{
    const char *path = system->spec->stats_path;
    if (path == NULL)
        return TINA_OK;
    size_t size = tina__page_size(system->shard_count, system->spec->type_count);
    tina__stats_page *page = calloc(1, sizeof *page + size);
    const char *why = "needs more memory than there is";
    int os_error = 0;
    tina_status status = TINA_POOL_EXHAUSTED;
    if (page != NULL) {
        page->size = size;
        fill_header(system, header_of(page));
        fill_names(system, page);
        status = tina__claim_open(&page->claim, path, header_of(page)->magic, size, &why, &os_error);
    }
    if (status != TINA_OK) {
        free(page);
        tina__error_set(error, status, os_error, "stats_path", "%.120s %s", path, why);
        return status;
    }
    system->page = page;
    if (write_all(page, &os_error))
        return TINA_OK;
    tina__error_set(error, TINA_SYSTEM_ERROR, os_error, "stats_path", "%.120s can't be written", path);
    return TINA_SYSTEM_ERROR;
}

void tina__stats_page_close(tina_system *system)
{
    if (system->page == NULL)
        return;
    tina__claim_close(&system->page->claim, system->spec->stats_path);
    free(system->page);
    system->page = NULL;
}

static void write_or_tell(tina_system *system, tina__stats_page *page)
{
    int os_error = 0;
    bool was_failing = page->is_failing;
    page->is_failing = !write_all(page, &os_error);
    if (page->is_failing && !was_failing)
        tina__system_log(system, TINA_LOG_WARN, "the statistics page can't be written: %s", strerror(os_error));
}

uint64_t tina__stats_page_turn(tina_system *system)
{
    tina__stats_page *page = system->page;
    if (page == NULL)
        return TINA_NONE_NS;
    uint64_t now_ns = tina__os_now_ns();
    if (now_ns < page->next_ns)
        return page->next_ns - now_ns;
    fill(system, page, now_ns);
    header_of(page)->written_ns = now_ns;
    write_or_tell(system, page);
    page->next_ns = now_ns + INTERVAL_NS;
    return INTERVAL_NS;
}
