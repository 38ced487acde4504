#include "support/guard.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

tina_test_guard tina_test_guard_make(size_t size, size_t alignment)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable = (size + page - 1) / page * page;
    tina_test_guard guard = {.size = size, .mapped = usable + page};
    if (alignment == 0 || alignment > page || size % alignment != 0)
        abort();
    guard.base = mmap(NULL, guard.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard.base == MAP_FAILED)
        abort();
    if (mprotect((char *)guard.base + usable, page, PROT_NONE) != 0)
        abort();
    guard.data = (char *)guard.base + usable - size;
    return guard;
}

void tina_test_guard_free(tina_test_guard *guard)
{
    munmap(guard->base, guard->mapped);
    *guard = (tina_test_guard){0};
}
