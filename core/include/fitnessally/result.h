/* Results and error texts, shared by the core, embedders and plugins.
 *
 * A function that can fail returns an fa_result; the text that explains it goes into a caller-supplied fa_error. Nothing in
 * the library aborts on input or on a failed allocation of its own. Thread: any; fa_error belongs to its caller.
 */
#ifndef FITNESSALLY_RESULT_H
#define FITNESSALLY_RESULT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fa_result {
    FA_OK = 0,
    FA_NO_MEMORY,   /* the allocator said no */
    FA_OVER_BUDGET, /* an account on the way to the root has no room left */
    FA_INVALID,     /* an argument or input is wrong */
    FA_WRONG_STATE, /* right call, wrong moment: sealed, ended, already answered */
    FA_NOT_FOUND,
    FA_FULL, /* a capped table or queue is full */
    FA_CANCELLED,
    FA_TIMED_OUT,
    FA_IO, /* the operating system said no */
    FA_UNSUPPORTED,
    FA_CONFLICT /* somebody else has it: an address in use, a route declared twice */
} fa_result;

/* A short English name, for logs: "over budget". Never NULL; static. */
const char *fa_result_name(fa_result result);

typedef struct fa_error {
    char text[400];
} fa_error;

/* Writes the text (cut to fit) and returns `result`, so that `return fa_fail(error, FA_INVALID, "...")` reads well.
 * error: borrowed, may be NULL. */
fa_result fa_fail(fa_error *error, fa_result result, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
