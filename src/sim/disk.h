/*
 * The made disk: the files of a simulated host, shared by all its shards.
 *
 * Where nothing else is said it is as on Linux, errnos included, with these limits:
 *
 *   Every directory exists; none can be renamed or removed. A path is a name as it is
 *   given, but for "." and doubled slashes, which are left out; ".." is a name like
 *   any other. What is named by a path with a slash or a dot at its end, or lies above
 *   a file, is a directory, unless it is a file, or lies below one. It opens for
 *   reading, and can be synced; what lies in it can't be read.
 *   A file has one name, of at most 255 bytes, and at most 1 TiB; parts that were
 *   never written take no room. One write takes at most 256 KiB.
 *   Names are durable at once: what was created, renamed or unlinked stays so.
 *   A truncation is, too, and with it all that was written to the file before.
 *
 * What was written to a file since its last sync is unsynced, and known to be so:
 * a crash (tina__disk_crash) decides for each write that was made through the
 * crashed shard whether it is on the disk, whole, in part, or not at all. The room
 * to remember is bounded: where it is used up, the oldest become durable, as a real
 * disk writes back when it likes.
 *
 * Faults, by the rates of the moment: disk_lost_write, disk_torn_write: what a crash
 * does to a write. A torn one ends at a multiple of 512 bytes; one that crosses none
 * can't be. disk_bit_rot: a read finds one bit changed, for good. disk_error strikes
 * where the disk is asked for it (tina__disk_strike).
 *
 * What is copied from or to a caller's memory, which may fault, is copied while
 * nothing is half done. One thread. Asks for memory when it is made, and never again.
 */
#ifndef TINA__SIM_DISK_H
#define TINA__SIM_DISK_H

#include "sim/faults.h"

#include <stddef.h>
#include <tina/io.h>

#define TINA__DISK_BLOCK_SIZE  4096u
#define TINA__DISK_SECTOR_SIZE 512u
#define TINA__DISK_FILE_MAX    (1ull << 40)
#define TINA__DISK_PATH_MAX    256u /* with its final zero */
#define TINA__DISK_WRITE_MAX   (256u * 1024)

typedef struct tina__disk tina__disk;

typedef struct tina__disk_config {
    uint64_t seed;
    uint32_t shard_count;
    /* 0: a default. */
    uint32_t block_count;   /* 16,384: 64 MiB */
    uint32_t file_count;    /* 1,024: named, or open */
    uint32_t record_count;  /* 4,096: unsynced writes that are known as such */
    uint32_t unsynced_size; /* 4 MiB: their bytes; not below the most that one write takes */
    tina__faults *faults;   /* outlives the disk */
} tina__disk_config;

/* NULL: no memory. */
tina__disk *tina__disk_make(const tina__disk_config *config);
void tina__disk_destroy(tina__disk *disk); /* NULL: does nothing */

/* ---- Files ---- */

/* One opening of a file. */
typedef struct tina__disk_file {
    uint32_t node;
    uint32_t flags; /* TINA_OPEN_... */
} tina__disk_file;

/*
 * Each: 0, or an errno; then nothing has happened. shard: through which it is done.
 *
 * Open: ENOENT, EEXIST, EISDIR, ENOTDIR, ENAMETOOLONG, ENXIO (a socket), ENOSPC or,
 * for a directory, ENFILE (no more files). Read: EBADF, EISDIR; *done 0: the file's
 * end. Write: EBADF, EFBIG, ENOSPC; *done may be less than size. Truncate: EINVAL (not
 * open for writing), EFBIG.
 */
int tina__disk_open(tina__disk *disk, const char *path, uint32_t flags, tina__disk_file *file);
void tina__disk_close(tina__disk *disk, tina__disk_file file);
int tina__disk_read(tina__disk *disk, uint32_t shard, tina__disk_file file, uint64_t offset, void *into, uint32_t size,
                    uint32_t *done);
int tina__disk_write(tina__disk *disk, uint32_t shard, tina__disk_file file, uint64_t offset, const void *data,
                     uint32_t size, uint32_t *done);
void tina__disk_sync(tina__disk *disk, tina__disk_file file);
int tina__disk_truncate(tina__disk *disk, tina__disk_file file, uint64_t size);
uint64_t tina__disk_size(const tina__disk *disk, tina__disk_file file);
bool tina__disk_is_directory(const tina__disk *disk, tina__disk_file file);
/* ENOENT, EISDIR, ENOTDIR, ENAMETOOLONG. */
int tina__disk_rename(tina__disk *disk, const char *from, const char *to);
int tina__disk_unlink(tina__disk *disk, const char *path);

/* ---- Unix sockets' names ---- */

/*
 * socket: the number that find tells. EADDRINUSE: there is something of that name;
 * ENOTDIR, ENAMETOOLONG, ENOSPC. *node is the binder's until it says that the socket
 * is gone; the name outlives it, until it is unlinked. find: ENOENT, ECONNREFUSED
 * (no socket, or one that is gone), ENOTDIR, ENAMETOOLONG.
 */
int tina__disk_socket_bind(tina__disk *disk, const char *path, uint32_t socket, uint32_t *node);
int tina__disk_socket_find(const tina__disk *disk, const char *path, uint32_t *socket);
void tina__disk_socket_gone(tina__disk *disk, uint32_t node);

/* ---- Faults ---- */

/* By a draw of disk_error: 0, EIO, or where the operation may ask for room, ENOSPC. Counted. */
int tina__disk_strike(tina__disk *disk, uint32_t shard, bool may_be_full);

/* The machine, as that shard sees it, has crashed. */
void tina__disk_crash(tina__disk *disk, uint32_t shard);

/* ---- For checkers ---- */

typedef struct tina__disk_ledger {
    uint32_t files;    /* named, or open; sockets' names among them, and one for all directories that are open */
    uint32_t opens;    /* openings of files and directories */
    uint32_t blocks;   /* in use */
    uint32_t unsynced; /* writes that a crash may undo, or that lie behind such */
} tina__disk_ledger;
void tina__disk_read_ledger(const tina__disk *disk, tina__disk_ledger *ledger);

/* NULL, or which truth about the disk does not hold. O(n). */
const char *tina__disk_broken(const tina__disk *disk);

#endif
