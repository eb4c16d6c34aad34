/* Moved exchanges while one of the edges drains, is cut or is gone. */
#include "move_world.h"

#include <sys/socket.h>
#include <unistd.h>

static move_world world;

static int up(void **state)
{
    (void)state;
    move_init(&world);
    move_up(&world);
    return 0;
}

static int down(void **state)
{
    (void)state;
    move_down(&world);
    return 0;
}

static void note_drained(void *context)
{
    ((edge_world *)context)->drained++;
}

static void drain(edge_world *edge)
{
    fa_http_drain(edge->http, note_drained, edge);
}

static void cut(edge_world *edge)
{
    fa_http_cut(edge->http);
}

static void drain_waits_and_cut_cuts(void **state)
{
    (void)state;
    edge_world *home = &world.edges[1];
    int fd = move_client(&world, 0, "/go?to=1");
    assert_true(wait_for(&world.adopted, 1, 2000));
    world_order(home, drain);
    usleep(120000);
    assert_int_equal(home->drained, 0);
    assert_int_equal(fa_http_connections(home->http), 1);
    assert_int_equal(fa_http_requests(home->http), 1);
    world_order(home, cut);
    assert_true(client_sees_end(fd, 2000, NULL));
    assert_true(wait_for(&home->drained, 1, 2000));
    assert_int_equal(world.gone, 1);
    close(fd);
    home->drained = 0; /* move_down drains once more, and hears of it at once */
}

/* Its head has left: there is nothing else that it could be told. */
static void who_comes_while_it_drains_is_taken_in(void **state)
{
    (void)state;
    edge_world *home = &world.edges[1];
    world.way = HOLD;
    int fd = move_client(&world, 0, "/go?to=1&events=3");
    assert_true(wait_for(&world.moved, 1, 2000));
    world_order(home, drain);
    assert_true(wait_for(&home->drained, 1, 2000)); /* it had nobody */
    move_release(&world);
    move_assert_events(move_reply(fd)->body, 3);
    close(fd);
    assert_true(wait_for(&home->drained, 2, 2000));
    assert_int_equal(fa_http_connections(home->http), 0);
    home->drained = 0;
}

static void a_moved_connection_does_not_hold_its_old_edge(void **state)
{
    (void)state;
    edge_world *old = &world.edges[0];
    int fd = move_client(&world, 0, "/go?to=1");
    assert_true(wait_for(&world.adopted, 1, 2000));
    world_order(old, drain);
    assert_true(wait_for(&old->drained, 1, 2000));
    world_order(old, cut);
    assert_false(client_sees_end(fd, 100, NULL));
    assert_int_equal(world_count(old, FA_KIND_REQUEST), 1);
    old->drained = 0;
    close(fd);
}

static void a_ticket_outlives_the_worker_it_came_from(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; ++i) {
        world.way = HOLD;
        int fd = move_client(&world, 2 - (int)i, "/go?to=0&events=3");
        assert_true(wait_for(&world.moved, i + 1, 2000));
        world_stop(&world.edges[2 - i]);
        world.stopped[2 - i] = true;
        move_release(&world);
        move_assert_events(move_reply(fd)->body, 3);
        close(fd);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(drain_waits_and_cut_cuts),
        TEST(who_comes_while_it_drains_is_taken_in),
        TEST(a_moved_connection_does_not_hold_its_old_edge),
        TEST(a_ticket_outlives_the_worker_it_came_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
