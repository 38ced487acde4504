/*
 * What the control groups of a Linux process, v1 and v2, leave to it: the
 * tightest over its own group and every ancestor that it can see. Read from the
 * kernel's text files, while booting. root is a folder that stands for "/": "" is
 * the real one, tests bring their own.
 */
#ifndef TINA__OS_CGROUP_H
#define TINA__OS_CGROUP_H

#include <stddef.h>
#include <stdint.h>

/* Bytes up to the limit. What the kernel would give back at once (the page cache not in use) is not counted as taken. */
uint64_t tina__cgroup_memory_left(const char *root); /* UINT64_MAX: no limit */

size_t tina__cgroup_cpu_quota(const char *root); /* whole cores, rounded up; 0: no limit */

/* The machine's MemAvailable, in bytes; UINT64_MAX: it does not say. */
uint64_t tina__meminfo_available(const char *root);

#endif
