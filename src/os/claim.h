/*
 * A file that one process at a time writes, and others read: it is locked for as
 * long as it is claimed, so that a reader knows whether anybody still writes it.
 * The owner alone; no state apart from the claim.
 *
 * It is written with pwrite, never mapped: if somebody truncates it, the owner is not harmed.
 */
#ifndef TINA__OS_CLAIM_H
#define TINA__OS_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tina/status.h>

#define TINA__CLAIM_MAGIC_SIZE 8

typedef struct tina__claim {
    int fd; /* -1: none */
    uint64_t device, inode;
} tina__claim;

/*
 * Makes the file, of size bytes, or takes over one that begins with the magic and
 * that nobody has claimed, or that is empty. TINA_OK; otherwise *why says why not,
 * in words that follow the path: TINA_INVALID: there is something else, TINA_DENIED,
 * TINA_DISK_FULL, TINA_NOT_FOUND, TINA_SYSTEM_ERROR.
 */
tina_status tina__claim_open(tina__claim *claim, const char *path, const char *magic, size_t size, const char **why,
                             int *os_error);

/* All of the bytes. False: not all were taken. */
bool tina__claim_write(const tina__claim *claim, const void *bytes, size_t size, size_t offset, int *os_error);

/* Removes the file, if it is still at its path. One that is not open is none. */
void tina__claim_close(tina__claim *claim, const char *path);

#endif
