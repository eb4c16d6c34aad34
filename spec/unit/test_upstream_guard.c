/* The guard's addresses, the token bucket, the breaker, the backoff. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "testing.h"
#include "upstream/guard.h"
#include "upstream/health.h"

static bool allows(const fa_guard *guard, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return fa_guard_allows(guard, (struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return fa_guard_allows(guard, (struct sockaddr *)&v6);
}

static void only_the_public_internet(void **state)
{
    static const char *const refused[] = {"0.0.0.0",
                                          "0.1.2.3",
                                          "10.0.0.1",
                                          "10.255.255.255",
                                          "100.64.0.1",
                                          "100.127.255.255",
                                          "127.0.0.1",
                                          "127.255.255.254",
                                          "169.254.0.1",
                                          "169.254.169.254",
                                          "172.16.0.1",
                                          "172.31.255.255",
                                          "192.0.0.1",
                                          "192.0.2.1",
                                          "192.168.0.1",
                                          "192.168.255.255",
                                          "198.18.0.1",
                                          "198.19.255.255",
                                          "198.51.100.1",
                                          "203.0.113.1",
                                          "224.0.0.1",
                                          "239.255.255.255",
                                          "240.0.0.1",
                                          "255.255.255.255",
                                          "192.88.99.1",
                                          "::",
                                          "::1",
                                          "::ffff:127.0.0.1",
                                          "::ffff:10.0.0.1",
                                          "::ffff:169.254.169.254",
                                          "64:ff9b::127.0.0.1",
                                          "64:ff9b::a00:1",
                                          "64:ff9b:1::1",
                                          "::127.0.0.1",
                                          "fe80::1",
                                          "fec0::1",
                                          "fc00::1",
                                          "fd00:ec2::254",
                                          "ff02::1",
                                          "2001::1",
                                          "2001:db8::1",
                                          "2002:7f00:1::",
                                          "3fff::1",
                                          "100::1",
                                          "5f00::1",
                                          "4000::1"};
    static const char *const allowed[] = {"1.1.1.1",         "8.8.8.8",         "9.255.255.255",
                                          "11.0.0.0",        "100.63.255.255",  "100.128.0.0",
                                          "126.255.255.255", "128.0.0.1",       "169.253.255.255",
                                          "169.255.0.0",     "172.15.255.255",  "172.32.0.0",
                                          "192.167.255.255", "192.169.0.0",     "198.17.255.255",
                                          "198.20.0.0",      "223.255.255.255", "2606:4700:4700::1111",
                                          "2a00:1450::1",    "::ffff:1.1.1.1",  "64:ff9b::1.1.1.1",
                                          "2001:200::1"};
    fa_guard guard;
    (void)state;
    assert_ok(fa_guard_read(&guard, NULL, "80,443", NULL));
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i) {
        if (allows(&guard, refused[i]))
            fail_msg("%s was let through", refused[i]);
    }
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); ++i) {
        if (!allows(&guard, allowed[i]))
            fail_msg("%s was refused", allowed[i]);
    }
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(fa_guard_allows(&guard, &other));
}

static void what_is_allowed_by_name(void **state)
{
    fa_guard guard;
    fa_error error;
    (void)state;
    assert_ok(fa_guard_read(&guard, "10.1.0.0/16, fd00::/8,127.0.0.1", "any", NULL));
    assert_true(allows(&guard, "10.1.2.3"));
    assert_true(allows(&guard, "::ffff:10.1.2.3"));
    assert_true(allows(&guard, "64:ff9b::10.1.2.3"));
    assert_false(allows(&guard, "10.2.0.1"));
    assert_true(allows(&guard, "fd12::1"));
    assert_false(allows(&guard, "fc12::1"));
    assert_true(allows(&guard, "127.0.0.1"));
    assert_false(allows(&guard, "127.0.0.2"));
    assert_true(fa_guard_allows_port(&guard, 22));
    static const char *const bad[] = {"10.1.0.0/33", "fd00::/129", "x",          "10.1/16",
                                      "10.1.0.0/-1", "10.1.0.0/",  "10.1.0.0/1x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
        assert_int_equal(fa_guard_read(&guard, bad[i], NULL, &error), FA_INVALID);
    assert_int_equal(fa_guard_read(&guard, NULL, "80,x", &error), FA_INVALID);
    assert_int_equal(fa_guard_read(&guard, NULL, "0", &error), FA_INVALID);
    assert_int_equal(fa_guard_read(&guard, NULL, "65536", &error), FA_INVALID);
    assert_int_equal(fa_guard_read(&guard, NULL, "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", &error), FA_FULL);
    assert_ok(fa_guard_read(&guard, NULL, "80,443", NULL));
    assert_true(fa_guard_allows_port(&guard, 443));
    assert_false(fa_guard_allows_port(&guard, 8443));
}

static void a_bucket_fills_by_requests(void **state)
{
    fa_bucket b;
    (void)state;
    fa_bucket_init(&b, 2, 10);
    assert_true(fa_bucket_take(&b));
    assert_true(fa_bucket_take(&b));
    assert_false(fa_bucket_take(&b));
    for (int i = 0; i < 9; ++i)
        fa_bucket_request(&b);
    assert_false(fa_bucket_take(&b));
    fa_bucket_request(&b);
    assert_true(fa_bucket_take(&b));
    for (int i = 0; i < 1000; ++i)
        fa_bucket_request(&b);
    assert_int_equal(b.hundredths, 200);
    fa_bucket_init(&b, 0, 100);
    fa_bucket_request(&b);
    assert_false(fa_bucket_take(&b));
}

static void a_breaker_opens_and_tries(void **state)
{
    fa_breaker b;
    (void)state;
    fa_breaker_init(&b, 3, 100);
    for (int i = 0; i < 2; ++i)
        fa_breaker_failure(&b, 10);
    fa_breaker_success(&b);
    for (int i = 0; i < 2; ++i)
        fa_breaker_failure(&b, 10);
    assert_true(fa_breaker_enter(&b, 10));
    fa_breaker_failure(&b, 10);
    assert_false(fa_breaker_enter(&b, 10));
    assert_false(fa_breaker_enter(&b, 109));
    assert_true(fa_breaker_enter(&b, 110)); /* the trial */
    assert_false(fa_breaker_enter(&b, 111));
    fa_breaker_failure(&b, 120);
    assert_false(fa_breaker_enter(&b, 219));
    assert_true(fa_breaker_enter(&b, 220));
    fa_breaker_forget(&b);
    assert_true(fa_breaker_enter(&b, 221));
    fa_breaker_success(&b);
    assert_true(fa_breaker_enter(&b, 222));
    assert_true(fa_breaker_enter(&b, 222));
    assert_int_equal(b.opened, 2);
    fa_breaker_init(&b, 0, 100);
    for (int i = 0; i < 100; ++i)
        fa_breaker_failure(&b, 10);
    assert_true(fa_breaker_enter(&b, 10));
}

static void waits_double_up_to_the_cap(void **state)
{
    (void)state;
    assert_int_equal(fa_backoff(100, 5000, 0, 0), 50);
    assert_in_range(fa_backoff(100, 5000, 0, UINT32_MAX), 99, 100);
    assert_int_equal(fa_backoff(100, 5000, 3, 0), 400);
    assert_int_equal(fa_backoff(100, 5000, 63, 0), 2500);
    assert_int_equal(fa_backoff(1, 1, 0, 0), 1);
    assert_in_range(fa_backoff(3600000, 3600000, 10, UINT32_MAX), 3599999, 3600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_public_internet),   cmocka_unit_test(what_is_allowed_by_name),
        cmocka_unit_test(a_bucket_fills_by_requests), cmocka_unit_test(a_breaker_opens_and_tries),
        cmocka_unit_test(waits_double_up_to_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
