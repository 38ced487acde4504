/* What a body can die of, and that it is all the same to the thread: once, again, and a hundred thousand times. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "os/os.h"
#include "trap/child.h"

#include <dlfcn.h>
#include <sys/auxv.h>
#include <tina/version.h>

#define STACK_SIZE ((size_t)256 << 10) /* of the thread that overflows it */
#define MANY       (IS_SANITIZED ? 1000u : 100000u)

/* ---- Bodies ---- */

static volatile int zero, one = 1;
static volatile int sink;
static void (*volatile null_function)(void);
static volatile size_t some_bytes = 4096;
static volatile char *touched; /* what a body touches, prepared before it runs */

static UNWATCHED void write_null(void *argument)
{
    (void)argument;
    *null = 1;
}

static UNWATCHED void touch(void *argument)
{
    (void)argument;
    *touched = 1;
}

static UNWATCHED void touch_non_canonical(void *argument)
{
    (void)argument;
    volatile char *nowhere = (volatile char *)((uintptr_t)1 << 63);
    *nowhere = 1;
}

static UNWATCHED void call_null(void *argument)
{
    (void)argument;
    null_function();
}

static UNWATCHED int recurse(int depth)
{
    volatile char frame[512];
    frame[0] = (char)depth;
    if (depth == -1)
        return 0;
    return recurse(depth + one) + frame[0];
}

static UNWATCHED void overflow_by_recursion(void *argument)
{
    (void)argument;
    sink = recurse(0);
}

static UNWATCHED void overflow_by_a_large_frame(void *argument)
{
    (void)argument;
    volatile char frame[3 * STACK_SIZE];
    frame[0] = 1;
    sink = frame[one];
}

static UNWATCHED void divide(void *argument)
{
    (void)argument;
    sink = one / zero;
}

static UNWATCHED void run_an_illegal_instruction(void *argument)
{
    (void)argument;
#if defined(__x86_64__)
    __asm__ volatile("ud2");
#else
    __asm__ volatile(".inst 0");
#endif
}

static UNWATCHED void trap_by_builtin(void *argument)
{
    (void)argument;
    __builtin_trap();
}

static UNWATCHED void break_point(void *argument)
{
    (void)argument;
#if defined(__x86_64__)
    __asm__ volatile("int3");
#else
    __asm__ volatile("brk #0");
#endif
}

static UNWATCHED void copy_from_null(void *argument)
{
    (void)argument;
    static char copy[4096];
    memcpy(copy, (const void *)(uintptr_t)null, some_bytes);
    sink = copy[one];
}

static UNWATCHED void call_abort(void *argument)
{
    (void)argument;
    abort();
}

static void raise_it(void *argument)
{
    (void)argument;
    raise(SIGSEGV);
}

/* ---- What is expected of them ---- */

#if defined(__x86_64__)
#define IS_X86      1
#define TRAP_SIGNAL SIGILL
#define NO_ADDRESS  0
#else
#define IS_X86      0
#define TRAP_SIGNAL SIGTRAP
#define NO_ADDRESS  ANY
#endif

#define ANY   UINTPTR_MAX
#define AT_PC (UINTPTR_MAX - 1)

typedef struct kind_of_fault {
    void (*body)(void *argument);
    uint8_t kind;
    int signal;
    uintptr_t address;
    bool is_foreign; /* and must be; others may be, where a sanitizer looks at each access */
    volatile char *(*prepare)(void);
} kind_of_fault;

static volatile char *page_that_is_gone(void)
{
    volatile char *page = closed_page();
    munmap((void *)(uintptr_t)page, (size_t)sysconf(_SC_PAGESIZE));
    return page;
}

static volatile char *page_behind_the_end_of_its_file(void)
{
    int file = memfd_create("short", 0);
    volatile char *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return page;
}

static const kind_of_fault cheap_faults[] = {
    {read_null, TINA__FAULT_SIGNAL, SIGSEGV, 0, false, NULL},
    {write_null, TINA__FAULT_SIGNAL, SIGSEGV, 0, false, NULL},
    {touch, TINA__FAULT_SIGNAL, SIGSEGV, ANY, false, page_that_is_gone},
    {touch, TINA__FAULT_SIGNAL, SIGSEGV, ANY, false, closed_page},
    {touch, TINA__FAULT_SIGNAL, SIGBUS, ANY, false, page_behind_the_end_of_its_file},
    {touch_non_canonical, TINA__FAULT_SIGNAL, SIGSEGV, NO_ADDRESS, false, NULL},
    {call_null, TINA__FAULT_SIGNAL, SIGSEGV, 0, false, NULL},
#if IS_X86
    {divide, TINA__FAULT_SIGNAL, SIGFPE, AT_PC, false, NULL},
#endif
    {run_an_illegal_instruction, TINA__FAULT_SIGNAL, SIGILL, AT_PC, false, NULL},
    {trap_by_builtin, TINA__FAULT_SIGNAL, TRAP_SIGNAL, AT_PC, false, NULL},
    {break_point, TINA__FAULT_SIGNAL, SIGTRAP, AT_PC, false, NULL},
    {copy_from_null, TINA__FAULT_SIGNAL, SIGSEGV, 0, true, NULL},
    {call_abort, TINA__FAULT_ABORT, SIGABRT, AT_PC, true, NULL},
    {raise_it, TINA__FAULT_SIGNAL, SIGSEGV, AT_PC, true, NULL},
};

static const kind_of_fault overflows[] = {
    {overflow_by_recursion, TINA__FAULT_SIGNAL, SIGSEGV, ANY, false, NULL},
    {overflow_by_a_large_frame, TINA__FAULT_SIGNAL, SIGSEGV, ANY, false, NULL},
};

static tina__guard guard;

static void prepare(const kind_of_fault *wanted)
{
    if (wanted->prepare != NULL)
        touched = wanted->prepare();
}

static int run_into(const kind_of_fault *wanted)
{
    tina__fault fault = {.kind = 77, .what = "not written"};
    errno = 77;
    CHECK(!tina__trap_run(wanted->body, NULL, &fault));
    CHECK(errno == 77 || IS_THREAD_SANITIZED); /* which changes it around a handler */
    CHECK(!tina__trap_is_armed());
    CHECK(fault.kind == wanted->kind);
    CHECK(fault.signal == wanted->signal);
    CHECK(fault.what == NULL);
    CHECK(wanted->address == ANY || fault.address == (wanted->address == AT_PC ? fault.pc : wanted->address));
    CHECK(wanted->prepare == NULL || fault.address == (uintptr_t)touched);
    CHECK(wanted->body == call_null ? fault.pc == 0 : fault.pc != 0);
    if (!IS_SANITIZED) /* whose copy of memcpy may be the program's own, and whose look at an access is another library's */
        CHECK(fault.is_foreign == wanted->is_foreign);
    return 0;
}

static int run_into_all(const kind_of_fault *kinds, size_t kind_count, size_t times)
{
    for (size_t kind = 0; kind < kind_count; kind++) {
        prepare(&kinds[kind]);
        for (size_t i = 0; i < times; i++) {
            if (run_into(&kinds[kind]) != 0) {
                fprintf(stderr, "fault %zu, the time %zu\n", kind, i);
                return 1;
            }
        }
    }
    return 0;
}

static int enter_with_foreign_code(void)
{
    guard = (tina__guard){0};
    guard.foreign = tina__trap_foreign_code(NULL, 0, &guard.foreign_count);
    CHECK(guard.foreign != NULL);
    return enter(&guard);
}

static int leave_with_foreign_code(void)
{
    free((void *)(uintptr_t)guard.foreign);
    return leave();
}

/* ---- Contained ---- */

static int contain_each_cheap_one(void)
{
    CHECK(enter_with_foreign_code() == 0);
    CHECK(run_into_all(cheap_faults, LENGTH(cheap_faults), 2) == 0);
    CHECK(run_into_all(cheap_faults, LENGTH(cheap_faults), MANY) == 0);
    CHECK(run_into_all(cheap_faults, LENGTH(cheap_faults), 2) == 0);
    return leave_with_foreign_code();
}

static void cheap_faults_end_the_body_again_and_again(void **state)
{
    (void)state;
    passes_in_child(contain_each_cheap_one);
}

static void overflow_each_way(void *failed)
{
    *(int *)failed = enter_with_foreign_code() != 0 || run_into_all(overflows, LENGTH(overflows), 100) != 0 ||
                     leave_with_foreign_code() != 0;
}

static int overflow_in_a_thread(void)
{
    int failed = 1, os_error = 0;
    tina__os_thread thread;
    CHECK(tina__os_thread_start(&thread, STACK_SIZE, "overflow", overflow_each_way, &failed, &os_error) == TINA_OK);
    tina__os_thread_join(&thread);
    return failed;
}

static void stack_overflow_ends_the_body_again_and_again(void **state)
{
    (void)state;
    passes_in_child(overflow_in_a_thread);
}

static int overflow_on_the_first_stack(void)
{
    CHECK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20}) == 0);
    CHECK(enter_with_foreign_code() == 0);
    CHECK(run_into_all(overflows, 1, 2) == 0);
    return leave_with_foreign_code();
}

static void stack_overflow_of_the_first_thread_ends_the_body(void **state)
{
    (void)state;
    passes_in_child(overflow_on_the_first_stack);
}

static int run_to_the_end(void)
{
    tina__fault fault = {.kind = 77};
    CHECK(enter_with_foreign_code() == 0);
    for (unsigned i = 0; i < 1000; i++) {
        CHECK(tina__trap_run(do_nothing, NULL, &fault));
        CHECK(fault.kind == 77);
        CHECK(run_into(&cheap_faults[0]) == 0);
    }
    return leave_with_foreign_code();
}

static void body_that_ends_leaves_no_fault(void **state)
{
    (void)state;
    passes_in_child(run_to_the_end);
}

/* ---- One in another ---- */

#define DEEP 8

typedef struct nest {
    unsigned depth, entered, ended;
    tina__fault faults[DEEP + 1]; /* by depth */
} nest;

static UNWATCHED void go_deeper(void *argument)
{
    nest *nested = argument;
    unsigned depth = nested->depth++;
    nested->entered++;
    if (depth < DEEP && !tina__trap_run(go_deeper, nested, &nested->faults[depth]) && tina__trap_is_armed())
        nested->ended++;
    *null = 1;
}

static int fault_at_every_depth(void)
{
    CHECK(enter_with_foreign_code() == 0);
    for (unsigned i = 0; i < 1000; i++) {
        nest nested = {0};
        tina__fault fault = {0};
        CHECK(!tina__trap_is_armed());
        CHECK(!tina__trap_run(go_deeper, &nested, &fault));
        CHECK(fault.signal == SIGSEGV);
        CHECK(nested.entered == DEEP + 1);
        CHECK(nested.ended == DEEP);
        for (unsigned depth = 0; depth < DEEP; depth++)
            CHECK(nested.faults[depth].signal == SIGSEGV);
    }
    return leave_with_foreign_code();
}

static void fault_in_a_nested_body_ends_that_one_only(void **state)
{
    (void)state;
    passes_in_child(fault_at_every_depth);
}

static void throw_it(void *fault) { tina__trap_throw(fault); }

static int throw_and_catch(void)
{
    tina__fault thrown = {.kind = TINA__FAULT_BROKEN, .what = "this"};
    for (unsigned i = 0; i < 1000; i++) {
        tina__fault fault = {0};
        CHECK(!tina__trap_run(throw_it, &thrown, &fault));
        CHECK(fault.kind == TINA__FAULT_BROKEN);
        CHECK(fault.what == thrown.what);
        CHECK(!tina__trap_is_armed());
    }
    return 0;
}

static void throw_ends_the_body_without_any_care(void **state)
{
    (void)state;
    passes_in_child(throw_and_catch);
}

static void throw_inside_then_outside(void *argument)
{
    tina__fault *inner = argument;
    tina__fault thrown = {.kind = TINA__FAULT_BROKEN, .what = "inside"};
    if (tina__trap_run(throw_it, &thrown, inner) || !tina__trap_is_armed())
        return;
    thrown.what = "outside";
    tina__trap_throw(&thrown);
}

static int throw_through_two(void)
{
    CHECK(enter_with_foreign_code() == 0);
    for (unsigned i = 0; i < 1000; i++) {
        tina__fault inner = {0}, outer = {0};
        CHECK(!tina__trap_run(throw_inside_then_outside, &inner, &outer));
        CHECK(strcmp(inner.what, "inside") == 0);
        CHECK(strcmp(outer.what, "outside") == 0);
        CHECK(run_into(&cheap_faults[0]) == 0);
    }
    return leave_with_foreign_code();
}

static void throw_through_nested_bodies_ends_one_each(void **state)
{
    (void)state;
    passes_in_child(throw_through_two);
}

static int throw_out_of_no_body(void)
{
    tina__fault thrown = {.kind = TINA__FAULT_BROKEN};
    fclose(stderr);
    tina__trap_throw(&thrown);
}

static void throw_outside_of_a_body_is_a_broken_invariant(void **state)
{
    (void)state;
    dies_in_child(throw_out_of_no_body, SIGABRT);
}

/* ---- Care ---- */

static int enter_without_memory(void)
{
    int os_error = 0;
    CHECK(tina__trap_install(&os_error) == TINA_OK);
    CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){1 << 16, RLIM_INFINITY}) == 0);
    CHECK(tina__trap_enter(&guard, &os_error) == TINA_POOL_EXHAUSTED);
    CHECK(os_error == ENOMEM);
    CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0);
    CHECK(tina__trap_enter(&guard, &os_error) == TINA_OK);
    return leave();
}

static void enter_without_memory_is_refused(void **state)
{
    (void)state;
    if (IS_SANITIZED) /* which need memory themselves */
        skip();
    passes_in_child(enter_without_memory);
}

/* ---- Names ---- */

static bool is_among(const tina__code *codes, size_t count, uintptr_t pc)
{
    for (size_t i = 0; i < count; i++) {
        if (pc >= codes[i].start && pc < codes[i].end)
            return true;
    }
    return false;
}

/* A function of the C library that nobody stands in for. */
static void *library_function(void)
{
    void *found = dlsym(RTLD_DEFAULT, "strverscmp");
    assert_non_null(found);
    return found;
}

static void foreign_code_is_that_of_the_libraries(void **state)
{
    (void)state;
    size_t count;
    tina__code *codes = tina__trap_foreign_code(NULL, 0, &count);
    assert_non_null(codes);
    for (size_t i = 0; i < count; i++) {
        assert_true(codes[i].start < codes[i].end);
        assert_true(i == 0 || codes[i].start >= codes[i - 1].end);
    }
    assert_true(is_among(codes, count, (uintptr_t)library_function()));
    assert_false(is_among(codes, count, (uintptr_t)&foreign_code_is_that_of_the_libraries));
    assert_false(is_among(codes, count, (uintptr_t)&tina__trap_run));
    uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
    assert_true(vdso == 0 || is_among(codes, count, vdso));
    free(codes);
}

static void foreign_code_leaves_out_what_is_own(void **state)
{
    (void)state;
    size_t count, all;
    free(tina__trap_foreign_code(NULL, 0, &all));
    const void *own[] = {(const void *)(uintptr_t)&touched, library_function()};
    tina__code *codes = tina__trap_foreign_code(own, 2, &count);
    assert_in_range(count, 1, all - 1);
    assert_false(is_among(codes, count, (uintptr_t)library_function()));
    free(codes);
}

static void describe_names_what_is_known(void **state)
{
    (void)state;
    char text[128], few[8];
    size_t length = tina__trap_describe((uintptr_t)library_function() + 2, text, sizeof text);
    assert_int_equal(length, strlen(text));
    assert_int_equal(strncmp(text, "strverscmp+0x2 (libc.so.6+0x", 28), 0);
    assert_int_equal(text[length - 1], ')');

    tina__trap_describe((uintptr_t)&do_nothing, text, sizeof text);
    assert_non_null(strstr(text, "+0x"));
    assert_null(strchr(text, '/'));

    assert_int_equal(tina__trap_describe(0x10, text, sizeof text), 4);
    assert_string_equal(text, "0x10");

    assert_int_equal(tina__trap_describe((uintptr_t)library_function(), few, sizeof few), sizeof few - 1);
    assert_string_equal(few, "strvers");
}

static void signal_has_its_name_or_number(void **state)
{
    (void)state;
    char text[16];
    assert_string_equal(tina__trap_signal_name(SIGSEGV, text, sizeof text), "SIGSEGV");
    assert_string_equal(tina__trap_signal_name(SIGABRT, text, sizeof text), "SIGABRT");
    assert_string_equal(tina__trap_signal_name(64, text, sizeof text), "signal 64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cheap_faults_end_the_body_again_and_again),
        cmocka_unit_test(stack_overflow_ends_the_body_again_and_again),
        cmocka_unit_test(stack_overflow_of_the_first_thread_ends_the_body),
        cmocka_unit_test(body_that_ends_leaves_no_fault),
        cmocka_unit_test(fault_in_a_nested_body_ends_that_one_only),
        cmocka_unit_test(throw_ends_the_body_without_any_care),
        cmocka_unit_test(throw_through_nested_bodies_ends_one_each),
        cmocka_unit_test(throw_outside_of_a_body_is_a_broken_invariant),
        cmocka_unit_test(enter_without_memory_is_refused),
        cmocka_unit_test(foreign_code_is_that_of_the_libraries),
        cmocka_unit_test(foreign_code_leaves_out_what_is_own),
        cmocka_unit_test(describe_names_what_is_known),
        cmocka_unit_test(signal_has_its_name_or_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
