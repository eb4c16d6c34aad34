/* Connections of an upstream: how many there may be, and how old one may get. */
#include <string.h>
#include <unistd.h>

#include "upstream_world.h"

enum { CROWD = 60 };

/* All at once; the service hears of so many connections at most, and everybody is answered. */
static void crowd_over(const char *limit, size_t most)
{
    static asked all[CROWD];
    upstream_world *w = upstream_world_begin(limit, "max_idle=60", NULL);
    memset(all, 0, sizeof(all));
    for (int i = 0; i < CROWD; ++i) {
        all[i].path = "/hello";
        upstream_start(w, &all[i]);
        assert_ok(all[i].started);
    }
    for (int i = 0; i < CROWD; ++i) {
        upstream_await(w, &all[i]);
        assert_int_equal(all[i].kind, FA_FAILED_NOT);
    }
    assert_int_equal(w->service.requests, CROWD);
    assert_in_range(w->service.connections, 1, most);
    upstream_world_end(w);
}

static void so_many_in_total(void **state)
{
    (void)state;
    crowd_over("connections=4", 4);
}

static void so_many_to_one_host(void **state)
{
    (void)state;
    crowd_over("connections_per_host=3", 3);
}

/* Asked again and again, never idle: only its age can end it. */
static void an_old_connection_is_not_used_again(void **state)
{
    (void)state;
    upstream_world *w = upstream_world_begin("connection_max_age=1s", NULL);
    uint64_t start = fa_now_ms();
    while (w->service.connections < 2 && fa_now_ms() - start < 60000) {
        asked a = {.path = "/hello"};
        upstream_ask(w, &a);
        assert_int_equal(a.kind, FA_FAILED_NOT);
        usleep(5000);
    }
    assert_int_equal(w->service.connections, 2);
    assert_true(fa_now_ms() - start >= 1000);
    upstream_world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_in_total),
        cmocka_unit_test(so_many_to_one_host),
        cmocka_unit_test(an_old_connection_is_not_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
