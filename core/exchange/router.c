#include "exchange/router.h"

#include <stdio.h>
#include <string.h>

enum { METHODS = 6, MAX_SEGMENTS = 32 };

static const char *const method_names[METHODS] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

typedef enum node_kind { NODE_LITERAL, NODE_NAME, NODE_REST } node_kind;

typedef struct node {
    fa_list siblings, children; /* children: literals first, then a name, then a rest */
    node_kind kind;
    fa_text text; /* the literal, or the parameter's name */
    struct {
        int target; /* -1: none */
        fa_origin made_at;
    } methods[METHODS];
} node;

struct fa_router {
    fa_scope *scope;
    node root;
};

static void node_init(node *n, node_kind kind, fa_text text)
{
    fa_list_init(&n->siblings);
    fa_list_init(&n->children);
    n->kind = kind;
    n->text = text;
    for (int i = 0; i < METHODS; ++i)
        n->methods[i].target = -1;
}

fa_router *fa_router_new(fa_scope *scope)
{
    fa_router *router = fa_scope_allocate(scope, sizeof(*router));
    if (router != NULL) {
        router->scope = scope;
        node_init(&router->root, NODE_LITERAL, FA_TEXT(""));
    }
    return router;
}

static bool text_equal(fa_text a, fa_text b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* Cuts the segment after the leading slash off `rest`. False at the end. */
static bool next_segment(fa_text *rest, fa_text *segment)
{
    if (rest->length == 0)
        return false;
    const char *start = rest->data + 1, *end = rest->data + rest->length;
    const char *slash = memchr(start, '/', (size_t)(end - start));
    if (slash == NULL)
        slash = end;
    *segment = (fa_text){start, (size_t)(slash - start)};
    *rest = (fa_text){slash, (size_t)(end - slash)};
    return true;
}

static node *find_child(const node *parent, node_kind kind, fa_text text)
{
    FA_LIST_EACH(it, &parent->children)
    {
        node *child = FA_OBJECT(it, node, siblings);
        if (child->kind == kind && (kind != NODE_LITERAL || text_equal(child->text, text)))
            return child;
    }
    return NULL;
}

static node *add_child(fa_router *router, node *parent, node_kind kind, fa_text text)
{
    node *child = fa_scope_allocate(router->scope, sizeof(*child));
    char *copy = fa_scope_copy_text(router->scope, text.data, text.length);
    if (child == NULL || copy == NULL)
        return NULL;
    node_init(child, kind, (fa_text){copy, text.length});
    fa_list *at = parent->children.prev;
    while (at != &parent->children && FA_OBJECT(at, node, siblings)->kind > kind)
        at = at->prev;
    fa_list_insert_after(at, &child->siblings);
    return child;
}

static int method_index(fa_text method)
{
    for (int i = 0; i < METHODS; ++i) {
        if (strlen(method_names[i]) == method.length && memcmp(method_names[i], method.data, method.length) == 0)
            return i;
    }
    return -1;
}

fa_result fa_router_add(fa_router *router, const char *method, const char *pattern, int target, fa_origin made_at,
                        fa_error *error)
{
    fa_text rest = {pattern, strlen(pattern)}, segment;
    int m = method_index((fa_text){method, strlen(method)});
    node *n = &router->root;
    size_t parameters = 0, depth = 0;
    if (m < 0)
        return fa_fail(error, FA_INVALID, "%s is not a method that routes know", method);
    if (pattern[0] != '/')
        return fa_fail(error, FA_INVALID, "route \"%s\": a pattern begins with /", pattern);
    while (next_segment(&rest, &segment)) {
        node_kind kind = segment.length == 0      ? NODE_LITERAL
                         : segment.data[0] == ':' ? NODE_NAME
                         : segment.data[0] == '*' ? NODE_REST
                                                  : NODE_LITERAL;
        if (kind != NODE_LITERAL && (segment.length == 1 || ++parameters > FA_ROUTE_PARAMETERS))
            return fa_fail(error, FA_INVALID, "route \"%s\": a parameter needs a name, and there are at most %d",
                           pattern, FA_ROUTE_PARAMETERS);
        if (kind == NODE_REST && rest.length > 0)
            return fa_fail(error, FA_INVALID, "route \"%s\": nothing may follow *%.*s", pattern,
                           (int)segment.length - 1, segment.data + 1);
        if (++depth > MAX_SEGMENTS)
            return fa_fail(error, FA_INVALID, "route \"%s\": more than %d segments", pattern, MAX_SEGMENTS);
        fa_text text = kind == NODE_LITERAL ? segment : (fa_text){segment.data + 1, segment.length - 1};
        node *child = find_child(n, kind, text);
        if (child != NULL && kind != NODE_LITERAL && !text_equal(child->text, text))
            return fa_fail(error, FA_CONFLICT, "route \"%s\": this segment is already called \"%.*s\" by another route",
                           pattern, (int)child->text.length, child->text.data);
        if (child == NULL && (child = add_child(router, n, kind, text)) == NULL)
            return fa_fail(error, FA_NO_MEMORY, "no memory for a route");
        n = child;
    }
    if (n->methods[m].target >= 0)
        return fa_fail(error, FA_CONFLICT, "route %s \"%s\" is declared twice: at %s:%u and at %s:%u", method, pattern,
                       n->methods[m].made_at.name, (unsigned)n->methods[m].made_at.line, made_at.name,
                       (unsigned)made_at.line);
    n->methods[m].target = target;
    n->methods[m].made_at = made_at;
    return FA_OK;
}

enum { ALLOW_SIZE = 64 }; /* all methods and HEAD take 46 bytes */

static void add_method(char *allow, const char *name)
{
    size_t used = strlen(allow);
    snprintf(allow + used, ALLOW_SIZE - used, "%s%s", used > 0 ? ", " : "", name);
}

static void write_allow(const node *n, char *allow, bool *any)
{
    for (int i = 0; i < METHODS; ++i) {
        if (n->methods[i].target < 0 || strstr(allow, method_names[i]) != NULL)
            continue;
        add_method(allow, method_names[i]);
        if (i == 0)
            add_method(allow, "HEAD");
        *any = true;
    }
}

typedef struct search {
    int method;
    fa_route *route;
    char *allow;
    bool any;
} search;

/* Depth-first, literals before names before rests; a node that lacks the method is remembered for Allow and the search goes on. */
static bool match(const node *n, fa_text rest, search *s)
{
    fa_text after = rest, segment;
    if (!next_segment(&after, &segment)) {
        if (s->method >= 0 && n->methods[s->method].target >= 0) {
            s->route->target = n->methods[s->method].target;
            return true;
        }
        write_allow(n, s->allow, &s->any);
        return false;
    }
    FA_LIST_EACH(it, &n->children)
    {
        const node *child = FA_OBJECT(it, node, siblings);
        if (child->kind == NODE_LITERAL ? !text_equal(child->text, segment)
                                        : child->kind == NODE_NAME && segment.length == 0)
            continue;
        if (child->kind == NODE_REST && s->any)
            break;
        fa_text value = child->kind == NODE_REST ? (fa_text){rest.data + 1, rest.length - 1} : segment;
        size_t count = s->route->parameter_count;
        if (child->kind != NODE_LITERAL) {
            s->route->parameters[count].name = child->text;
            s->route->parameters[count].value = value;
            s->route->parameter_count++;
        }
        if (match(child, child->kind == NODE_REST ? (fa_text){rest.data + rest.length, 0} : after, s))
            return true;
        s->route->parameter_count = count;
    }
    return false;
}

fa_result fa_router_match(const fa_router *router, fa_text method, fa_text path, fa_route *route, char allow[64])
{
    search s = {.method = method_index(text_equal(method, FA_TEXT("HEAD")) ? FA_TEXT("GET") : method),
                .route = route,
                .allow = allow};
    route->parameter_count = 0;
    allow[0] = '\0';
    if (match(&router->root, path, &s))
        return FA_OK;
    return s.any ? FA_UNSUPPORTED : FA_NOT_FOUND;
}
