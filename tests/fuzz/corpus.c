/*
 * The main function of a fuzz target where no fuzzer is linked: feeds it each file of
 * the folders that are given. A target that finds something aborts; the last line
 * says at which file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In a block of exactly its size, so that a sanitizer sees a read beyond. */
static int feed_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        return 1;
    }
    size_t size = (size_t)ftell(file);
    uint8_t *data = malloc(size + 1);
    rewind(file);
    if (data == NULL || fread(data + 1, 1, size, file) != size) {
        perror(path);
        return 1;
    }
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data + 1, size);
    free(data);
    return 0;
}

static int feed_folder(const char *folder)
{
    int wrong = 0, count = 0;
    char path[4096];
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        perror(folder);
        return 1;
    }
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        wrong += feed_file(path);
        count++;
    }
    closedir(entries);
    printf("%d files, %d unreadable\n", count, wrong);
    return wrong != 0 || count == 0;
}

int main(int argc, char **argv)
{
    int wrong = argc < 2;
    for (int i = 1; i < argc; i++)
        wrong += feed_folder(argv[i]);
    return wrong != 0;
}
