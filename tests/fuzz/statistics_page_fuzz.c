/*
 * What tinatop makes of a page that says anything: a table of printable text, or a
 * word. A page of this library is also tried with what the bytes overwrite in it.
 */
#define _GNU_SOURCE 1
#include "../../tools/tinatop/snapshot.c"
#include "../../tools/tinatop/view.c"
#include "check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        CHECK(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
}

static void show(const page_snapshot *now, const page_snapshot *earlier)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    CHECK(to != NULL);
    view_write(to, now, earlier, SNAPSHOT_LEFT, "page");
    CHECK(fclose(to) == 0);
    check_printable(text, size);
    free(text);
}

static void try_page(const uint8_t *bytes, size_t size)
{
    page_snapshot now, earlier;
    if (snapshot_take(&now, bytes, size) == SNAPSHOT_REFUSED) {
        CHECK(now.trouble[0] != '\0' && now.memory == NULL);
        check_printable(now.trouble, strlen(now.trouble));
        return;
    }
    show(&now, NULL);
    CHECK(snapshot_take(&earlier, bytes, size) == SNAPSHOT_LIVE);
    for (size_t i = 0; i < sizeof(tina_stats); i++)
        ((uint8_t *)earlier.shards)[i] ^= 0x5A;
    earlier.page.written_ns = now.page.written_ns / 2;
    show(&now, snapshot_follows(&now, &earlier) ? &earlier : NULL);
    snapshot_free(&earlier);
    snapshot_free(&now);
}

/* A page as the library writes one, of so many shards and types. */
static uint8_t *make_page(uint32_t shard_count, uint32_t type_count, size_t *size)
{
    tina__page page = {
        .magic = TINA__PAGE_MAGIC,
        .version = TINA__PAGE_VERSION,
        .header_size = sizeof page,
        .shard_size = sizeof(tina_stats),
        .type_size = sizeof(tina_type_stats),
        .shard_count = shard_count,
        .type_count = type_count,
        .started_ns = 1,
        .written_ns = 1000000001,
        .library = TINA_VERSION,
    };
    *size = tina__page_size(shard_count, type_count);
    uint8_t *bytes = calloc(1, *size);
    CHECK(bytes != NULL);
    memcpy(bytes, &page, sizeof page);
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_page(data, size);
    if (size < 4)
        return 0;
    size_t whole;
    uint8_t *bytes = make_page(1 + data[0] % 4u, 1 + data[1] % 4u, &whole);
    size_t at = (size_t)data[2] * data[3] % whole;
    size_t length = size - 4 < whole - at ? size - 4 : whole - at;
    memcpy(bytes + at, data + 4, length);
    try_page(bytes, whole);
    try_page(bytes, whole - 1);
    free(bytes);
    return 0;
}
