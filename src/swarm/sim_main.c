/* What users call. */
#include "swarm/swarm.h"

#include <stdlib.h>

static tina_status simulate(const tina_system_spec *spec, const tina_sim_config *config, tina_sim_report *report,
                            tina_error *error)
{
    return tina_simulate(spec, config, report, error);
}

int tina_sim_main_with_points(int argc, char **argv, tina_sim_make_fn make, const char *points, const char *points_end)
{
    tina__points *list = malloc(sizeof *list);
    if (list == NULL) {
        fprintf(stderr, "no memory\n");
        return 2;
    }
    tina__points_list(list, points, points_end);
    const tina__subject subject = {.make = make, .simulate = simulate, .points = list};
    int result = tina__swarm_main(argc, argv, &subject, stdout, stderr);
    fflush(stdout);
    free(list);
    return result;
}
