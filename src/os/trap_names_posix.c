/* The part of the trap that knows names: of code and of signals. None of it is for a signal handler. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/assert.h"
#include "os/trap.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The code of libraries ---- */

typedef struct modules {
    const void *const *own;
    size_t own_count;
    tina__code *codes; /* NULL: only count */
    size_t capacity, count;
    bool is_first; /* the program itself is told first */
} modules;

static tina__code segment_of(const struct dl_phdr_info *module, size_t index)
{
    uintptr_t start = module->dlpi_addr + module->dlpi_phdr[index].p_vaddr;
    return (tina__code){.start = start, .end = start + module->dlpi_phdr[index].p_memsz};
}

static bool holds(const struct dl_phdr_info *module, uintptr_t address)
{
    for (size_t i = 0; i < module->dlpi_phnum; i++) {
        tina__code segment = segment_of(module, i);
        if (module->dlpi_phdr[i].p_type == PT_LOAD && address >= segment.start && address < segment.end)
            return true;
    }
    return false;
}

static bool is_own(const struct dl_phdr_info *module, const modules *wanted)
{
    if (holds(module, (uintptr_t)&tina__trap_foreign_code))
        return true;
    for (size_t i = 0; i < wanted->own_count; i++) {
        if (holds(module, (uintptr_t)wanted->own[i]))
            return true;
    }
    return false;
}

static int add_module(struct dl_phdr_info *module, size_t size, void *user)
{
    (void)size;
    modules *wanted = user;
    bool is_program = wanted->is_first;
    wanted->is_first = false;
    if (is_program || is_own(module, wanted))
        return 0;
    for (size_t i = 0; i < module->dlpi_phnum; i++) {
        if (module->dlpi_phdr[i].p_type != PT_LOAD || (module->dlpi_phdr[i].p_flags & PF_X) == 0)
            continue;
        if (wanted->count < wanted->capacity)
            wanted->codes[wanted->count] = segment_of(module, i);
        wanted->count++;
    }
    return 0;
}

static int compare_codes(const void *left, const void *right)
{
    const tina__code *a = left, *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

tina__code *tina__trap_foreign_code(const void *const *own, size_t own_count, size_t *count)
{
    *count = 0;
    modules wanted = {.own = own, .own_count = own_count, .is_first = true};
    dl_iterate_phdr(add_module, &wanted);
    if (wanted.count == 0)
        return NULL;
    wanted.capacity = wanted.count;
    wanted.codes = malloc(wanted.capacity * sizeof wanted.codes[0]);
    if (wanted.codes == NULL)
        return NULL;
    wanted.count = 0;
    wanted.is_first = true;
    dl_iterate_phdr(add_module, &wanted);
    /* Another thread may have loaded or unloaded some since they were counted. */
    *count = wanted.count < wanted.capacity ? wanted.count : wanted.capacity;
    qsort(wanted.codes, *count, sizeof wanted.codes[0], compare_codes);
    return wanted.codes;
}

/* ---- Words ---- */

static size_t length_written(int length, size_t size)
{
    size_t wanted = length < 0 ? 0 : (size_t)length;
    return wanted < size ? wanted : size - 1;
}

size_t tina__trap_describe(uintptr_t pc, char *text, size_t size)
{
    tina__assert(size > 0);
    Dl_info found;
    if (dladdr((void *)pc, &found) == 0 || found.dli_fname == NULL)
        return length_written(snprintf(text, size, "0x%zx", (size_t)pc), size);
    const char *slash = strrchr(found.dli_fname, '/');
    const char *module = slash != NULL ? slash + 1 : found.dli_fname;
    size_t offset = pc - (uintptr_t)found.dli_fbase;
    if (found.dli_sname == NULL)
        return length_written(snprintf(text, size, "%s+0x%zx", module, offset), size);
    size_t into = pc - (uintptr_t)found.dli_saddr;
    return length_written(snprintf(text, size, "%s+0x%zx (%s+0x%zx)", found.dli_sname, into, module, offset), size);
}

const char *tina__trap_signal_name(int32_t signal, char *text, size_t size)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"},
                 {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"}, {SIGURG, "SIGURG"}, {SIGSYS, "SIGSYS"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].number == signal)
            return names[i].name;
    }
    snprintf(text, size, "signal %d", (int)signal);
    return text;
}
