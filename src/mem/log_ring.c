#include "mem/log_ring.h"

#include "base/assert.h"

#include <string.h>

/*
 * A record is a header and the line's bytes, filled up to a multiple of the
 * header's size: so a header never straddles the end of the ring. A line may.
 */
typedef struct record_header {
    uint32_t length;
    uint8_t level;
    uint8_t unused[3];
} record_header;
TINA_STATIC_ASSERT(sizeof(record_header) == 8, "the ring's size is a multiple of a header's");

static uint64_t record_size(uint32_t length)
{
    return tina__align_up(sizeof(record_header) + length, sizeof(record_header));
}

void tina__log_ring_init(tina__log_ring *ring, uint8_t *bytes, uint32_t size)
{
    tina__assert(tina__is_power_of_two(size));
    tina__assert(size >= 1024);
    ring->bytes = bytes;
    ring->size = size;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
}

/* How many of length bytes lie before the end of the ring, and where they begin. */
static uint32_t before_the_end(const tina__log_ring *ring, uint64_t position, uint32_t length, uint32_t *offset)
{
    *offset = (uint32_t)position & (ring->size - 1);
    return tina__min_u32(length, ring->size - *offset);
}

static void copy_in(tina__log_ring *ring, uint64_t position, const void *from, uint32_t length)
{
    uint32_t offset;
    uint32_t first = before_the_end(ring, position, length, &offset);
    memcpy(ring->bytes + offset, from, first);
    memcpy(ring->bytes, (const uint8_t *)from + first, length - first);
}

static void copy_out(const tina__log_ring *ring, uint64_t position, void *to, uint32_t length)
{
    uint32_t offset;
    uint32_t first = before_the_end(ring, position, length, &offset);
    memcpy(to, ring->bytes + offset, first);
    memcpy((uint8_t *)to + first, ring->bytes, length - first);
}

bool tina__log_ring_write(tina__log_ring *ring, uint8_t level, const char *line, uint32_t length)
{
    tina__assert(length <= ring->size / 2);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    /* acquire, with tina__log_ring_read: the reader has finished with the bytes that we write over. */
    uint64_t used = tail - atomic_load_explicit(&ring->head, memory_order_acquire);
    tina__assert(used <= ring->size);
    if (record_size(length) > ring->size - used)
        return false;
    record_header header = {.length = length, .level = level};
    copy_in(ring, tail, &header, sizeof header);
    copy_in(ring, tail + sizeof header, line, length);
    /* release, with tina__log_ring_read: the reader that sees the position sees the record before it. */
    atomic_store_explicit(&ring->tail, tail + record_size(length), memory_order_release);
    return true;
}

bool tina__log_ring_read(tina__log_ring *ring, uint8_t *level, char *line, uint32_t size, uint32_t *length)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire); /* with tina__log_ring_write */
    if (head == tail)
        return false;
    record_header header;
    copy_out(ring, head, &header, sizeof header);
    tina__assert(header.length <= ring->size / 2);
    tina__assert(record_size(header.length) <= tail - head);
    *level = header.level;
    *length = tina__min_u32(header.length, size);
    copy_out(ring, head + sizeof header, line, *length);
    /* release, with tina__log_ring_write: our reads of the record come before the writer's next writes. */
    atomic_store_explicit(&ring->head, head + record_size(header.length), memory_order_release);
    return true;
}
