#include "info.h"

#include <stdio.h>

void info_add(kv_info *info, const kv_partition_info *part)
{
    kv_partition_info *total = &info->total;
    info->partition_count++;
    total->keys += part->keys;
    total->expiring += part->expiring;
    total->expired += part->expired;
    total->hits += part->hits;
    total->misses += part->misses;
    total->steps += part->steps;
    total->clients += part->clients;
    total->memory_used += part->memory_used;
    total->memory_size += part->memory_size;
    total->live_bytes += part->live_bytes;
    total->loading += part->loading;
    total->log_size += part->log_size;
    total->log_synced += part->log_synced;
    total->rewrites += part->rewrites;
    total->log_failures += part->log_failures;
}

#define NUMBER(value) (unsigned long long)(value)

size_t info_write(const kv_info *info, const kv_server *server, uint64_t now_ns, char *text)
{
    static const char *const policies[] = {"always", "everysec", "no"};
    const kv_partition_info *total = &info->total;
    char body[INFO_TEXT_MAX - 32];
    int size =
        snprintf(body, sizeof body,
                 "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\nserver_name:tina-kv\r\ntcp_port:%u\r\n"
                 "uptime_in_seconds:%llu\r\npartitions:%u\r\n\r\n"
                 "# Clients\r\nconnected_clients:%llu\r\nmaxclients:%llu\r\n\r\n"
                 "# Memory\r\nused_memory:%llu\r\nused_memory_dataset:%llu\r\nmaxmemory:%llu\r\n"
                 "maxmemory_policy:noeviction\r\n\r\n"
                 "# Persistence\r\nloading:%d\r\naof_enabled:%d\r\nappendfsync:%s\r\naof_current_size:%llu\r\n"
                 "aof_synced_size:%llu\r\naof_rewrites:%llu\r\naof_failures:%llu\r\n\r\n"
                 "# Stats\r\ntotal_commands_processed:%llu\r\nkeyspace_hits:%llu\r\nkeyspace_misses:%llu\r\n"
                 "expired_keys:%llu\r\n\r\n"
                 "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n"
                 "# Keyspace\r\n",
                 server->port, NUMBER((now_ns - server->started_ns) / 1000000000u), info->partition_count,
                 NUMBER(total->clients), NUMBER((uint64_t)server->connections * server->partition_count),
                 NUMBER(total->memory_used), NUMBER(total->live_bytes), NUMBER(total->memory_size), total->loading != 0,
                 server->dir != NULL, server->dir != NULL ? policies[server->sync] : "no", NUMBER(total->log_size),
                 NUMBER(total->log_synced), NUMBER(total->rewrites), NUMBER(total->log_failures), NUMBER(total->steps),
                 NUMBER(total->hits), NUMBER(total->misses), NUMBER(total->expired));
    if (total->keys != 0)
        size += snprintf(body + size, sizeof body - (size_t)size, "db0:keys=%llu,expires=%llu,avg_ttl=0\r\n",
                         NUMBER(total->keys), NUMBER(total->expiring));
    return (size_t)snprintf(text, INFO_TEXT_MAX, "$%d\r\n%s\r\n", size, body);
}
