/* The Lua heap of a state: counted to the byte, and limited.
 *
 * LuaJIT's own allocator stays; ours stands before it from the moment the state exists until just before it is closed. The limit
 * holds where reaching it is a Lua error that somebody catches: while Lua runs inside lua_resume or lua_pcall. What C pushes outside of
 * these (the arguments of a task, the results of a call, a traceback) is small and is let through, for there "not enough memory" would
 * be a panic. Only when the system itself refuses memory there does the process still end.
 *
 * Whoever has been refused gets an eighth more until control is back in C, so that it can answer and clean up before its garbage is
 * collected there.
 *
 * LuaJIT does not collect when memory is refused, and by itself lets a heap double before it collects. So from half of the limit on we
 * make it collect: a heap whose live part is below the half does not fail for its garbage.
 */
#include "script/internal.h"

enum { STEPS = 16 }; /* the collector is woken with every such part of the limit */

static void wake_collector(fa_heap *heap)
{
    if (heap->bytes < heap->limit / 2) {
        heap->wake_at = heap->limit / 2;
    } else if (heap->bytes >= heap->wake_at) {
        heap->wake_at = heap->bytes + heap->limit / STEPS;
        lua_gc(heap->lua, LUA_GCRESTART, 0); /* only sets the threshold: allowed here */
    }
}

static void *allocate(void *context, void *block, size_t old_size, size_t size)
{
    fa_heap *heap = context;
    size_t limit = heap->graced ? heap->limit + heap->limit / 8 : heap->limit;
    if (size > old_size && heap->strict && limit != 0 && heap->bytes + (size - old_size) > limit) {
        fa_script *script = FA_OBJECT(heap, fa_script, heap);
        heap->refused++;
        if (!heap->graced)
            fa_lua_place(script->current != NULL ? script->current->co : heap->lua, heap->refused_at,
                         sizeof(heap->refused_at));
        heap->graced = true;
        return NULL;
    }
    void *fresh = heap->allocate(heap->context, block, old_size, size);
    if (fresh == NULL && size != 0)
        return NULL;
    heap->bytes = heap->bytes - old_size + size;
    if (heap->bytes > heap->peak)
        heap->peak = heap->bytes;
    if (heap->limit != 0)
        wake_collector(heap);
    return fresh;
}

void fa_heap_begin(fa_heap *heap, lua_State *L, size_t limit)
{
    heap->lua = L;
    heap->limit = limit;
    heap->wake_at = limit / 2;
    heap->bytes = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
    heap->peak = heap->bytes;
    heap->allocate = lua_getallocf(L, &heap->context);
    lua_setallocf(L, allocate, heap);
}

fa_script *fa_heap_script(lua_State *L)
{
    void *context;
    if (lua_getallocf(L, &context) != allocate)
        return NULL;
    fa_heap *heap = context;
    return FA_OBJECT(heap, fa_script, heap);
}

void fa_heap_end(fa_heap *heap)
{
    if (heap->allocate != NULL)
        lua_setallocf(heap->lua, heap->allocate,
                      heap->context); /* by its own allocator a state knows how to be closed */
    heap->allocate = NULL;
}

bool fa_heap_strict(fa_script *script, bool strict)
{
    bool before = script->heap.strict;
    script->heap.strict = strict;
    return before;
}

bool fa_heap_full(fa_script *script)
{
    const fa_heap *heap = &script->heap;
    if (heap->limit != 0 && heap->bytes >= heap->limit && script->current == NULL)
        lua_gc(script->lua, LUA_GCCOLLECT, 0);
    return heap->limit != 0 && heap->bytes >= heap->limit;
}

void fa_heap_relieve(fa_script *script)
{
    if (script->heap.graced && script->current == NULL) {
        lua_gc(script->lua, LUA_GCCOLLECT, 0);
        script->heap.graced = false;
        script->heap.refused_at[0] = '\0';
    }
}
