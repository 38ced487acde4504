#include "os/cgroup.h"

#include "base/bits.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Text files ---- */

static FILE *open_text(const char *root, const char *folder, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    return length < (int)sizeof path ? fopen(path, "re") : NULL;
}

/* "max", -1 (v1's word for it) and whatever is no number are UINT64_MAX: no limit. */
static uint64_t number_of(const char *text)
{
    if (!isdigit((unsigned char)*text))
        return UINT64_MAX;
    return strtoull(text, NULL, 10);
}

static uint64_t read_number(const char *root, const char *folder, const char *name, uint64_t absent)
{
    char line[64];
    FILE *file = open_text(root, folder, name);
    if (file == NULL)
        return absent;
    bool is_there = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    return is_there ? number_of(line) : absent;
}

/* The number behind a key that begins a line, such as "MemAvailable:" or "inactive_file". */
static uint64_t read_keyed(const char *root, const char *folder, const char *name, const char *key, uint64_t absent)
{
    FILE *file = open_text(root, folder, name);
    if (file == NULL)
        return absent;
    char line[256];
    size_t length = strlen(key);
    uint64_t value = absent;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            value = number_of(line + length + strspn(line + length, " "));
    }
    fclose(file);
    return value;
}

uint64_t tina__meminfo_available(const char *root)
{
    uint64_t kib = read_keyed(root, "/proc", "meminfo", "MemAvailable:", UINT64_MAX);
    return kib <= UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX;
}

/* ---- Which folder is the process's group ---- */

typedef struct group_folder {
    char path[PATH_MAX];
    size_t mount_length; /* of path, up to and with the hierarchy's mount point: its topmost group */
} group_folder;

static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length) {
        bool begins = at == list || at[-1] == ',';
        bool ends = at[length] == '\0' || at[length] == ',' || at[length] == '\n';
        if (begins && ends)
            return true;
    }
    return false;
}

/* A line of /proc/self/cgroup, "4:memory:/path"; of v2, whose controller here is "", "0::/path". */
static char *path_of_line(char *line, const char *controller)
{
    char *controllers = strchr(line, ':');
    char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL)
        return NULL;
    *controllers++ = '\0';
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    bool is_ours = *controller != '\0' ? list_has(controllers, controller) : strcmp(line, "0") == 0;
    return is_ours ? path : NULL;
}

static bool find_path(const char *root, const char *controller, char *path, size_t size)
{
    FILE *file = open_text(root, "/proc/self", "cgroup");
    if (file == NULL)
        return false;
    char *line = NULL, *found = NULL;
    size_t capacity = 0;
    while (found == NULL && getline(&line, &capacity, file) > 0)
        found = path_of_line(line, controller);
    bool fits = found != NULL && snprintf(path, size, "%s", found) < (int)size;
    free(line);
    fclose(file);
    return fits;
}

typedef struct mount_line {
    char *group;      /* the group that is seen at the mount point */
    char *point;      /* where */
    const char *kind; /* the file system */
    const char *options;
} mount_line;

/* "32 31 0:29 GROUP POINT rw,relatime [optional ...] - KIND source OPTIONS" */
static bool split_mount(char *line, mount_line *out)
{
    char *rest = NULL;
    strtok_r(line, " \n", &rest);
    for (int i = 0; i < 2; i++)
        strtok_r(NULL, " \n", &rest);
    out->group = strtok_r(NULL, " \n", &rest);
    out->point = strtok_r(NULL, " \n", &rest);
    const char *word = out->point;
    while (word != NULL && strcmp(word, "-") != 0)
        word = strtok_r(NULL, " \n", &rest);
    if (word == NULL)
        return false;
    out->kind = strtok_r(NULL, " \n", &rest);
    strtok_r(NULL, " \n", &rest);
    out->options = strtok_r(NULL, " \n", &rest);
    return out->options != NULL;
}

static bool mount_is_for(const mount_line *mount, const char *controller)
{
    if (*controller == '\0')
        return strcmp(mount->kind, "cgroup2") == 0;
    return strcmp(mount->kind, "cgroup") == 0 && list_has(mount->options, controller);
}

/* A container may see only the part of the hierarchy below its own group; then the path, seen from outside, begins with it. */
static const char *path_below(const char *path, const char *group)
{
    size_t length = strlen(group);
    if (strcmp(group, "/") == 0)
        return path;
    if (strncmp(path, group, length) == 0 && (path[length] == '/' || path[length] == '\0'))
        return path + length;
    return "";
}

static bool set_folder(group_folder *folder, const mount_line *mount, const char *path)
{
    const char *below = path_below(path, mount->group);
    if (strstr(below, "..") != NULL) /* outside of the process's own namespace */
        below = "";
    folder->mount_length = strlen(mount->point);
    int length = snprintf(folder->path, sizeof folder->path, "%s%s", mount->point, below);
    return length < (int)sizeof folder->path;
}

static bool find_folder(const char *root, const char *controller, group_folder *folder)
{
    char path[PATH_MAX];
    if (!find_path(root, controller, path, sizeof path))
        return false;
    FILE *file = open_text(root, "/proc/self", "mountinfo");
    if (file == NULL)
        return false;
    char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    while (!found && getline(&line, &capacity, file) > 0) {
        mount_line mount;
        found = split_mount(line, &mount) && mount_is_for(&mount, controller) && set_folder(folder, &mount, path);
    }
    free(line);
    fclose(file);
    return found;
}

/* False: there is none above. */
static bool go_to_parent(group_folder *folder)
{
    size_t length = strlen(folder->path);
    if (length <= folder->mount_length)
        return false;
    while (length > folder->mount_length && folder->path[length - 1] != '/')
        length--;
    while (length > folder->mount_length && folder->path[length - 1] == '/')
        length--;
    folder->path[length] = '\0';
    return true;
}

/* ---- Memory ---- */

typedef struct memory_files {
    const char *controller, *limit, *usage, *inactive;
} memory_files;

static const memory_files memory_v1 = {"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
static const memory_files memory_v2 = {"", "memory.max", "memory.current", "inactive_file"};

static uint64_t left_in(const char *root, const char *folder, const memory_files *files)
{
    uint64_t limit = read_number(root, folder, files->limit, UINT64_MAX);
    if (limit == UINT64_MAX)
        return UINT64_MAX;
    uint64_t usage = read_number(root, folder, files->usage, 0);
    usage -= tina__min_u64(usage, read_keyed(root, folder, "memory.stat", files->inactive, 0));
    return limit - tina__min_u64(limit, usage);
}

static uint64_t least_left(const char *root, const memory_files *files)
{
    uint64_t least = UINT64_MAX;
    group_folder folder;
    if (!find_folder(root, files->controller, &folder))
        return least;
    do
        least = tina__min_u64(least, left_in(root, folder.path, files));
    while (go_to_parent(&folder));
    return least;
}

uint64_t tina__cgroup_memory_left(const char *root)
{
    return tina__min_u64(least_left(root, &memory_v1), least_left(root, &memory_v2));
}

/* ---- Quota ---- */

static uint64_t cores_of(uint64_t quota, uint64_t period)
{
    if (quota == UINT64_MAX || period == UINT64_MAX || period == 0)
        return UINT64_MAX;
    return tina__max_u64(quota / period + (quota % period != 0), 1);
}

static uint64_t cores_v1(const char *root, const char *folder)
{
    return cores_of(read_number(root, folder, "cpu.cfs_quota_us", UINT64_MAX),
                    read_number(root, folder, "cpu.cfs_period_us", UINT64_MAX));
}

/* "max 100000" or "150000 100000". */
static uint64_t cores_v2(const char *root, const char *folder)
{
    char line[64] = "";
    FILE *file = open_text(root, folder, "cpu.max");
    if (file == NULL)
        return UINT64_MAX;
    bool is_there = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    const char *period = is_there ? strchr(line, ' ') : NULL;
    return period != NULL ? cores_of(number_of(line), number_of(period + 1)) : UINT64_MAX;
}

static uint64_t least_cores(const char *root, const char *controller,
                            uint64_t (*cores)(const char *root, const char *folder))
{
    uint64_t least = UINT64_MAX;
    group_folder folder;
    if (!find_folder(root, controller, &folder))
        return least;
    do
        least = tina__min_u64(least, cores(root, folder.path));
    while (go_to_parent(&folder));
    return least;
}

size_t tina__cgroup_cpu_quota(const char *root)
{
    uint64_t least = tina__min_u64(least_cores(root, "cpu", cores_v1), least_cores(root, "", cores_v2));
    return least != UINT64_MAX ? (size_t)least : 0;
}
