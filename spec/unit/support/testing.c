#include "testing.h"

#include <unistd.h>

#include "base/clock.h"

static void turn(fa_worker *worker)
{
    uv_run(fa_worker_loop(worker), UV_RUN_NOWAIT);
    usleep(200);
}

bool fa_test_run_until(fa_worker *worker, const bool *flag)
{
    for (uint64_t start = fa_now_ms(); !*flag && fa_now_ms() - start < 20000;)
        turn(worker);
    return *flag;
}

void fa_test_run_for(fa_worker *worker, unsigned milliseconds)
{
    for (uint64_t start = fa_now_ms(); fa_now_ms() - start < milliseconds;)
        turn(worker);
}
