#include "server/recycling.h"

#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "server/json_writer.h"

enum { PATIENCE_MS = 1000 };

typedef struct recycling {
    fa_runtime *runtime;
    const char *name;
    _Atomic unsigned visited, found;
    /* of a question */
    fa_memory_question *question;
    fa_account *account; /* the worker's that asks */
} recycling;

static void recycle_here(void *context, fa_worker *worker)
{
    recycling *r = context;
    fa_upstreams *all = fa_runtime_upstreams(r->runtime, fa_worker_index(worker));
    fa_upstream *u = fa_upstreams_find(all, r->name);
    if (u == NULL && strcmp(r->name, "fetch") == 0)
        u = fa_upstreams_fetch(all);
    r->visited++;
    if (u == NULL)
        return;
    r->found++;
    fa_upstream_recycle(u, "asked for");
}

fa_result fa_recycle_and_wait(fa_runtime *runtime, const char *upstream, fa_buffer *out)
{
    char line[200];
    recycling r = {.runtime = runtime, .name = upstream};
    const fa_crew *crew = fa_runtime_crew(runtime);
    fa_crew_visit_and_wait(crew, PATIENCE_MS, recycle_here, &r);
    if (r.visited > 0 && r.found == 0)
        snprintf(line, sizeof(line), "error: there is no upstream \"%.60s\"\n", upstream);
    else
        snprintf(line, sizeof(line), "upstream %.60s: a new pool on %u of %u workers\n", upstream, r.found,
                 crew->count);
    return fa_buffer_append(out, line, strlen(line));
}

static fa_result write_answer(const recycling *r, fa_buffer *out)
{
    fa_json json = {.out = out};
    bool known = r->visited == 0 || r->found > 0;
    fa_json_open(&json, NULL, '{');
    fa_json_flag(&json, "ok", known);
    if (known) {
        fa_json_number(&json, "workers", r->found);
        fa_json_number(&json, "of", fa_runtime_crew(r->runtime)->count);
    } else {
        fa_json_text(&json, "error", "there is no upstream of that name");
    }
    fa_json_close(&json, '}');
    return json.result;
}

static void on_visited(void *context)
{
    recycling *r = context;
    fa_buffer *out = NULL;
    fa_memory_question *question = r->question;
    fa_result result = fa_buffer_new_detached(r->account, 200, "recycle answer", FA_HERE, &out);
    if (result == FA_OK)
        result = write_answer(r, out);
    fa_account_free(r->account, r, sizeof(*r));
    question->answered(question, result, out);
    if (out != NULL)
        fa_buffer_release(out);
}

fa_result fa_recycle_answer(fa_runtime *runtime, fa_memory_question *question)
{
    void *memory;
    fa_account *account = fa_scope_account(fa_worker_scope(question->worker));
    fa_result result = fa_account_allocate(account, sizeof(recycling), &memory);
    if (result != FA_OK)
        return result;
    recycling *r = memset(memory, 0, sizeof(*r));
    r->runtime = runtime;
    r->name = question->about;
    r->question = question;
    r->account = account;
    result = fa_crew_visit(fa_runtime_crew(runtime), question->worker, PATIENCE_MS, recycle_here, on_visited, r);
    if (result != FA_OK)
        fa_account_free(account, r, sizeof(*r));
    return result;
}
