#include "mem/spsc.h"

void tina__spsc_init(tina__spsc *ring, tina_message *slots, uint32_t capacity, uint32_t answer_capacity)
{
    tina__assert(capacity != 0);
    ring->slots = slots;
    ring->mask = tina__spsc_slot_count(capacity, answer_capacity) - 1;
    ring->capacity = capacity;
    ring->answer_capacity = answer_capacity;
    atomic_init(&ring->tail, TINA__COUNTER_START);
    ring->written = TINA__COUNTER_START;
    ring->head_copy = TINA__COUNTER_START;
    atomic_init(&ring->fence_life, 0);
    ring->fence = TINA__COUNTER_START;
    atomic_init(&ring->head, TINA__COUNTER_START);
    ring->read = TINA__COUNTER_START;
    ring->tail_copy = TINA__COUNTER_START;
}
