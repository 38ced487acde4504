/* The type's two functions: which part does this isolate play? */
#include "metrics/isolate.h"

#include <string.h>

tina_effect tina_metrics_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    tina_metrics_args settings = {0};
    if (args_size == TINA_ARGS_MAX)
        return tina__scraper_init(self, args, ctx);
    if (args_size != 0) /* a program of an older header has fewer */
        memcpy(&settings, args, args_size < sizeof settings ? args_size : sizeof settings);
    return tina__listener_init(self, &settings, ctx);
}

tina_effect tina_metrics_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    const uint8_t *part = self;
    if (*part == TINA__METRICS_LISTENER)
        return tina__listener_handle(self, message, ctx);
    return tina__scraper_handle(self, message, ctx);
}
