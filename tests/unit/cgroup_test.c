/* The kernel's text files as they are met in the wild, in a folder that stands for the root. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "os/cgroup.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[PATH_MAX];

static int make_root(void **state)
{
    (void)state;
    const char *folder = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/tina-cgroup-XXXXXX", folder != NULL ? folder : "/tmp");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* A file with its folders. */
static void put(const char *path, const char *text)
{
    char full[2 * PATH_MAX];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

#define MIB         (1024u * 1024u)
#define NO_LIMIT_V1 "9223372036854771712\n"

static void v2_is_mounted(const char *group)
{
    put("/proc/self/cgroup", group);
    put("/proc/self/mountinfo", "22 28 0:20 / /proc rw,nosuid - proc proc rw\n"
                                "30 28 0:26 / /sys/fs/cgroup rw,nosuid,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
}

static void v1_is_mounted(const char *group)
{
    put("/proc/self/cgroup", group);
    put("/proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "36 31 0:33 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n");
}

/* ---- Memory ---- */

static void meminfo_says_what_is_available(void **state)
{
    (void)state;
    put("/proc/meminfo",
        "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    2048 kB\nBuffers: 1 kB\n");
    assert_int_equal(tina__meminfo_available(root), 2 * MIB);
}

static void meminfo_missing_or_silent_is_no_limit(void **state)
{
    (void)state;
    assert_true(tina__meminfo_available(root) == UINT64_MAX);
    put("/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailableToo: 4 kB\n");
    assert_true(tina__meminfo_available(root) == UINT64_MAX);
}

static void memory_without_groups_is_not_limited(void **state)
{
    (void)state;
    assert_true(tina__cgroup_memory_left(root) == UINT64_MAX);
    put("/proc/self/cgroup", "");
    put("/proc/self/mountinfo", "nonsense\n\n1 2 3\n");
    assert_true(tina__cgroup_memory_left(root) == UINT64_MAX);
}

static void memory_of_v2_is_what_the_limit_leaves(void **state)
{
    (void)state;
    v2_is_mounted("0::/app\n");
    put("/sys/fs/cgroup/app/memory.max", "104857600\n");
    put("/sys/fs/cgroup/app/memory.current", "31457280\n");
    assert_int_equal(tina__cgroup_memory_left(root), 70 * MIB);
}

static void memory_of_v2_does_not_count_the_idle_page_cache(void **state)
{
    (void)state;
    v2_is_mounted("0::/app\n");
    put("/sys/fs/cgroup/app/memory.max", "104857600\n");
    put("/sys/fs/cgroup/app/memory.current", "94371840\n");
    put("/sys/fs/cgroup/app/memory.stat", "anon 1\nfile 83886080\ninactive_file 41943040\nactive_file 41943040\n");
    assert_int_equal(tina__cgroup_memory_left(root), 50 * MIB);
}

static void memory_of_v2_max_is_no_limit(void **state)
{
    (void)state;
    v2_is_mounted("0::/app\n");
    put("/sys/fs/cgroup/app/memory.max", "max\n");
    put("/sys/fs/cgroup/app/memory.current", "31457280\n");
    assert_true(tina__cgroup_memory_left(root) == UINT64_MAX);
}

static void memory_over_the_limit_leaves_nothing(void **state)
{
    (void)state;
    v2_is_mounted("0::/app\n");
    put("/sys/fs/cgroup/app/memory.max", "1000\n");
    put("/sys/fs/cgroup/app/memory.current", "31457280\n");
    assert_int_equal(tina__cgroup_memory_left(root), 0);
}

static void memory_of_an_ancestor_counts(void **state)
{
    (void)state;
    v2_is_mounted("0::/user.slice/job/step\n");
    put("/sys/fs/cgroup/user.slice/job/step/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/job/step/memory.current", "1\n");
    put("/sys/fs/cgroup/user.slice/job/memory.max", "52428800\n");
    put("/sys/fs/cgroup/user.slice/job/memory.current", "10485760\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "104857600\n");
    put("/sys/fs/cgroup/user.slice/memory.current", "20971520\n");
    assert_int_equal(tina__cgroup_memory_left(root), 40 * MIB);
}

static void memory_of_the_topmost_group_counts(void **state)
{
    (void)state;
    v2_is_mounted("0::/\n");
    put("/sys/fs/cgroup/memory.max", "52428800\n");
    put("/sys/fs/cgroup/memory.current", "0\n");
    assert_int_equal(tina__cgroup_memory_left(root), 50 * MIB);
    v2_is_mounted("0::/deep/er\n");
    assert_int_equal(tina__cgroup_memory_left(root), 50 * MIB);
}

static void memory_of_v1_is_what_the_tightest_ancestor_leaves(void **state)
{
    (void)state;
    v1_is_mounted("9:cpuset:/\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", NO_LIMIT_V1);
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1048576\n");
    put("/sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "209715200\n");
    put("/sys/fs/cgroup/memory/docker/memory.usage_in_bytes", "157286400\n");
    put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "104857600\n");
    put("/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "94371840\n");
    put("/sys/fs/cgroup/memory/docker/abc/memory.stat", "inactive_file 5\ntotal_inactive_file 52428800\n");
    assert_int_equal(tina__cgroup_memory_left(root), 50 * MIB);
}

static void memory_of_both_versions_is_the_tighter(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/a\n0::/b\n");
    put("/proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
                                "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "30\n");
    put("/sys/fs/cgroup/unified/b/memory.max", "20\n");
    assert_int_equal(tina__cgroup_memory_left(root), 20);
}

/* Seen from inside a container without a namespace of its own: the path is the host's, the mount shows its end only. */
static void memory_where_the_mount_shows_a_part_is_found(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/docker/abc/inner\n");
    put("/proc/self/mountinfo", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n");
    put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "100\n");
    put("/sys/fs/cgroup/memory/inner/memory.usage_in_bytes", "10\n");
    assert_int_equal(tina__cgroup_memory_left(root), 90);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "50\n");
    assert_int_equal(tina__cgroup_memory_left(root), 50);
}

static void memory_where_the_group_is_outside_of_the_mount_is_the_mounts(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/../../elsewhere\n");
    put("/proc/self/mountinfo", "30 28 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory.max", "100\n");
    assert_int_equal(tina__cgroup_memory_left(root), 100);
    put("/proc/self/cgroup", "0::/docker/abcdef\n");
    put("/sys/fs/cgroupdef/memory.max", "1\n");
    put("/proc/self/mountinfo", "30 28 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_int_equal(tina__cgroup_memory_left(root), 100);
}

/* ---- Quota ---- */

static void quota_without_groups_is_none(void **state)
{
    (void)state;
    assert_int_equal(tina__cgroup_cpu_quota(root), 0);
}

static void quota_of_v2_is_rounded_up_to_cores(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t cores;
    } cases[] = {
        {"max 100000\n", 0},  {"100000 100000\n", 1}, {"150000 100000\n", 2}, {"200000 100000\n", 2}, {"200001 100000\n", 3},
        {"1000 100000\n", 1}, {"50000 50000\n", 1},   {"100000\n", 0},        {"100000 0\n", 0},      {"", 0},
    };
    v2_is_mounted("0::/app\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("/sys/fs/cgroup/app/cpu.max", cases[i].text);
        assert_int_equal(tina__cgroup_cpu_quota(root), cases[i].cores);
    }
}

static void quota_of_v1_is_rounded_up_to_cores(void **state)
{
    (void)state;
    v1_is_mounted("2:cpu,cpuacct:/docker/abc\n3:cpuset:/other\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(tina__cgroup_cpu_quota(root), 0);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "350000\n");
    assert_int_equal(tina__cgroup_cpu_quota(root), 4);
}

static void quota_of_an_ancestor_counts(void **state)
{
    (void)state;
    v2_is_mounted("0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    assert_int_equal(tina__cgroup_cpu_quota(root), 2);
}

static void quota_is_not_taken_from_a_controller_of_like_name(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "3:cpuset:/a\n2:cpuacct:/a\n1:cpu:/a\n");
    put("/proc/self/mountinfo", "36 31 0:33 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset,gcpu,xcpu\n");
    put("/sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpuset/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(tina__cgroup_cpu_quota(root), 0);
    put("/proc/self/mountinfo", "36 31 0:33 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset,cpu\n");
    assert_int_equal(tina__cgroup_cpu_quota(root), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(meminfo_says_what_is_available),
        TEST(meminfo_missing_or_silent_is_no_limit),
        TEST(memory_without_groups_is_not_limited),
        TEST(memory_of_v2_is_what_the_limit_leaves),
        TEST(memory_of_v2_does_not_count_the_idle_page_cache),
        TEST(memory_of_v2_max_is_no_limit),
        TEST(memory_over_the_limit_leaves_nothing),
        TEST(memory_of_an_ancestor_counts),
        TEST(memory_of_the_topmost_group_counts),
        TEST(memory_of_v1_is_what_the_tightest_ancestor_leaves),
        TEST(memory_of_both_versions_is_the_tighter),
        TEST(memory_where_the_mount_shows_a_part_is_found),
        TEST(memory_where_the_group_is_outside_of_the_mount_is_the_mounts),
        TEST(quota_without_groups_is_none),
        TEST(quota_of_v2_is_rounded_up_to_cores),
        TEST(quota_of_v1_is_rounded_up_to_cores),
        TEST(quota_of_an_ancestor_counts),
        TEST(quota_is_not_taken_from_a_controller_of_like_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
