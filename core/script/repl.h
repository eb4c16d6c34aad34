/* What an operator types, run in a state that serves: `fitnessally repl`.
 *
 * A line is a chunk of Lua. It runs as a task of its own, in a scope of its own that ends with it: what it opens is closed and what it
 * spawns is cancelled then. The time slice and the heap limit hold for it as for every script. It has the environment of a script that
 * is not trusted; the globals that it makes are seen by the later lines of the same repl in the same state, and by nobody else.
 *
 * Thread: the worker's.
 */
#ifndef FA_SCRIPT_REPL_H
#define FA_SCRIPT_REPL_H

#include "exchange/text.h"
#include "script/script.h"

typedef struct fa_repl fa_repl;

/* Texts are borrowed for the call. */
typedef struct fa_repl_listener {
    void (*printed)(void *context, fa_text text); /* in the midst of a script: it must not end the repl's scope */
    /* The line is over: what it gave, or its error with the traceback. From the loop, or from within fa_repl_run and fa_repl_stop; it may
     * end the repl's scope. */
    void (*done)(void *context, bool well, fa_text text);
    void *context;
} fa_repl_listener;

/* In memory of `scope`, a scope of the worker's thread, with which it ends. number: never given to another one. line_budget: bytes that
 * one line may own beside the Lua heap; 0: no limit. FA_NO_MEMORY. */
fa_result fa_repl_new(fa_worker *worker, fa_scope *scope, unsigned number, size_t line_budget,
                      const fa_repl_listener *listener, fa_repl **repl);

/* Runs a chunk, or prints the values of an expression. FA_OK: `done` is told, perhaps before this returns. FA_WRONG_STATE: the one
 * before is not over. FA_NO_MEMORY, FA_OVER_BUDGET: it was not run. From the loop. */
fa_result fa_repl_run(fa_repl *repl, fa_script *script, fa_text chunk);
bool fa_repl_busy(const fa_repl *repl);

/* The line that runs, if one does, is cancelled. reason: copied. From the loop, with no script above on the stack. */
void fa_repl_stop(fa_repl *repl, const char *reason);

/* The state forgets the globals of the repl with that number. */
void fa_repl_forget(fa_script *script, unsigned number);

#endif
