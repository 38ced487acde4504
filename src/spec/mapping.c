#include "spec/mapping.h"

#include "os/os.h"

tina_status tina__mapping_open(const tina__plan *plan, void **base, int *os_error)
{
    tina_status status = tina__os_reserve(plan->total, base, os_error);
    if (status != TINA_OK)
        return status;
    uint8_t *bytes = *base;
    status = tina__os_open_memory(bytes + plan->user_offset, plan->user_size, os_error);
    if (status == TINA_OK)
        status = tina__os_open_memory(bytes + plan->runtime_offset, plan->runtime_size, os_error);
    return status;
}

void tina__mapping_release(const tina__plan *plan, void *base)
{
    if (base != NULL)
        tina__os_release(base, plan->total);
}
