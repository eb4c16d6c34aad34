#include "worker/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_SIGNAL = 4, NS_PER_MS = 1000000 };

#if defined(__SANITIZE_THREAD__)
/* ThreadSanitizer holds signals back until the next call that it knows, and compiled scripts make none. */
extern int __sigaction(int number, const struct sigaction *action, struct sigaction *old);
#define sigaction_for_real __sigaction
#define NOT_WATCHED        __attribute__((no_sanitize("thread")))
#else
#define sigaction_for_real sigaction
#define NOT_WATCHED
#endif

/* What the watchdog knows of a turn. */
typedef struct sighting {
    uint64_t turn; /* 0: none */
    uint64_t since_ns;
} sighting;

typedef struct watch {
    fa_watched *watched;
    sighting inner, outer;
    uint64_t begun;
} watch;

struct fa_watchdog {
    fa_scope *scope;
    const fa_log *log;
    uint64_t tick_ns, hard_ns;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop, watches and count */
    pthread_cond_t woken;
    _Atomic bool asleep;
    _Atomic uint64_t looks;
    bool stop;
    watch watches[FA_MAX_WATCHED];
    size_t count;
    int number;
};

/* ---- the signal: a process has one disposition of it, whatever servers run in it ---- */

static pthread_mutex_t signal_lock = PTHREAD_MUTEX_INITIALIZER; /* guards these three */
static int signal_users, signal_number;
static struct sigaction signal_before;

static _Thread_local fa_watched *current; /* of this thread; read by its own handler */
static _Thread_local int kernel_thread;

NOT_WATCHED static void on_signal(int number)
{
    int before = errno;
    fa_watched *w = current;
    (void)number;
    if (w != NULL) {
        uint64_t turn = atomic_load_explicit(&w->turn, memory_order_relaxed);
        bool overdue = turn != 0 && (turn == atomic_load_explicit(&w->overdue, memory_order_relaxed) ||
                                     turn == atomic_load_explicit(&w->outermost_overdue, memory_order_relaxed));
        if (overdue && atomic_load_explicit(&w->tell, memory_order_relaxed)) {
            w->interrupt(w->context, w->text);
            atomic_store_explicit(&w->told, true, memory_order_release);
        } else if (overdue) {
            w->interrupt(w->context, NULL);
        }
    }
    errno = before;
}

static bool take_signal(int *number)
{
    pthread_mutex_lock(&signal_lock);
    for (int n = SIGRTMIN + FIRST_SIGNAL; signal_users == 0 && n <= SIGRTMAX; ++n) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        if (sigaction_for_real(n, NULL, &signal_before) != 0 || (signal_before.sa_flags & SA_SIGINFO) != 0 ||
            signal_before.sa_handler != SIG_DFL || sigaction_for_real(n, &action, NULL) != 0)
            continue;
        signal_number = n;
        break;
    }
    bool taken = signal_number != 0;
    signal_users += taken;
    *number = signal_number;
    pthread_mutex_unlock(&signal_lock);
    return taken;
}

static void give_signal_back(void)
{
    pthread_mutex_lock(&signal_lock);
    if (--signal_users == 0) {
        sigaction_for_real(signal_number, &signal_before, NULL);
        signal_number = 0;
    }
    pthread_mutex_unlock(&signal_lock);
}

/* ---- turns, on the threads that are watched ---- */

/* Once for each thread: an embedder may have blocked every signal in it. */
static void know_thread(const fa_watchdog *dog)
{
    sigset_t ours;
    kernel_thread = (int)syscall(SYS_gettid);
    sigemptyset(&ours);
    sigaddset(&ours, dog->number);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

static void wake(fa_watchdog *dog)
{
    pthread_mutex_lock(&dog->lock);
    atomic_store(&dog->asleep, false);
    pthread_cond_signal(&dog->woken);
    pthread_mutex_unlock(&dog->lock);
}

void fa_watched_begin(fa_watched *w, uint64_t limit_ms, fa_interrupt interrupt, void *context, fa_turn_outside *outside)
{
    uint64_t begun = atomic_load_explicit(&w->begun, memory_order_relaxed) + 1;
    fa_watchdog *dog = atomic_load_explicit(&w->dog, memory_order_relaxed);
    *outside = (fa_turn_outside){current,
                                 atomic_load_explicit(&w->turn, memory_order_relaxed),
                                 atomic_load_explicit(&w->outermost, memory_order_relaxed),
                                 atomic_load_explicit(&w->limit_ms, memory_order_relaxed),
                                 w->interrupt,
                                 w->context};
    current = NULL; /* no signal finds half a turn */
    atomic_signal_fence(memory_order_seq_cst);
    if (dog != NULL && kernel_thread == 0)
        know_thread(dog);
    w->interrupt = interrupt;
    w->context = context;
    atomic_store_explicit(&w->thread, kernel_thread, memory_order_relaxed);
    atomic_store_explicit(&w->limit_ms, limit_ms, memory_order_relaxed);
    atomic_store_explicit(&w->begun, begun, memory_order_relaxed);
    if (outside->turn == 0)
        atomic_store_explicit(&w->outermost, begun, memory_order_relaxed);
    atomic_store(&w->turn, begun); /* seen before `asleep` is read: either we see it asleep, or it sees us */
    current = w;
    if (dog != NULL && atomic_load(&dog->asleep))
        wake(dog);
}

void fa_watched_apart(fa_watched *w)
{
    atomic_store_explicit(&w->outermost, atomic_load_explicit(&w->turn, memory_order_relaxed), memory_order_relaxed);
}

bool fa_watched_end(fa_watched *w, const fa_turn_outside *outside)
{
    current = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    w->interrupt = outside->interrupt;
    w->context = outside->context;
    atomic_store_explicit(&w->limit_ms, outside->limit_ms, memory_order_relaxed);
    atomic_store_explicit(&w->outermost, outside->outermost, memory_order_relaxed);
    atomic_store_explicit(&w->turn, outside->turn, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    current = outside->watched;
    return outside->turn != 0 && outside->turn == atomic_load_explicit(&w->outermost_overdue, memory_order_relaxed);
}

/* ---- the thread ---- */

/* Processor time of any thread of this process, as pthread_getcpuclockid makes its clocks, but for one that may have ended: then false. */
static bool thread_time(int thread, uint64_t *ns)
{
    struct timespec used;
    clockid_t clock = (clockid_t)((~(unsigned)thread << 3) | 6);
    if (clock_gettime(clock, &used) != 0)
        return false;
    *ns = (uint64_t)used.tv_sec * 1000 * NS_PER_MS + (uint64_t)used.tv_nsec;
    return true;
}

static uint64_t seen_for(sighting *s, uint64_t turn, uint64_t now_ns)
{
    if (s->turn != turn)
        *s = (sighting){turn, now_ns};
    return turn != 0 ? now_ns - s->since_ns : 0;
}

static void give_up(const fa_watchdog *dog, fa_watched *w, int thread)
{
    atomic_store(&w->tell, true);
    for (int i = 0; i < 50 && !atomic_load_explicit(&w->told, memory_order_acquire); ++i) {
        syscall(SYS_tgkill, getpid(), thread, dog->number);
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
    }
    fa_log at_once = *dog->log;
    at_once.ring = NULL; /* nobody will write what is in it any more */
    fa_log_write(&at_once, FA_LOG_ERROR,
                 "a script cannot be interrupted and has gone on for %llu ms (script_hard): %s; the process is aborted",
                 (unsigned long long)(dog->hard_ns / NS_PER_MS),
                 atomic_load(&w->told) ? w->text : "where is not known");
    abort();
}

/* Returns whether anybody has run since the last look; wait_ns: until the next one. */
static bool look_at(fa_watchdog *dog, watch *o, uint64_t *wait_ns)
{
    fa_watched *w = o->watched;
    uint64_t turn = atomic_load(&w->turn), outermost = atomic_load(&w->outermost), begun = atomic_load(&w->begun);
    uint64_t limit_ns = atomic_load(&w->limit_ms) * NS_PER_MS, now_ns = 0;
    int thread = atomic_load(&w->thread);
    bool moved = begun != o->begun || turn != 0;
    o->begun = begun;
    if (turn == 0 || !thread_time(thread, &now_ns)) {
        o->inner.turn = o->outer.turn = 0;
        return moved;
    }
    uint64_t inner_ns = seen_for(&o->inner, turn, now_ns), outer_ns = seen_for(&o->outer, outermost, now_ns);
    uint64_t last_ns = limit_ns + dog->hard_ns; /* from when it could have been stopped */
    if (dog->hard_ns != 0 && outer_ns >= last_ns && inner_ns >= last_ns)
        give_up(dog, w, thread);
    if (limit_ns == 0)
        return moved;
    if (inner_ns >= limit_ns || outer_ns >= limit_ns) {
        if (inner_ns >= limit_ns)
            atomic_store(&w->overdue, turn);
        if (outer_ns >= limit_ns)
            atomic_store(&w->outermost_overdue, outermost);
        syscall(SYS_tgkill, getpid(), thread, dog->number); /* again at every look: one may have come at a bad moment */
    } else if (limit_ns - inner_ns < *wait_ns) {
        *wait_ns = limit_ns - inner_ns;
    }
    return moved;
}

static bool anybody_runs(const fa_watchdog *dog)
{
    for (size_t i = 0; i < dog->count; ++i) {
        if (atomic_load(&dog->watches[i].watched->turn) != 0)
            return true;
    }
    return false;
}

static void wait_for(fa_watchdog *dog, uint64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ns / (1000 * NS_PER_MS));
    until.tv_nsec += (long)(ns % (1000 * NS_PER_MS));
    if (until.tv_nsec >= 1000 * NS_PER_MS) {
        until.tv_sec++;
        until.tv_nsec -= 1000 * NS_PER_MS;
    }
    while (!dog->stop && pthread_cond_timedwait(&dog->woken, &dog->lock, &until) == 0)
        ;
}

static void *watch_all(void *argument)
{
    fa_watchdog *dog = argument;
    pthread_mutex_lock(&dog->lock);
    while (!dog->stop) {
        bool moved = false;
        uint64_t wait_ns = dog->tick_ns;
        atomic_fetch_add(&dog->looks, 1);
        for (size_t i = 0; i < dog->count; ++i)
            moved = look_at(dog, &dog->watches[i], &wait_ns) || moved;
        if (moved) {
            wait_for(dog, wait_ns);
            continue;
        }
        atomic_store(&dog->asleep, true);
        if (anybody_runs(dog))
            atomic_store(&dog->asleep, false);
        while (!dog->stop && atomic_load(&dog->asleep))
            pthread_cond_wait(&dog->woken, &dog->lock);
    }
    pthread_mutex_unlock(&dog->lock);
    return NULL;
}

/* ---- beginning and end ---- */

static int start_thread(fa_watchdog *dog)
{
    pthread_condattr_t attributes;
    sigset_t all, before;
    pthread_mutex_init(&dog->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&dog->woken, &attributes);
    pthread_condattr_destroy(&attributes);
    sigfillset(&all); /* the process's signals are for others */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&dog->thread, NULL, watch_all, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0)
        pthread_setname_np(dog->thread, "fa-watchdog");
    return status;
}

fa_result fa_watchdog_new(fa_scope *scope, const fa_log *log, uint64_t tick_ms, uint64_t hard_ms, fa_watchdog **out,
                          fa_error *error)
{
    fa_watchdog *dog = fa_scope_allocate(scope, sizeof(*dog));
    if (dog == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for the watchdog");
    dog->scope = scope;
    dog->log = log;
    dog->tick_ns = tick_ms * NS_PER_MS;
    dog->hard_ns = hard_ms * NS_PER_MS;
    if (!take_signal(&dog->number)) {
        fa_scope_free(scope, dog);
        return fa_fail(error, FA_UNSUPPORTED, "the watchdog needs a real-time signal, and all have handlers already");
    }
    int status = start_thread(dog);
    if (status != 0) {
        give_signal_back();
        pthread_cond_destroy(&dog->woken);
        pthread_mutex_destroy(&dog->lock);
        fa_scope_free(scope, dog);
        return fa_fail(error, FA_IO, "no thread for the watchdog: %s", strerror(status));
    }
    *out = dog;
    return FA_OK;
}

fa_result fa_watchdog_add(fa_watchdog *dog, fa_watched *watched)
{
    pthread_mutex_lock(&dog->lock);
    bool room = dog->count < FA_MAX_WATCHED;
    if (room)
        dog->watches[dog->count++] = (watch){.watched = watched};
    pthread_mutex_unlock(&dog->lock);
    if (!room)
        return FA_FULL;
    atomic_store(&watched->dog, dog);
    return FA_OK;
}

void fa_watchdog_free(fa_watchdog *dog)
{
    if (dog == NULL)
        return;
    pthread_mutex_lock(&dog->lock);
    dog->stop = true;
    pthread_cond_signal(&dog->woken);
    pthread_mutex_unlock(&dog->lock);
    pthread_join(dog->thread, NULL);
    for (size_t i = 0; i < dog->count; ++i)
        atomic_store(&dog->watches[i].watched->dog, NULL);
    give_signal_back();
    pthread_cond_destroy(&dog->woken);
    pthread_mutex_destroy(&dog->lock);
    fa_scope_free(dog->scope, dog);
}

int fa_watchdog_signal(const fa_watchdog *dog)
{
    return dog->number;
}

uint64_t fa_watchdog_looks(const fa_watchdog *dog)
{
    return atomic_load(&dog->looks);
}
