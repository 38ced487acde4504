/*
 * The code of docs/guides/metrics.md: a shop that counts what it sells, and a metrics
 * isolate that tells. It is rehearsed in a made world, with a scraper that is an isolate.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <tina/tina.h>

enum { TYPE_SHOP, TYPE_METRICS, TYPE_SCRAPER, TYPE_COUNT };
enum { TAG_ORDER = TINA_TAG_USER };

/* ---- What the shop counts ---- */

enum { TEA, COFFEE, KINDS };

/* Written by the shop, read by whoever answers a scraper: on any shard, so they are atomic. */
typedef struct shop_counts {
    _Atomic uint64_t orders[KINDS];
    _Atomic uint64_t brewing_ns;
} shop_counts;

static shop_counts counts;

static void count_order(unsigned kind, uint64_t took_ns)
{
    atomic_fetch_add_explicit(&counts.orders[kind], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts.brewing_ns, took_ns, memory_order_relaxed);
}

static bool tell_counts(tina_metrics_writer *writer, uint32_t part, void *user)
{
    static const char *const kinds[KINDS] = {"tea", "coffee"};
    shop_counts *all = user;
    (void)part; /* it is the only one */
    tina_metrics_family(writer, "shop_orders_total", TINA_METRICS_COUNTER, "Orders that were served.");
    for (unsigned i = 0; i < KINDS; i++) {
        const tina_metrics_label label = {"kind", kinds[i]};
        tina_metrics_number(writer, &label, 1, atomic_load_explicit(&all->orders[i], memory_order_relaxed));
    }
    tina_metrics_family(writer, "shop_brewing_seconds_total", TINA_METRICS_COUNTER, "How long was brewed.");
    tina_metrics_seconds(writer, NULL, 0, atomic_load_explicit(&all->brewing_ns, memory_order_relaxed));
    return false; /* nothing is left to tell */
}

/* ---- The shop ---- */

typedef struct shop {
    uint32_t served;
} shop;

static tina_effect shop_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    if (tina_timer_repeat(ctx, 1000000000, TAG_ORDER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect shop_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    shop *me = self;
    (void)ctx;
    if (message->tag == TINA_TAG_SHUTDOWN)
        return tina_done();
    if (message->tag == TAG_ORDER)
        count_order(me->served++ % 3 == 0 ? COFFEE : TEA, 250000000);
    return tina_receive();
}

/* ---- The rehearsal: ten seconds of the shop, then a scrape ---- */

typedef struct scraper {
    tina_fd fd;
    size_t size;
    char text[65536];
} scraper;

static bool was_told;

static tina_effect scraper_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    (void)self, (void)args, (void)args_size;
    if (tina_timer_start(ctx, 10500000000, TINA_TAG_TIMER, NULL) != TINA_OK)
        return tina_crash(1);
    return tina_receive();
}

static tina_effect scraper_connect(scraper *me, tina_ctx *ctx)
{
    const tina_address address = tina_ipv4(127, 0, 0, 1, 9464);
    if (tina_socket(ctx, address.family, TINA_STREAM, &me->fd) != TINA_OK)
        return tina_crash(2);
    return tina_io_connect(ctx, me->fd, &address, 0);
}

static tina_effect scraper_take(scraper *me, const tina_message *message, tina_ctx *ctx)
{
    if (message->io.status != TINA_OK || me->size + message->io.size >= sizeof me->text) {
        was_told = strstr(me->text, "\nshop_orders_total{kind=\"tea\"} 6\n") != NULL &&
                   strstr(me->text, "\nshop_orders_total{kind=\"coffee\"} 4\n") != NULL &&
                   strstr(me->text, "\nshop_brewing_seconds_total 2.5\n") != NULL;
        tina_stop_system(ctx);
        return tina_receive();
    }
    memcpy(me->text + me->size, message->io.data, message->io.size);
    me->size += message->io.size;
    return tina_io_recv(ctx, me->fd);
}

static tina_effect scraper_handle(void *self, const tina_message *message, tina_ctx *ctx)
{
    static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
    scraper *me = self;
    switch (message->tag) {
    case TINA_TAG_TIMER: return scraper_connect(me, ctx);
    case TINA_IO_CONNECT: return tina_io_send(ctx, me->fd, request, sizeof request - 1);
    case TINA_IO_SEND: return tina_io_recv(ctx, me->fd);
    case TINA_IO_RECV: return scraper_take(me, message, ctx);
    case TINA_TAG_SHUTDOWN: return tina_done();
    default: return tina_receive();
    }
}

/* ---- The system ---- */

int main(void)
{
    static const tina_type types[] = {
        [TYPE_SHOP] = {.name = "shop", .init = shop_init, .handler = shop_handle, .size = sizeof(shop)},
        [TYPE_METRICS] = TINA_METRICS_TYPE(8),
        [TYPE_SCRAPER] = {.name = "scraper", .init = scraper_init, .handler = scraper_handle, .size = sizeof(scraper)},
    };
    static const tina_metrics_args metrics = {
        .address = "127.0.0.1:9464",
        .extra = tell_counts,
        .user = &counts,
    };
    static const tina_child children[] = {
        {.type = TYPE_SHOP},
        {.type = TYPE_METRICS, .args = &metrics, .args_size = sizeof metrics},
        {.type = TYPE_SCRAPER},
    };
    const tina_system_spec spec = {
        .types = types,
        .type_count = TYPE_COUNT,
        .shard_count = 1,
        .root = {.children = children, .child_count = sizeof children / sizeof children[0]},
        .log_sink = tina_log_to_stderr,
    };
    const tina_sim_config config = {.seed = 1, .ticks_max = 100000};
    tina_sim_report report;
    tina_error error;
    if (tina_simulate(&spec, &config, &report, &error) != TINA_OK || report.end != TINA_SIM_STOPPED || !was_told) {
        fprintf(stderr, "the scraper was not told what it should be: %s %s\n", error.path, error.message);
        return 1;
    }
    return 0;
}
