/* What users call. */
#include "swarm/swarm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRONG = 2 };

static tina_status simulate(const tina_system_spec *spec, const tina_sim_config *config, tina_sim_report *report,
                            tina_error *error)
{
    return tina_simulate(spec, config, report, error);
}

static int wrong_output(void)
{
    fprintf(stderr, "standard output can't be written: %s\n", strerror(errno));
    return WRONG;
}

/* Where a standard stream is closed, the next file opened would be taken for it. */
static void fill_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int tina_sim_main_with_points(int argc, char **argv, tina_sim_make_fn make, const char *points, const char *points_end)
{
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
        return wrong_output();
    fill_standard_streams();
    tina__points *list = malloc(sizeof *list);
    if (list == NULL) {
        fprintf(stderr, "no memory\n");
        return WRONG;
    }
    tina__points_list(list, points, points_end);
    const tina__subject subject = {.make = make, .simulate = simulate, .points = list};
    int result = tina__swarm_main(argc, argv, &subject, stdout, stderr);
    free(list);
    return fflush(stdout) == 0 && !ferror(stdout) ? result : wrong_output();
}
