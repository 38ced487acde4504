#include "core/group.h"

#include "base/assert.h"

void tina__budget_init(tina__budget *budget, struct tina__budget_entry *entries, uint32_t restart_max, uint64_t window_ns,
                       uint32_t default_window_s)
{
    *budget = (tina__budget){
        .entries = entries,
        .entry_count = tina__budget_entry_count(restart_max),
        .max = restart_max == TINA_NONE ? 0
               : restart_max == 0       ? 3
                                        : restart_max,
        .window_ns = window_ns == 0 ? default_window_s * 1000000000ull : window_ns,
    };
}

void tina__budget_reset(tina__budget *budget)
{
    budget->first = 0;
    budget->used = 0;
    budget->sum = 0;
}

/* The entry so many behind the oldest; at most as many as there are. */
static struct tina__budget_entry *entry_at(const tina__budget *budget, uint32_t behind)
{
    uint32_t index = budget->first + behind; /* without a division: each restart would wait for it */
    return &budget->entries[index < budget->entry_count ? index : index - budget->entry_count];
}

static void forget_old(tina__budget *budget, uint64_t now_ns)
{
    while (budget->used != 0) {
        const struct tina__budget_entry *oldest = entry_at(budget, 0);
        if (now_ns - oldest->when_ns < budget->window_ns)
            return;
        tina__assert(budget->sum >= oldest->count);
        budget->sum -= oldest->count;
        budget->first = budget->first + 1 < budget->entry_count ? budget->first + 1 : 0;
        budget->used--;
    }
}

bool tina__budget_spend(tina__budget *budget, uint64_t now_ns)
{
    forget_old(budget, now_ns);
    if (budget->sum >= budget->max)
        return false;
    budget->sum++;
    if (budget->used == budget->entry_count) {
        /* It counts from its latest on: on the strict side. */
        struct tina__budget_entry *newest = entry_at(budget, budget->used - 1);
        newest->when_ns = now_ns;
        newest->count++;
        return true;
    }
    *entry_at(budget, budget->used) = (struct tina__budget_entry){now_ns, 1};
    budget->used++;
    return true;
}
