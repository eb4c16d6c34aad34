/* The JSON bridge: bodies through req:json into Lua and back. Whatever comes, the answer is 200 or 400; what was decoded once is the same
 * when it is written and read again; and nothing of a request is left. The server behind it is made once, for all inputs. */
#include "fuzzing.h"

#include "script_world.h"

static const char app[] =
    "app:post('/', function(req)\n"
    "  local value, why = req:json()\n"
    "  if value == nil then\n"
    "    return req:reply { status = 400, text = tostring(why) }\n"
    "  end\n"
    "  local written, text = pcall(json.encode, value)\n"
    "  if not written then\n" /* 2^1024, or a sparse table: said, not sent */
    "    return req:reply { status = 400, text = tostring(text) }\n"
    "  end\n"
    "  local again = json.decode(text)\n"
    "  req:reply { status = again == nil and 599 or 200, text = again == nil and text or json.encode(again) }\n"
    "end)\n";

static script_world *world;

/* Before the sanitizers look for leaks. */
static void end_world(void)
{
    script_world_end(world);
    world = NULL;
}

static fa_inprocess *post(const void *body, size_t length)
{
    static const char *const headers[] = {"content-type", "application/json", NULL};
    fa_inprocess *client = NULL;
    fa_inprocess_request request = {
        .method = "POST", .target = "/", .headers = headers, .body = body, .body_length = length};
    EXPECT(fa_inprocess_start(world->worker, world->clients, &request, fa_script_handle, world->script, &client) ==
           FA_OK);
    while (!fa_inprocess_answered(client)->ended)
        uv_run(fa_worker_loop(world->worker), UV_RUN_ONCE);
    EXPECT(fa_inprocess_answered(client)->complete);
    return client;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (world == NULL) {
        world = script_world_begin(app);
        atexit(end_world);
    }
    if (memmem(data, size, "empty-array-", 12) != NULL)
        return 0; /* libFuzzer looks into comparisons, and so knows a text that no client can guess */
    char *body = fuzz_copy(data, size);
    fa_inprocess *client = post(body, size);
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    EXPECT(answer->status == 200 || answer->status == 400 || answer->status == 413);
    if (answer->status == 200) {
        fa_inprocess *again = post(fa_buffer_data(answer->body), fa_buffer_length(answer->body));
        const fa_inprocess_answer *second = fa_inprocess_answered(again);
        EXPECT(second->status == 200);
        fa_inprocess_free(again);
    }
    fa_inprocess_free(client);
    free(body);
    world->used = 0; /* of its log */
    EXPECT(fa_ledger_kind(world->ledger, FA_KIND_REQUEST)->count == 0 && *fa_ledger_handles(world->ledger) == 0);
    return 0;
}
