/*
 * A partition's answers, in the order in which they were made. Those that can go do so at
 * once; others wait, for the disk or for room on their way. Those lie on the shelf, since
 * transfers are few, and needed by what comes next; in their transfers only where the shelf
 * is full.
 */
#ifndef KV_OUTBOX_H
#define KV_OUTBOX_H

#include "server.h"
#include "shelf.h"

enum {
    OUTBOX_MAX = 16384,              /* answers that wait */
    OUTBOX_SHELF_SIZE = 1024 * 1024, /* bytes */
};

typedef struct parcel {
    tina_handle to;
    uint64_t after; /* so much of the log is safe */
    tina_transfer transfer;
    const void *data; /* of the transfer, or on the shelf */
    uint32_t size;    /* 0: there is no reply, but the word that it has to be asked again */
    uint32_t round;
    bool is_shelved;
} parcel;

typedef struct kv_outbox {
    uint32_t first, count;
    kv_shelf shelf; /* of bytes */
    parcel parcels[OUTBOX_MAX];
    uint8_t bytes[OUTBOX_SHELF_SIZE];
} kv_outbox;

void outbox_begin(kv_outbox *me);

/* Sends what the log that is safe allows. False: there is no room for some of it now. */
bool outbox_empty(kv_outbox *me, uint64_t safe, tina_ctx *ctx);

/* At once, where nothing waits. Where there is no place to wait, it is gone. False: it waits, and not for the disk. */
bool outbox_post(kv_outbox *me, const parcel *sent, uint64_t safe, tina_ctx *ctx);

/* Whether an answer to that one waits. */
bool outbox_has(const kv_outbox *me, tina_handle to);

#endif
