/*
 * RESP2, the protocol: arrays of bulk strings in, replies out. Pure: bytes and numbers,
 * no socket and no isolate, so that a test or a fuzzer can feed it with anything.
 */
#ifndef KV_RESP_H
#define KV_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RESP_ARGS_MAX = 32,           /* of a command that are looked at */
    RESP_COUNT_MAX = 1024 * 1024, /* of a command: more is a protocol error */
    RESP_BULK_MAX = 512 * 1024,   /* bytes of an argument: more is a protocol error */
    RESP_LINE_MAX = 32,           /* of a line that says how many or how long: more is a protocol error */
    RESP_INLINE_MAX = 1024,       /* bytes of a command that is a line of words */
    RESP_INLINE_ROOM = 4096,      /* bytes that such a line takes at most as an array */
    RESP_INTEGER_MAX = 24,        /* bytes of a number in a reply, with its mark and line end */
};

typedef struct resp_text {
    const uint8_t *data;
    uint32_t size;
} resp_text;

typedef enum resp_status {
    RESP_WHOLE,
    RESP_PART, /* what is there is right so far */
    RESP_BAD,  /* it never will be: error says why */
} resp_status;

/* A line such as *3 or $12. used counts its bytes with the line end. */
typedef struct resp_line {
    int64_t number;
    uint32_t used;
    const char *error; /* in the words that follow "Protocol error: " */
} resp_line;

/* The line of an array, which begins with a *; a number of 0 or less is an array of nothing. */
resp_status resp_read_count(const uint8_t *data, size_t size, resp_line *line);

/* The line of an argument. Where it does not begin with a $, the error is NULL: the caller names what is there. */
resp_status resp_read_length(const uint8_t *data, size_t size, resp_line *line);

/* Up to RESP_ARGS_MAX arguments from data on, of those that are expected. */
typedef struct resp_args {
    resp_text argv[RESP_ARGS_MAX];
    uint32_t count;     /* those that are whole, in argv */
    uint32_t used;      /* their bytes */
    uint32_t next_size; /* the one behind, which is not: its bytes, and those of its line; 0: that is not there yet */
    uint32_t next_line;
    resp_line bad;      /* of RESP_BAD */
    uint8_t unexpected; /* in place of a $, where bad has no error */
} resp_args;

resp_status resp_read_args(const uint8_t *data, size_t size, uint32_t expected, resp_args *args);

/*
 * A line of words as an array, as telnet and such speak. In words "\n" and its like and
 * quotes mean what they mean to Redis. out has RESP_INLINE_ROOM bytes; *used: of the line,
 * *written: to out, 0 for an empty line.
 */
resp_status resp_read_inline(const uint8_t *data, size_t size, uint8_t *out, uint32_t *used, uint32_t *written,
                             const char **error);

/* Whether it is a number as Redis takes one: no blanks, no plus, no zeros in front, 64 bits. */
bool resp_to_integer(resp_text text, int64_t *number);

/* Written to out; returns how many bytes. At most RESP_INTEGER_MAX. */
uint32_t resp_put_number(uint8_t *out, int64_t number);             /* the digits alone */
uint32_t resp_put_line(uint8_t *out, uint8_t mark, int64_t number); /* as :12, $12 or *12, with the line end */

/* Whether text is word, whatever its case; word is in small letters. */
bool resp_is_word(resp_text text, const char *word);

#endif
