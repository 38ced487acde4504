#include "call.h"

#include <stdio.h>

enum { SKIPPED_TOO_LARGE, SKIPPED_TOO_MANY, SKIPPED_LOADING };

static const char is_loading[] = "LOADING Redis is loading the dataset in memory";

typedef struct kv_command {
    char name[10];
    int8_t arity; /* with the name; less than 0: at least so many */
    void (*run)(const kv_call *call);
    uint8_t goes_on; /* instead: what goes on, for each key */
    uint8_t kind;    /* of a step */
    bool is_seconds, is_absolute;
    const char *flags; /* what COMMAND tells of it: words, and the first key, the last, and the step between them */
    int8_t keys[3];
} kv_command;

/* As Redis does: an error, and the end. */
static void end_with(const kv_call *call, const char *what)
{
    CALL_SAY_ERROR(call, "ERR %s", what);
    call->plan->command = GO_END;
}

static void say_protocol_error(const kv_call *call, const resp_line *line, uint8_t unexpected)
{
    char what[80];
    if (line->error != NULL)
        snprintf(what, sizeof what, "Protocol error: %s", line->error);
    else
        snprintf(what, sizeof what, "Protocol error: expected '$', got '%c'", unexpected == 0 ? ' ' : unexpected);
    end_with(call, what);
}

/* ---- Steps --------------------------------------------------------------------------- */

uint8_t command_partition_of(const void *key, size_t size, uint8_t partition_count)
{
    static const hash_key always = {0x6b65797370616365u, 0x706172746974696fu};
    return partition_count < 2 ? 0 : (uint8_t)(((hash_bytes(always, key, size) >> 32) * partition_count) >> 32);
}

/* False: the key is too long, and that is said. */
static bool ask(const kv_call *call, uint8_t kind, resp_text key)
{
    kv_next *next = call->next;
    if (key.size > STORE_KEY_MAX) {
        call_say_error(call, "ERR key is too long");
        return false;
    }
    next->kind = NEXT_STEP;
    next->partition = command_partition_of(key.data, key.size, call->client->partition_count);
    next->step = (kv_step){.kind = kind, .key_size = (uint16_t)key.size};
    next->key = next->value = key.data;
    return true;
}

static const kv_command *command_of(resp_text name);

static void run_key(const kv_call *call)
{
    const kv_command *command = command_of(call->args->argv[0]);
    ask(call, command->kind, call->args->argv[1]);
}

/* ---- SET ------------------------------------------------------------------------------ */

/* A time as it is said to a partition, in milliseconds. False: it is too far. */
static bool to_milliseconds(int64_t *time, bool is_seconds)
{
    const int64_t most = INT64_MAX - (INT64_C(1) << 44); /* to which the time of day can be added */
    if (is_seconds && (*time > INT64_MAX / 1000 || *time < INT64_MIN / 1000))
        return false;
    *time *= is_seconds ? 1000 : 1;
    return *time <= most;
}

/* What the options of a SET say. The expiry is looked at when all of them are read. */
typedef struct set_options {
    uint8_t flags;
    int64_t number;
    resp_text unit, time; /* unit of size 0: there is none */
} set_options;

static bool take_expiry(const kv_call *call, set_options *options)
{
    if (options->unit.size == 0)
        return true;
    if (!resp_to_integer(options->time, &options->number)) {
        call_say_error(call, call_out_of_range);
        return false;
    }
    bool is_seconds = options->unit.data[0] != 'p' && options->unit.data[0] != 'P';
    if (options->number <= 0 || !to_milliseconds(&options->number, is_seconds)) {
        call_say_error(call, "ERR invalid expire time in 'set' command");
        return false;
    }
    options->flags |= (uint8_t)(STEP_EXPIRES | (options->unit.size == 4 ? STEP_ABSOLUTE : 0));
    return true;
}

static const char *const units[] = {"ex", "px", "exat", "pxat"};

/* Twice the same is allowed, and the last one counts. */
static bool is_expiry(resp_text option, resp_text before)
{
    for (uint32_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (resp_is_word(option, units[i]))
            return before.size == 0 || resp_is_word(before, units[i]);
    }
    return false;
}

static uint8_t set_flag(resp_text option)
{
    return resp_is_word(option, "nx")        ? STEP_NX
           : resp_is_word(option, "xx")      ? STEP_XX
           : resp_is_word(option, "get")     ? STEP_OLD
           : resp_is_word(option, "keepttl") ? STEP_KEEP
                                             : 0;
}

static bool excludes(const set_options *options, uint8_t flag)
{
    return (flag == STEP_NX && (options->flags & STEP_XX)) || (flag == STEP_XX && (options->flags & STEP_NX)) ||
           (flag == STEP_KEEP && options->unit.size != 0);
}

/* False: it can't be so, and that is said. */
static bool take_set_options(const kv_call *call, set_options *options, uint32_t from)
{
    const resp_args *args = call->args;
    for (uint32_t i = from; i < args->count; i++) {
        resp_text option = args->argv[i];
        uint8_t flag = set_flag(option);
        bool expires = is_expiry(option, options->unit) && i + 1 < args->count && !(options->flags & STEP_KEEP);
        if (excludes(options, flag) || (flag == 0 && !expires)) {
            call_say_error(call, call_syntax_error);
            return false;
        }
        options->flags |= flag;
        if (expires) {
            options->unit = option;
            options->time = args->argv[++i];
        }
    }
    return take_expiry(call, options);
}

static void run_set(const kv_call *call)
{
    const resp_args *args = call->args;
    set_options options = {0};
    if (!take_set_options(call, &options, 3) || !ask(call, STEP_SET, args->argv[1]))
        return;
    call->next->step.flags = options.flags;
    call->next->step.number = options.number;
    call->next->step.value_size = args->argv[2].size;
    call->next->value = args->argv[2].data;
}

/* ---- Others of one key ----------------------------------------------------------------- */

static void run_add(const kv_call *call)
{
    const resp_args *args = call->args;
    uint8_t letter = args->argv[0].data[0] | 0x20; /* incr or decr */
    int64_t number = 1;
    if (args->count > 2 && !resp_to_integer(args->argv[2], &number)) {
        call_say_error(call, call_out_of_range);
        return;
    }
    if (letter == 'd' && number == INT64_MIN) {
        call_say_error(call, "ERR decrement would overflow");
        return;
    }
    if (ask(call, STEP_ADD, args->argv[1]))
        call->next->step.number = letter == 'd' ? -number : number;
}

/* Those of EXPIRE are those of SET, under other names. */
static bool take_expire_options(const kv_call *call, uint8_t *flags)
{
    const resp_args *args = call->args;
    *flags = 0;
    for (uint32_t i = 3; i < args->count; i++) {
        resp_text option = args->argv[i];
        uint8_t flag = resp_is_word(option, "nx")   ? STEP_NX
                       : resp_is_word(option, "xx") ? STEP_XX
                       : resp_is_word(option, "gt") ? STEP_OLD
                       : resp_is_word(option, "lt") ? STEP_KEEP
                                                    : 0;
        if (flag == 0) {
            CALL_SAY_ERROR(call, "ERR Unsupported option %.*s", (int)(option.size < 128 ? option.size : 128),
                           (const char *)option.data);
            return false;
        }
        *flags |= flag;
    }
    if ((*flags & STEP_NX) && *flags != STEP_NX)
        call_say_error(call, "ERR NX and XX, GT or LT options at the same time are not compatible");
    else if ((*flags & STEP_OLD) && (*flags & STEP_KEEP))
        call_say_error(call, "ERR GT and LT options at the same time are not compatible");
    else
        return true;
    return false;
}

static void run_expire(const kv_call *call)
{
    const resp_args *args = call->args;
    const kv_command *command = command_of(args->argv[0]);
    int64_t time;
    uint8_t flags;
    if (!take_expire_options(call, &flags))
        return;
    if (!resp_to_integer(args->argv[2], &time)) {
        call_say_error(call, call_out_of_range);
        return;
    }
    if (!to_milliseconds(&time, command->is_seconds)) {
        CALL_SAY_ERROR(call, "ERR invalid expire time in '%s' command", command->name);
        return;
    }
    if (!ask(call, STEP_EXPIRE, args->argv[1]))
        return;
    call->next->step.number = time;
    call->next->step.flags = (uint8_t)(flags | (command->is_absolute ? STEP_ABSOLUTE : 0));
}

static void run_command(const kv_call *call);

/* Each partition is asked, but not while one of them has nothing to say; INFO says that. */
static void ask_all(const kv_call *call, uint8_t goes_on)
{
    if (call->client->is_loading && goes_on != GO_INFO) {
        call_say_error(call, is_loading);
        return;
    }
    call->plan->command = goes_on;
    call->plan->left = call->client->partition_count;
    call->next->kind = NEXT_NOTHING;
}

/* Both forms are the same here. */
static void run_clear(const kv_call *call)
{
    const resp_args *args = call->args;
    if (args->count > 2 ||
        (args->count == 2 && !resp_is_word(args->argv[1], "sync") && !resp_is_word(args->argv[1], "async"))) {
        call_say_error(call, call_syntax_error);
        return;
    }
    ask_all(call, GO_CLEAR);
}

static void run_whole(const kv_call *call) { ask_all(call, command_of(call->args->argv[0])->goes_on); }

/* ---- The list ----------------------------------------------------------------------------- */

/* The busiest first. */
static const kv_command commands[] = {
    {.name = "get", .arity = 2, .run = run_key, .kind = STEP_GET, .flags = "readonly fast", .keys = {1, 1, 1}},
    {.name = "set", .arity = -3, .run = run_set, .flags = "write denyoom", .keys = {1, 1, 1}},
    {.name = "ping", .arity = -1, .run = session_ping, .flags = "fast"},
    {.name = "incr", .arity = 2, .run = run_add, .flags = "write denyoom fast", .keys = {1, 1, 1}},
    {.name = "del", .arity = -2, .goes_on = GO_DELETE, .flags = "write", .keys = {1, -1, 1}},
    {.name = "exists", .arity = -2, .goes_on = GO_EXISTS, .flags = "readonly fast", .keys = {1, -1, 1}},
    {.name = "mget", .arity = -2, .goes_on = GO_GET, .flags = "readonly fast", .keys = {1, -1, 1}},
    {.name = "mset", .arity = -3, .goes_on = GO_SET, .flags = "write denyoom", .keys = {1, -1, 2}},
    {.name = "expire", .arity = -3, .run = run_expire, .is_seconds = true, .flags = "write fast", .keys = {1, 1, 1}},
    {.name = "ttl", .arity = 2, .run = run_key, .kind = STEP_TTL, .flags = "readonly fast", .keys = {1, 1, 1}},
    {.name = "pttl", .arity = 2, .run = run_key, .kind = STEP_PTTL, .flags = "readonly fast", .keys = {1, 1, 1}},
    {.name = "incrby", .arity = 3, .run = run_add, .flags = "write denyoom fast", .keys = {1, 1, 1}},
    {.name = "decr", .arity = 2, .run = run_add, .flags = "write denyoom fast", .keys = {1, 1, 1}},
    {.name = "decrby", .arity = 3, .run = run_add, .flags = "write denyoom fast", .keys = {1, 1, 1}},
    {.name = "unlink", .arity = -2, .goes_on = GO_DELETE, .flags = "write fast", .keys = {1, -1, 1}},
    {.name = "pexpire", .arity = -3, .run = run_expire, .flags = "write fast", .keys = {1, 1, 1}},
    {.name = "expireat",
     .arity = -3,
     .run = run_expire,
     .is_seconds = true,
     .is_absolute = true,
     .flags = "write fast",
     .keys = {1, 1, 1}},
    {.name = "persist", .arity = 2, .run = run_key, .kind = STEP_PERSIST, .flags = "write fast", .keys = {1, 1, 1}},
    {.name = "strlen", .arity = 2, .run = run_key, .kind = STEP_LENGTH, .flags = "readonly fast", .keys = {1, 1, 1}},
    {.name = "echo", .arity = 2, .run = session_echo, .flags = "loading stale fast"},
    {.name = "dbsize", .arity = 1, .run = run_whole, .goes_on = GO_COUNT, .flags = "readonly fast"},
    {.name = "flushall", .arity = -1, .run = run_clear, .flags = "write"},
    {.name = "flushdb", .arity = -1, .run = run_clear, .flags = "write"},
    {.name = "info", .arity = -1, .run = run_whole, .goes_on = GO_INFO, .flags = "loading stale"},
    {.name = "select", .arity = 2, .run = session_select, .flags = "loading stale fast"},
    {.name = "hello", .arity = -1, .run = session_hello, .flags = "noscript loading stale fast no_auth allow_busy"},
    {.name = "client", .arity = -2, .run = session_client, .flags = ""},
    {.name = "config", .arity = -2, .run = session_config, .flags = ""},
    {.name = "command", .arity = -1, .run = run_command, .flags = "loading stale"},
    {.name = "quit", .arity = -1, .run = session_quit, .flags = "noscript loading stale fast no_auth allow_busy"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const kv_command *command_of(resp_text name)
{
    for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
        if (resp_is_word(name, commands[i].name))
            return &commands[i];
    }
    return NULL;
}

static uint32_t put_flags(char *out, uint32_t room, const char *flags)
{
    uint32_t size = 0, count = *flags != '\0';
    for (const char *letter = flags; *letter != '\0'; letter++)
        count += *letter == ' ';
    size += (uint32_t)snprintf(out, room, "*%u\r\n", count);
    for (; *flags != '\0'; flags += strcspn(flags, " "), flags += *flags == ' ')
        size += (uint32_t)snprintf(out + size, room - size, "+%.*s\r\n", (int)strcspn(flags, " "), flags);
    return size;
}

/* Names, arities, flags and where the keys are. */
static void say_commands(const kv_call *call)
{
    char *text = call->text;
    uint32_t size = resp_put_line((uint8_t *)text, '*', COMMAND_COUNT);
    for (uint32_t i = 0; i < COMMAND_COUNT; i++) {
        const kv_command *command = &commands[i];
        size += (uint32_t)snprintf(text + size, COMMAND_TEXT_MAX - size, "*6\r\n$%zu\r\n%s\r\n:%d\r\n",
                                   strlen(command->name), command->name, command->arity);
        size += put_flags(text + size, COMMAND_TEXT_MAX - size, command->flags);
        size += (uint32_t)snprintf(text + size, COMMAND_TEXT_MAX - size, ":%d\r\n:%d\r\n:%d\r\n", command->keys[0],
                                   command->keys[1], command->keys[2]);
    }
    call_say_bytes(call, text, size);
}

/* What clients ask when they begin. */
static void run_command(const kv_call *call)
{
    const resp_args *args = call->args;
    bool wants_count = args->count > 1 && resp_is_word(args->argv[1], "count");
    bool wants_list = args->count > 1 && (resp_is_word(args->argv[1], "docs") || resp_is_word(args->argv[1], "info") ||
                                          resp_is_word(args->argv[1], "list"));
    if (wants_count)
        call_say_bytes(call, call->text, resp_put_line((uint8_t *)call->text, ':', COMMAND_COUNT));
    else if (args->count == 1)
        say_commands(call);
    else if (wants_list)
        call_say(call, "*0\r\n");
    else
        call_wrong_subcommand(call, "COMMAND");
}

static void say_unknown(const kv_call *call)
{
    const resp_args *args = call->args;
    char rest[200];
    uint32_t size = 0;
    for (uint32_t i = 1; i < args->count && size < 128; i++) {
        uint32_t most = 128 - size;
        int used = snprintf(rest + size, sizeof rest - size, "'%.*s' ",
                            (int)(args->argv[i].size < most ? args->argv[i].size : most), (const char *)args->argv[i].data);
        size += (uint32_t)used;
    }
    rest[size] = '\0';
    CALL_SAY_ERROR(call, "ERR unknown command '%.*s', with args beginning with: %s",
                   (int)(args->argv[0].size < 128 ? args->argv[0].size : 128), (const char *)args->argv[0].data, rest);
}

/* ---- Several keys, one after the other ------------------------------------------------------- */

/* Reads count arguments, which have to be there as a whole. False: more input is needed, or that can't be. */
static bool read_some(const kv_call *call, const uint8_t *input, uint32_t size, uint32_t count, resp_args *args)
{
    kv_plan *plan = call->plan;
    resp_status status = resp_read_args(input + plan->used, size - plan->used, count, args);
    if (status == RESP_BAD)
        say_protocol_error(call, &args->bad, args->unexpected);
    else if (status == RESP_PART && args->used + args->next_line + args->next_size + 2 > COMMAND_INPUT_MAX)
        end_with(call, "an argument is too long");
    else if (status == RESP_PART)
        call->next->kind = NEXT_MORE;
    return status == RESP_WHOLE;
}

/* The next is one of several; the last says the sum. */
static void count_down(const kv_call *call, uint8_t goes_on)
{
    kv_plan *plan = call->plan;
    plan->left--;
    plan->command = plan->left == 0 ? GO_NONE : goes_on;
    if (goes_on == GO_GET) /* whose keys are answered one by one */
        call->next->step.flags |= STEP_WITHIN;
    else
        call->next->step.flags |= (uint8_t)(STEP_ADDS | (plan->left == 0 ? STEP_LAST : 0));
}

static void next_key(const kv_call *call, const uint8_t *input, uint32_t size)
{
    static const uint8_t kinds[] = {[GO_GET] = STEP_GET, [GO_DELETE] = STEP_DELETE, [GO_EXISTS] = STEP_EXISTS};
    resp_args args;
    uint8_t goes_on = call->plan->command;
    if (!read_some(call, input, size, 1, &args))
        return;
    if (!ask(call, kinds[goes_on], args.argv[0])) {
        call->plan->command = GO_END;
        return;
    }
    call->plan->used += (uint16_t)args.used;
    count_down(call, goes_on);
}

/* The value of a pair or a SET that is not to go with its step. used: up to its first byte. */
static void begin_large(const kv_call *call, resp_text key, uint32_t value_size, uint32_t used, uint8_t tail)
{
    kv_plan *plan = call->plan;
    if (!ask(call, STEP_SET_SENT, key)) {
        plan->command = GO_END;
        return;
    }
    plan->used += (uint16_t)used;
    plan->command = tail;
    call->next->kind = NEXT_LARGE;
    call->next->step.value_size = value_size;
}

static void next_pair(const kv_call *call, const uint8_t *input, uint32_t size)
{
    kv_plan *plan = call->plan;
    resp_args args;
    resp_status status = resp_read_args(input + plan->used, size - plan->used, 2, &args);
    bool is_large = args.count == 1 && args.next_size > COMMAND_VALUE_MAX;
    if (is_large) {
        begin_large(call, args.argv[0], args.next_size, args.used + args.next_line, GO_PAIR_TAIL);
        return;
    }
    if (status != RESP_WHOLE) {
        read_some(call, input, size, 2, &args);
        return;
    }
    if (args.argv[1].size > COMMAND_VALUE_MAX) {
        begin_large(call, args.argv[0], args.argv[1].size, (uint32_t)(args.argv[1].data - input) - plan->used, GO_PAIR_TAIL);
        return;
    }
    if (!ask(call, STEP_SET, args.argv[0])) {
        plan->command = GO_END;
        return;
    }
    plan->used += (uint16_t)args.used;
    call->next->step.value_size = args.argv[1].size;
    call->next->value = args.argv[1].data;
    count_down(call, GO_SET);
}

static void next_partition(const kv_call *call)
{
    static const uint8_t kinds[] = {[GO_COUNT] = STEP_COUNT, [GO_CLEAR] = STEP_CLEAR, [GO_INFO] = STEP_INFO};
    kv_plan *plan = call->plan;
    uint8_t goes_on = plan->command;
    call->next->kind = NEXT_STEP;
    call->next->is_alone = goes_on == GO_INFO;
    call->next->partition = (uint8_t)(call->client->partition_count - plan->left);
    call->next->step = (kv_step){.kind = kinds[goes_on]};
    call->next->key = call->next->value = (const uint8_t *)"";
    count_down(call, goes_on);
}

/* ---- Behind a large value ---------------------------------------------------------------------- */

static void after_set(const kv_call *call, const uint8_t *input, uint32_t size)
{
    kv_plan *plan = call->plan;
    resp_args args;
    set_options options = {0};
    if (plan->left > RESP_ARGS_MAX) {
        end_with(call, "syntax error");
        return;
    }
    if (!read_some(call, input, size, plan->left, &args))
        return;
    const kv_call with = {plan, call->client, &args, call->text, call->next};
    plan->used += (uint16_t)args.used;
    plan->command = GO_NONE;
    if (!take_set_options(&with, &options, 0))
        return;
    call->next->kind = NEXT_STEP;
    call->next->step = (kv_step){.kind = STEP_SET_SENT, .flags = options.flags, .number = options.number};
    call->next->key = call->next->value = (const uint8_t *)"";
}

static void after_pair(const kv_call *call)
{
    call->next->kind = NEXT_STEP;
    call->next->step = (kv_step){.kind = STEP_SET_SENT};
    call->next->key = call->next->value = (const uint8_t *)"";
    count_down(call, GO_SET);
}

/* ---- What is dropped ----------------------------------------------------------------------------- */

static void begin_skip(const kv_call *call, uint32_t used, uint32_t count, uint8_t error)
{
    kv_plan *plan = call->plan;
    plan->used += (uint16_t)used;
    plan->command = GO_SKIP;
    plan->left = count;
    plan->bytes = 0;
    plan->error = error;
    call->next->kind = NEXT_NOTHING;
}

static void end_skip(const kv_call *call)
{
    call->plan->command = GO_NONE;
    if (call->plan->error == SKIPPED_TOO_MANY)
        call_say_error(call, "ERR too many arguments");
    else if (call->plan->error == SKIPPED_LOADING)
        call_say_error(call, is_loading);
    else
        call_say_error(call, call_too_long);
}

/* A piece of it: what is there of an argument, or the line of the next. */
static void skip(const kv_call *call, const uint8_t *input, uint32_t size)
{
    kv_plan *plan = call->plan;
    uint32_t there = size - plan->used;
    resp_line line;
    call->next->kind = there == 0 ? NEXT_MORE : NEXT_NOTHING;
    if (plan->bytes != 0) {
        uint32_t gone = there < plan->bytes ? there : plan->bytes;
        plan->bytes -= gone;
        plan->used += (uint16_t)gone;
        return;
    }
    if (plan->left == 0) {
        end_skip(call);
        return;
    }
    resp_status status = resp_read_length(input + plan->used, there, &line);
    if (status == RESP_BAD)
        say_protocol_error(call, &line, input[plan->used]);
    if (status == RESP_PART)
        call->next->kind = NEXT_MORE;
    if (status != RESP_WHOLE)
        return;
    plan->used += (uint16_t)line.used;
    plan->bytes = (uint32_t)line.number + 2;
    plan->left--;
}

/* ---- A command ------------------------------------------------------------------------------------- */

static void run(const kv_call *call, const kv_command *command, uint32_t count)
{
    int arity = command == NULL ? 0 : command->arity;
    if (command == NULL)
        say_unknown(call);
    else if (command->run == NULL || (arity < 0 ? count < (uint32_t)-arity : count != (uint32_t)arity))
        CALL_SAY_ERROR(call, "ERR wrong number of arguments for '%s' command", command->name);
    else
        command->run(call);
}

/* Its keys are read one by one, from behind its name on. */
static void begin_keys(const kv_call *call, const kv_command *command, uint32_t used, uint32_t count)
{
    kv_plan *plan = call->plan;
    bool is_pairs = command->goes_on == GO_SET;
    plan->used += (uint16_t)used;
    plan->command = command->goes_on;
    plan->left = is_pairs ? (count - 1) / 2 : count - 1;
    call->next->kind = NEXT_NOTHING;
    if (command->goes_on == GO_GET)
        call_say_bytes(call, call->text, resp_put_line((uint8_t *)call->text, '*', count - 1));
}

static bool has_keys(const kv_command *command, uint32_t count)
{
    if (command == NULL || command->goes_on == GO_NONE || command->run != NULL || count < (uint32_t)-command->arity)
        return false;
    return command->goes_on != GO_SET || count % 2 == 1;
}

static bool is_set(const kv_command *command) { return command != NULL && command->run == run_set; }

/* The value of a SET that is not to go with its step: its first bytes, or its length, are there. */
static bool begin_large_set(const kv_call *call, const resp_args *args, const uint8_t *begin, uint32_t head, uint32_t count)
{
    uint32_t used = 0, value_size = 0;
    if (args->count >= 3 && args->argv[2].size > COMMAND_VALUE_MAX) {
        value_size = args->argv[2].size;
        used = (uint32_t)(args->argv[2].data - begin);
    } else if (args->count == 2 && args->next_size > COMMAND_VALUE_MAX) {
        value_size = args->next_size;
        used = head + args->used + args->next_line;
    }
    if (value_size == 0)
        return false;
    call->plan->left = count - 3;
    begin_large(call, args->argv[1], value_size, used, GO_SET_TAIL);
    return true;
}

/* Behind its head. What is not there yet has to fit, once it is. */
static void take_command(const kv_call *call, resp_status status, const uint8_t *begin, uint32_t head, uint32_t count)
{
    const resp_args *args = call->args;
    const kv_command *command = command_of(args->argv[0]);
    uint32_t name_end = (uint32_t)(args->argv[0].data - begin) + args->argv[0].size + 2;
    if (has_keys(command, count) && call->client->is_loading)
        begin_skip(call, name_end, count - 1, SKIPPED_LOADING);
    else if (has_keys(command, count))
        begin_keys(call, command, name_end, count);
    else if (is_set(command) && count <= RESP_ARGS_MAX && begin_large_set(call, args, begin, head, count))
        return;
    else if (status == RESP_BAD)
        say_protocol_error(call, &args->bad, args->unexpected);
    else if (status == RESP_WHOLE && count > RESP_ARGS_MAX)
        begin_skip(call, name_end, count - 1, SKIPPED_TOO_MANY);
    else if (status == RESP_WHOLE) {
        call->plan->used += (uint16_t)(head + args->used);
        run(call, command, count);
    } else if (head + args->used + args->next_line + args->next_size + 2 > COMMAND_INPUT_MAX)
        begin_skip(call, name_end, count - 1, SKIPPED_TOO_LARGE);
    else
        call->next->kind = NEXT_MORE;
}

static void begin_command(const kv_call *call, const uint8_t *input, uint32_t size)
{
    kv_plan *plan = call->plan;
    const uint8_t *begin = input + plan->used;
    uint32_t there = size - plan->used;
    resp_line line;
    resp_args args;
    resp_status status = resp_read_count(begin, there, &line);
    const kv_call with = {plan, call->client, &args, call->text, call->next};
    call->next->kind = NEXT_MORE;
    if (status == RESP_BAD) {
        say_protocol_error(call, &line, 0);
    } else if (status == RESP_WHOLE && line.number <= 0) {
        plan->used += (uint16_t)line.used;
        call->next->kind = NEXT_NOTHING;
    }
    if (status != RESP_WHOLE || line.number <= 0)
        return;
    uint32_t count = (uint32_t)line.number;
    status = resp_read_args(begin + line.used, there - line.used, count < RESP_ARGS_MAX ? count : RESP_ARGS_MAX, &args);
    if (args.count != 0)
        take_command(&with, status, begin, line.used, count);
    else if (status == RESP_BAD)
        say_protocol_error(call, &args.bad, args.unexpected);
    else if (args.next_size > COMMAND_VALUE_MAX)
        begin_skip(call, line.used, count, SKIPPED_TOO_LARGE);
}

/* A line of words becomes an array, in its place. True: it has. */
static bool spell_out(const kv_call *call, kv_input *input)
{
    uint8_t array[RESP_INLINE_ROOM], *line = input->bytes + call->plan->used;
    uint32_t used, written, there = input->size - call->plan->used;
    const char *error;
    char what[64];
    resp_status status = resp_read_inline(line, there, array, &used, &written, &error);
    if (status == RESP_BAD) {
        snprintf(what, sizeof what, "Protocol error: %s", error);
        end_with(call, what);
        return false;
    }
    call->next->kind = status == RESP_PART ? NEXT_MORE : NEXT_FULL;
    if (status == RESP_PART || input->size - used + written > sizeof input->bytes)
        return false;
    memmove(line + written, line + used, there - used);
    memcpy(line, array, written);
    input->size += written - used;
    call->next->kind = NEXT_NOTHING;
    return written != 0;
}

bool command_is_within(const kv_plan *plan)
{
    switch (plan->command) {
    case GO_NONE:
    case GO_GET: /* whose keys are answered one by one */
    case GO_SKIP:
    case GO_END: return false;
    default: return true;
    }
}

void command_forget(kv_plan *plan, kv_input *input)
{
    input->size -= plan->used;
    memmove(input->bytes, input->bytes + plan->used, input->size);
    plan->used = 0;
}

void command_taken(const kv_next *next, kv_client *client)
{
    if (next->name.data == NULL)
        return;
    memcpy(client->name, next->name.data, next->name.size);
    client->name_size = next->name.size;
}

void command_next(kv_plan *plan, const kv_client *client, kv_input *input, char *text, kv_next *next)
{
    const kv_call call = {.plan = plan, .client = client, .text = text, .next = next};
    const uint8_t *bytes = input->bytes;
    bool is_line = plan->command == GO_NONE && plan->used < input->size && bytes[plan->used] != '*';
    next->is_alone = next->is_anywhere = false;
    next->name = (resp_text){NULL, 0};
    next->partition = 0;
    if (is_line && !spell_out(&call, input))
        return;
    switch (plan->command) {
    case GO_NONE: begin_command(&call, bytes, input->size); return;
    case GO_GET:
    case GO_DELETE:
    case GO_EXISTS: next_key(&call, bytes, input->size); return;
    case GO_SET: next_pair(&call, bytes, input->size); return;
    case GO_COUNT:
    case GO_CLEAR:
    case GO_INFO: next_partition(&call); return;
    case GO_SET_TAIL: after_set(&call, bytes, input->size); return;
    case GO_PAIR_TAIL: after_pair(&call); return;
    case GO_SKIP: skip(&call, bytes, input->size); return;
    default: next->kind = NEXT_END; return;
    }
}
