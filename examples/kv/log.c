#include "log.h"

#include <string.h>

/*
 * A record's head, in little-endian order:
 *
 *   0  4  checksum of all that follows
 *   4  4  size of the value
 *   8  2  size of the key
 *  10  1  kind
 *  11  1  version of the format: 1
 *  12  4  checksum of the head from byte 4 to 12, so that its sizes can be believed
 *  16  8  when it expires
 *  24  8  bytes of the file that were on the disk when the record was made
 *  32     key, value
 */
enum { FORMAT_VERSION = 1 };

static void put_number(uint8_t *out, uint64_t number, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_number(const uint8_t *data, uint32_t size)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < size; i++)
        number |= (uint64_t)data[i] << (8 * i);
    return number;
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
    static const hash_key key = {0x6c6f672066696c65u, 0x636865636b73756du};
    return (uint32_t)hash_bytes(key, data, size);
}

uint32_t log_put(uint8_t *out, const log_record *record)
{
    uint32_t size = log_size_of(record->key_size, record->value_size);
    memset(out, 0, LOG_HEAD_SIZE);
    put_number(out + 4, record->value_size, 4);
    put_number(out + 8, record->key_size, 2);
    out[10] = record->kind;
    out[11] = FORMAT_VERSION;
    put_number(out + 12, checksum(out + 4, 8), 4);
    put_number(out + 16, record->expires_ms, 8);
    put_number(out + 24, record->synced, 8);
    if (record->key_size != 0)
        memcpy(out + LOG_HEAD_SIZE, record->key, record->key_size);
    if (record->value_size != 0)
        memcpy(out + LOG_HEAD_SIZE + record->key_size, record->value, record->value_size);
    put_number(out, checksum(out + 4, size - 4), 4);
    return size;
}

static bool is_head_right(const uint8_t *data)
{
    return get_number(data + 12, 4) == checksum(data + 4, 8) && data[11] == FORMAT_VERSION && data[10] >= LOG_BEGIN &&
           data[10] <= LOG_KIND_MAX && get_number(data + 4, 4) <= STORE_VALUE_MAX &&
           get_number(data + 8, 2) <= STORE_KEY_MAX;
}

log_status log_get(const uint8_t *data, size_t size, log_record *record, uint32_t *needed)
{
    *needed = LOG_HEAD_SIZE;
    if (size < LOG_HEAD_SIZE)
        return LOG_PART;
    if (!is_head_right(data))
        return LOG_BAD;
    record->value_size = (uint32_t)get_number(data + 4, 4);
    record->key_size = (uint32_t)get_number(data + 8, 2);
    *needed = log_size_of(record->key_size, record->value_size);
    if (size < *needed)
        return LOG_PART;
    if (get_number(data, 4) != checksum(data + 4, *needed - 4))
        return LOG_BAD;
    record->kind = data[10];
    record->expires_ms = get_number(data + 16, 8);
    record->synced = get_number(data + 24, 8);
    record->key = data + LOG_HEAD_SIZE;
    record->value = record->key + record->key_size;
    return LOG_WHOLE;
}
