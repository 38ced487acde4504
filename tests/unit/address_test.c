#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tina/io.h>

#include <cmocka.h>

static void parses(const char *text, const tina_address *expected)
{
    tina_address address;
    memset(&address, 0xEE, sizeof address);
    if (tina_address_parse(text, &address) != TINA_OK)
        fail_msg("refused: %s", text);
    assert_int_equal(address.family, expected->family);
    assert_int_equal(address.length, 0);
    assert_int_equal(address.port, expected->port);
    assert_int_equal(address.scope, expected->scope);
    assert_memory_equal(address.path, expected->path, sizeof address.path);
}

static void formats(const tina_address *address, const char *expected)
{
    char text[128];
    memset(text, '#', sizeof text);
    assert_int_equal(tina_address_format(address, text, sizeof text), strlen(expected));
    assert_string_equal(text, expected);
}

/* In a block of exactly its size, so that a sanitizer sees a read beyond. */
static void refuses(const char *text)
{
    size_t size = strlen(text) + 1;
    char *exact = malloc(size);
    assert_non_null(exact);
    memcpy(exact, text, size);
    tina_address address, before;
    memset(&address, 0xEE, sizeof address);
    before = address;
    tina_status status = tina_address_parse(exact, &address);
    free(exact);
    if (status != TINA_INVALID)
        fail_msg("accepted: %s", text);
    assert_memory_equal(&address, &before, sizeof address);
}

static void ipv4_is_made_parsed_and_formatted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t bytes[4];
        uint16_t port;
    } cases[] = {
        {"127.0.0.1:80", {127, 0, 0, 1}, 80},
        {"0.0.0.0:0", {0, 0, 0, 0}, 0},
        {"255.255.255.255:65535", {255, 255, 255, 255}, 65535},
        {"10.200.30.4:1", {10, 200, 30, 4}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t *b = cases[i].bytes;
        tina_address address = tina_ipv4(b[0], b[1], b[2], b[3], cases[i].port);
        assert_int_equal(address.family, TINA_IPV4);
        assert_memory_equal(address.ipv4, b, 4);
        parses(cases[i].text, &address);
        formats(&address, cases[i].text);
    }
}

static void ipv4_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        ":",
        ":80",
        "1",
        "1.2.3",
        "1.2.3:80",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4.:80",
        "1.2.3.4.5:80",
        ".1.2.3.4:80",
        "1..2.3:80",
        "256.0.0.1:80",
        "1.2.3.999:80",
        "01.2.3.4:80",
        "1.2.3.00:80",
        "1.2.3.4:080",
        "1.2.3.4:00",
        "1.2.3.4:65536",
        "1.2.3.4:99999999999999999999",
        "1.2.3.4:-1",
        "1.2.3.4:+1",
        "1.2.3.4: 80",
        " 1.2.3.4:80",
        "1.2.3.4:80 ",
        "1.2.3.4:80\n",
        "1.2.3.4:8a",
        "1.2.3.4%1:80",
        "1.2.3.0x4:80",
        "1.2.3.4]:80",
        "localhost:80",
        "a.b.c.d:80",
        "1.2.3.4:80:80",
        "4294967297.0.0.1:80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        refuses(texts[i]);
}

typedef struct ipv6_case {
    const char *text;
    uint8_t bytes[16];
} ipv6_case;

/* The canonical form of each. */
static const ipv6_case ipv6_cases[] = {
    {"[::]:80", {0}},
    {"[::1]:80", {[15] = 1}},
    {"[1::]:80", {[1] = 1}},
    {"[fe80::1]:80", {0xFE, 0x80, [15] = 1}},
    {"[2001:db8::ff00:42:8329]:80", {0x20, 0x01, 0x0D, 0xB8, [10] = 0xFF, 0, 0, 0x42, 0x83, 0x29}},
    {"[1:2:3:4:5:6:7:8]:80", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
    {"[abcd:ef01:2345:6789:abcd:ef01:2345:6789]:80",
     {0xAB, 0xCD, 0xEF, 0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0x01, 0x23, 0x45, 0x67, 0x89}},
    {"[1:0:3:4:5:6:7:8]:80", {0, 1, 0, 0, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}}, /* one zero is not shortened */
    {"[0:2:3:4:5:6:7:0]:80", {0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 0}},
    {"[1::4:0:0:7:8]:80", {0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 7, 0, 8}}, /* of two equal runs the first */
    {"[1:0:0:4::8]:80", {0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8}},   /* the longer one */
    {"[::3:4:5:6:7:8]:80", {[5] = 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
    {"[1:2:3:4:5:6::]:80", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6}},
    {"[::ffff:192.0.2.33]:80", {[10] = 0xFF, 0xFF, 192, 0, 2, 33}},
    {"[::ffff:0.0.0.0]:80", {[10] = 0xFF, 0xFF}},
    {"[::fffe:c000:221]:80", {[10] = 0xFF, 0xFE, 192, 0, 2, 33}},
    {"[64:ff9b::102:304]:80", {0, 0x64, 0xFF, 0x9B, [12] = 1, 2, 3, 4}},
};

static void ipv6_is_made_parsed_and_formatted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ipv6_cases / sizeof ipv6_cases[0]; i++) {
        tina_address address = tina_ipv6(ipv6_cases[i].bytes, 80);
        assert_int_equal(address.family, TINA_IPV6);
        assert_memory_equal(address.ipv6, ipv6_cases[i].bytes, 16);
        parses(ipv6_cases[i].text, &address);
        formats(&address, ipv6_cases[i].text);
    }
}

static void ipv6_in_other_forms_is_parsed(void **state)
{
    (void)state;
    static const ipv6_case cases[] = {
        {"[0:0:0:0:0:0:0:1]:80", {[15] = 1}},
        {"[0000:0000:0000:0000:0000:0000:0000:0001]:80", {[15] = 1}},
        {"[FE80::ABCD]:80", {0xFE, 0x80, [14] = 0xAB, 0xCD}},
        {"[1:2:3:4:5:6:7::]:80", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7}},
        {"[::2:3:4:5:6:7:8]:80", {[3] = 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8}},
        {"[1:2:3::5:6:7:8]:80", {0, 1, 0, 2, 0, 3, 0, 0, 0, 5, 0, 6, 0, 7, 0, 8}},
        {"[::1.2.3.4]:80", {[12] = 1, 2, 3, 4}},
        {"[1::1.2.3.4]:80", {[1] = 1, [12] = 1, 2, 3, 4}},
        {"[1:2:3:4:5:6:1.2.3.4]:80", {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 1, 2, 3, 4}},
        {"[0:0:0:0:0:FFFF:1.2.3.4]:80", {[10] = 0xFF, 0xFF, 1, 2, 3, 4}},
        {"[64:ff9b::1.2.3.4]:80", {0, 0x64, 0xFF, 0x9B, [12] = 1, 2, 3, 4}},
        {"[fe80::1%0]:80", {0xFE, 0x80, [15] = 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tina_address address = tina_ipv6(cases[i].bytes, 80);
        parses(cases[i].text, &address);
    }
}

static void ipv6_scope_is_kept(void **state)
{
    (void)state;
    tina_address address = tina_ipv6((const uint8_t[16]){0xFE, 0x80, [15] = 1}, 80);
    address.scope = 2;
    parses("[fe80::1%2]:80", &address);
    formats(&address, "[fe80::1%2]:80");
    address.scope = UINT32_MAX;
    parses("[fe80::1%4294967295]:80", &address);
    formats(&address, "[fe80::1%4294967295]:80");
}

static void ipv6_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[",
        "[]",
        "[]:80",
        "[:]:80",
        "[:::]:80",
        "[::::]:80",
        "[::1]",
        "[::1]:",
        "[::1]80",
        "[::1:80",
        "::1:80",
        "::1]:80",
        "[[::1]]:80",
        "[::1]:080",
        "[::1]:65536",
        "[::1]:80 ",
        "[ ::1]:80",
        "[1]:80",
        "[1:2:3:4:5:6:7]:80",
        "[1:2:3:4:5:6:7:8:9]:80",
        "[1:2:3:4:5:6:7:]:80",
        "[:2:3:4:5:6:7:8]:80",
        "[1:2:3:4:5:6:7:8:]:80",
        "[1:2:3:4:5:6:7:8::]:80",
        "[::1:2:3:4:5:6:7:8]:80",
        "[1:2:3:4::5:6:7:8]:80",
        "[1::2::3]:80",
        "[1:::2]:80",
        "[12345::]:80",
        "[00001::]:80",
        "[g::]:80",
        "[0x1::]:80",
        "[-1::]:80",
        "[::1.2.3]:80",
        "[::1.2.3.4.5]:80",
        "[::1.2.3.256]:80",
        "[::01.2.3.4]:80",
        "[1.2.3.4]:80",
        "[1.2.3.4::]:80",
        "[::1.2.3.4:5]:80",
        "[::1.2.3.4::]:80",
        "[1:2:3:4:5:6:7:1.2.3.4]:80",
        "[1:2:3:4:5:1.2.3.4]:80",
        "[::a.2.3.4]:80",
        "[fe80::1%]:80",
        "[fe80::1%eth0]:80",
        "[fe80::1%01]:80",
        "[fe80::1%-1]:80",
        "[fe80::1%4294967296]:80",
        "[fe80::1%1%2]:80",
        "[%1]:80",
        "[fe80::1%1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        refuses(texts[i]);
}

static void is_unix(const tina_address *address, const char *path, size_t length)
{
    assert_int_equal(address->family, TINA_UNIX);
    assert_int_equal(address->length, length);
    assert_int_equal(address->port, 0);
    assert_int_equal(address->scope, 0);
    assert_memory_equal(address->path, path, length);
    for (size_t i = length; i < sizeof address->path; i++)
        assert_int_equal(address->path[i], 0);
}

static void parses_unix(const char *text, const char *path, size_t length)
{
    tina_address address;
    memset(&address, 0xEE, sizeof address);
    assert_int_equal(tina_address_parse(text, &address), TINA_OK);
    is_unix(&address, path, length);
    formats(&address, text);
}

static void unix_is_made_parsed_and_formatted(void **state)
{
    (void)state;
    tina_address address = tina_unix("/run/x");
    is_unix(&address, "/run/x", 6);
    formats(&address, "unix:/run/x");
    parses_unix("unix:/run/x", "/run/x", 6);
    parses_unix("unix:x", "x", 1);
    parses_unix("unix:a b:80", "a b:80", 6);
    parses_unix("unix:unix:x", "unix:x", 6);
}

/* Only in front, and only in text, an @ stands for the zero. */
static void unix_name_in_the_abstract_namespace_is_parsed_and_formatted(void **state)
{
    (void)state;
    parses_unix("unix:@abstract", "\0abstract", 9);
    parses_unix("unix:@", "\0", 1);
    parses_unix("unix:a@b", "a@b", 3);
    parses_unix("unix:@@", "\0@", 2);
    tina_address address = tina_unix("@made");
    is_unix(&address, "@made", 5);
    address = (tina_address){.family = TINA_UNIX, .length = 4, .path = "\0a\0b"};
    formats(&address, "unix:@a@b");
    formats(&(tina_address){.family = TINA_UNIX}, "unix:");
}

static void unix_as_long_as_an_address_holds_is_taken_and_longer_is_refused(void **state)
{
    (void)state;
    char text[5 + 106] = "unix:";
    char *path = text + 5;
    memset(path, 'p', 105);
    path[104] = '\0';
    tina_address address = tina_unix(path);
    is_unix(&address, path, 104);
    parses_unix(text, path, 104);
    path[104] = 'p';
    path[105] = '\0';
    address = tina_unix(path);
    assert_int_equal(address.family, 0);
    refuses(text);
}

static void unix_that_is_wrong_is_refused(void **state)
{
    (void)state;
    refuses("unix:");
    refuses("unix");
    refuses("Unix:/run/x");
    refuses(" unix:/run/x");
    refuses("/run/x");
    refuses("@abstract");
    assert_int_equal(tina_unix("").family, 0);
    assert_int_equal(tina_unix(NULL).family, 0);
}

static void parse_of_null_is_refused(void **state)
{
    (void)state;
    tina_address address;
    assert_int_equal(tina_address_parse(NULL, &address), TINA_INVALID);
    assert_int_equal(tina_address_parse("1.2.3.4:5", NULL), TINA_INVALID);
}

static void format_into_too_little_room_cuts_and_says_the_length(void **state)
{
    (void)state;
    tina_address address = tina_ipv6((const uint8_t[16]){0xFE, 0x80, [15] = 1}, 80);
    const char whole[] = "[fe80::1]:80";
    for (size_t size = 0; size <= sizeof whole; size++) {
        char *text = malloc(size + 1); /* with one byte that stays as it is */
        assert_non_null(text);
        text[size] = '#';
        assert_int_equal(tina_address_format(&address, text, size), sizeof whole - 1);
        assert_int_equal(text[size], '#');
        if (size > 0) {
            assert_int_equal(strlen(text), size - 1 < sizeof whole - 1 ? size - 1 : sizeof whole - 1);
            assert_memory_equal(text, whole, strlen(text));
        }
        free(text);
    }
    assert_int_equal(tina_address_format(&address, NULL, 0), sizeof whole - 1);
}

static void format_of_no_address_is_empty(void **state)
{
    (void)state;
    formats(&(tina_address){.family = 0}, "");
    formats(&(tina_address){.family = 77}, "");
    formats(NULL, "");
}

/* Every combination of empty groups: what is formatted is parsed back. */
static void format_and_parse_are_inverse(void **state)
{
    (void)state;
    for (unsigned zeros = 0; zeros < 256; zeros++) {
        for (uint8_t fill = 1; fill != 0; fill = (uint8_t)(fill << 1)) {
            uint8_t bytes[16] = {0};
            for (unsigned i = 0; i < 16; i++)
                bytes[i] = (zeros >> (i / 2) & 1) != 0 ? fill : 0;
            tina_address address = tina_ipv6(bytes, (uint16_t)(zeros * fill));
            address.scope = zeros * fill;
            char text[64];
            assert_true(tina_address_format(&address, text, sizeof text) < sizeof text);
            parses(text, &address);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_is_made_parsed_and_formatted),
        cmocka_unit_test(ipv4_that_is_wrong_is_refused),
        cmocka_unit_test(ipv6_is_made_parsed_and_formatted),
        cmocka_unit_test(ipv6_in_other_forms_is_parsed),
        cmocka_unit_test(ipv6_scope_is_kept),
        cmocka_unit_test(ipv6_that_is_wrong_is_refused),
        cmocka_unit_test(unix_is_made_parsed_and_formatted),
        cmocka_unit_test(unix_name_in_the_abstract_namespace_is_parsed_and_formatted),
        cmocka_unit_test(unix_as_long_as_an_address_holds_is_taken_and_longer_is_refused),
        cmocka_unit_test(unix_that_is_wrong_is_refused),
        cmocka_unit_test(parse_of_null_is_refused),
        cmocka_unit_test(format_into_too_little_room_cuts_and_says_the_length),
        cmocka_unit_test(format_of_no_address_is_empty),
        cmocka_unit_test(format_and_parse_are_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
