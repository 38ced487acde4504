/* What the kernel watches for a backend that asks it to. Include it after <cmocka.h>. */
#ifndef TESTS_BACKEND_WATCHES_H
#define TESTS_BACKEND_WATCHES_H

#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* What the process's epoll instances watch, by all of them. */
static inline int count_watches(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fdinfo");
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300], line[256];
        snprintf(path, sizeof path, "/proc/self/fdinfo/%s", entry->d_name);
        FILE *info = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        while (info != NULL && fgets(line, sizeof line, info) != NULL)
            count += strncmp(line, "tfd:", 4) == 0;
        if (info != NULL)
            fclose(info);
    }
    closedir(folder);
    return count;
}

#endif
