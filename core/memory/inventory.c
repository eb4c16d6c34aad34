#include "memory/inventory.h"

#include <stdio.h>
#include <string.h>

#include "memory/buffer.h"
#include "memory/census.h"
#include "memory/handle.h"

void fa_inventory_add(fa_inventory *inventory, const fa_item *item)
{
    if (inventory->count < FA_INVENTORY_ITEMS)
        inventory->items[inventory->count] = *item;
    inventory->count++;
}

static void add_scope(fa_inventory *inventory, const fa_scope *scope, fa_item *item)
{
    item->what = "scope";
    item->bytes = fa_account_bytes(fa_scope_account(scope));
    item->at = fa_scope_made_at(scope);
    snprintf(item->name, sizeof(item->name), "'%s'", fa_scope_label(scope));
    fa_inventory_add(inventory, item);
}

static void add_buffers(fa_inventory *inventory, fa_scope *scope, fa_item *item)
{
    item->what = "buffer";
    FA_LIST_EACH(node, fa_scope_buffers(scope))
    {
        const fa_buffer *buffer = fa_buffer_of_node(node);
        item->bytes = fa_buffer_cost(buffer);
        item->at = fa_buffer_made_at(buffer);
        snprintf(item->name, sizeof(item->name), "'%s' of %s", fa_buffer_label(buffer), fa_scope_label(scope));
        fa_inventory_add(inventory, item);
    }
}

static void add_handles(fa_inventory *inventory, fa_scope *scope, fa_item *item)
{
    item->what = "handle";
    item->bytes = 0;
    FA_LIST_EACH(node, fa_scope_handles(scope))
    {
        item->at = fa_handle_look(node, item->name, sizeof(item->name));
        fa_inventory_add(inventory, item);
    }
}

void fa_inventory_take(fa_inventory *inventory, fa_scope *root, const fa_scope *except, bool lasting, unsigned worker)
{
    for (fa_scope *at = fa_scope_walk(root, NULL, true); at != NULL; at = fa_scope_walk(root, at, at != except)) {
        fa_item item = {.kind = fa_scope_kind(at), .worker = worker};
        if (at == except)
            continue;
        if (lasting || !fa_kind_lasts(item.kind)) {
            add_scope(inventory, at, &item);
            add_buffers(inventory, at, &item);
        }
        add_handles(inventory, at, &item);
    }
}

void fa_inventory_merge(fa_inventory *into, const fa_inventory *from)
{
    size_t kept = from->count < FA_INVENTORY_ITEMS ? from->count : FA_INVENTORY_ITEMS;
    for (size_t i = 0; i < kept; ++i)
        fa_inventory_add(into, &from->items[i]);
    into->count += from->count - kept;
}

bool fa_scope_within(const fa_scope *scope, const fa_scope *above)
{
    while (above != NULL && scope != NULL && scope != above)
        scope = fa_scope_parent(scope);
    return above != NULL && scope == above;
}

char *fa_item_text(const fa_item *item, char *out, size_t size)
{
    char place[200], bytes[32] = "";
    const char *how = strcmp(item->what, "task") == 0 ? "waits at" : "made at";
    if (item->bytes > 0)
        snprintf(bytes, sizeof(bytes), ", %zu bytes", item->bytes);
    if (item->at.name == NULL)
        snprintf(out, size, "%s %s%s", item->what, item->name, bytes);
    else
        snprintf(out, size, "%s %s%s, %s %s", item->what, item->name, bytes, how,
                 fa_origin_text(item->at, place, sizeof(place)));
    return out;
}
