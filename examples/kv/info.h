/* What INFO says: the partitions' counters, added up and put into words. */
#ifndef KV_INFO_H
#define KV_INFO_H

#include "batch.h"
#include "server.h"

enum { INFO_TEXT_MAX = 2048 };

typedef struct kv_info {
    kv_partition_info total;
    uint32_t partition_count;
} kv_info;

void info_add(kv_info *info, const kv_partition_info *part);

/* The reply, as a bulk string of at most INFO_TEXT_MAX bytes with its line. Returns its size. */
size_t info_write(const kv_info *info, const kv_server *server, uint64_t now_ns, char *text);

#endif
