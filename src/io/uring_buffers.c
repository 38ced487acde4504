/*
 * A place of the ring is in use until its completion was collected: completions need
 * not come in the order of the places.
 *
 * The kernel takes the buffers in the order in which they were put into the ring. So
 * only as many are there as somebody may take; the others lie on a stack, and the one
 * that came back last, and is still in the cache, is the next to be put in.
 */
#define _GNU_SOURCE 1
#include "io/uring_inside.h"

#include "os/os.h"

static uint32_t count_places(const tina__backend_config *config)
{
    return tina__power_of_two_up(tina__min_u32(config->buffer_count, TINA__URING_PLACES_MAX));
}

size_t tina__uring_places_size(const tina__backend_config *config)
{
    size_t by_place = count_places(config) * (sizeof(uint32_t) + sizeof(uint16_t));
    return by_place + config->buffer_count * sizeof(uint32_t);
}

size_t tina__uring_buffer_ring_size(const tina__backend_config *config)
{
    return tina__align_up(count_places(config) * sizeof(struct io_uring_buf), tina__os_page_size());
}

void tina__uring_carve_places(tina__backend *backend, const tina__backend_config *config, void *tables, void *buffer_ring)
{
    uint32_t place_count = count_places(config);
    backend->buffer_of = tables;
    backend->spare = backend->buffer_of + place_count;
    backend->free_places = (uint16_t *)(void *)(backend->spare + config->buffer_count);
    backend->buffer_mask = io_uring_buf_ring_mask(place_count);
    backend->buffer_ring = buffer_ring;
}

void tina__uring_forget_buffers(tina__backend *backend)
{
    backend->lent_count = 0;
    backend->taker_count = 0;
    backend->holding_count = 0;
    backend->sendfile_count = 0;
    backend->spare_count = 0;
    backend->free_place_count = 0;
    for (int place = backend->buffer_mask; place >= 0; place--)
        backend->free_places[backend->free_place_count++] = (uint16_t)place;
}

int tina__uring_register_buffers(tina__backend *backend)
{
    io_uring_buf_ring_init(backend->buffer_ring);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)backend->buffer_ring,
        .ring_entries = (unsigned)backend->buffer_mask + 1,
        .bgid = TINA__URING_BUFFER_GROUP,
    };
    return io_uring_register_buf_ring(&backend->ring, &registration, 0);
}

static void put_in_ring(tina__backend *backend)
{
    uint32_t buffer = backend->spare[--backend->spare_count];
    uint16_t place = backend->free_places[--backend->free_place_count];
    backend->buffer_of[place] = buffer;
    io_uring_buf_ring_add(backend->buffer_ring, backend->buffers + (size_t)buffer * backend->buffer_size,
                          backend->buffer_size, place, backend->buffer_mask, 0);
    io_uring_buf_ring_advance(backend->buffer_ring, 1);
}

/* As many as are wanted there, if there are so many. */
static void fill_ring(tina__backend *backend)
{
    uint32_t in_ring = backend->lent_count - backend->spare_count;
    if (in_ring < backend->taker_count && backend->spare_count != 0 && backend->free_place_count != 0)
        put_in_ring(backend);
}

void tina__uring_add_taker(tina__backend *backend)
{
    backend->taker_count++;
    fill_ring(backend);
}

void tina__uring_lend(tina__backend *backend, uint32_t buffer)
{
    tina__assert(buffer < backend->buffer_count);
    tina__assert(backend->lent_count < backend->buffer_count);
    backend->lent_count++;
    backend->spare[backend->spare_count++] = buffer;
    fill_ring(backend);
}

uint32_t tina__uring_take_buffer(tina__backend *backend, const struct io_uring_cqe *result)
{
    if ((result->flags & IORING_CQE_F_BUFFER) == 0)
        return TINA__BUFFER_NONE;
    uint32_t place = result->flags >> IORING_CQE_BUFFER_SHIFT;
    tina__assert(place <= (uint32_t)backend->buffer_mask);
    tina__assert(backend->lent_count != 0);
    uint32_t buffer = backend->buffer_of[place];
    backend->free_places[backend->free_place_count++] = (uint16_t)place;
    backend->lent_count--;
    fill_ring(backend);
    return buffer;
}
