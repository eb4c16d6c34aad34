#include "exchange/router.h"

#include <stdio.h>
#include <string.h>

#include "exchange/host_pattern.h"

enum { GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS, METHODS, MAX_SEGMENTS = 32 };

static const char *const method_names[METHODS] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};

typedef enum node_kind { NODE_LITERAL, NODE_NAME, NODE_REST } node_kind;

typedef struct node {
    fa_list siblings, children; /* children: literals first, then a name, then a rest */
    node_kind kind;
    fa_text text;         /* the literal, or the parameter's name */
    fa_origin first_made; /* by which route */
    struct {
        int target; /* -1: none */
        fa_origin made_at;
    } methods[METHODS];
} node;

/* The routes of one host, or of a pattern of hosts. */
typedef struct host_tree {
    fa_list link;
    fa_text pattern;
    node root;
} host_tree;

struct fa_router {
    fa_scope *scope;
    fa_list hosts; /* of host_tree, in the order in which they are asked */
    node root;     /* the routes for every host */
};

static void node_init(node *n, node_kind kind, fa_text text, fa_origin made_at)
{
    fa_list_init(&n->siblings);
    fa_list_init(&n->children);
    n->kind = kind;
    n->text = text;
    n->first_made = made_at;
    for (int i = 0; i < METHODS; ++i)
        n->methods[i].target = -1;
}

fa_router *fa_router_new(fa_scope *scope)
{
    fa_router *router = fa_scope_allocate(scope, sizeof(*router));
    if (router != NULL) {
        router->scope = scope;
        fa_list_init(&router->hosts);
        node_init(&router->root, NODE_LITERAL, FA_TEXT(""), (fa_origin){NULL, 0});
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

static node *add_child(fa_router *router, node *parent, node_kind kind, fa_text text, fa_origin made_at)
{
    node *child = fa_scope_allocate(router->scope, sizeof(*child));
    char *copy = fa_scope_copy_text(router->scope, text.data, text.length);
    if (child == NULL || copy == NULL)
        return NULL;
    node_init(child, kind, (fa_text){copy, text.length}, made_at);
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

/* ---- declaring ---- */

static host_tree *add_host(fa_router *router, fa_text pattern)
{
    host_tree *tree = fa_scope_allocate(router->scope, sizeof(*tree));
    char *copy = fa_scope_copy_text(router->scope, pattern.data, pattern.length);
    if (tree == NULL || copy == NULL)
        return NULL;
    tree->pattern = (fa_text){copy, pattern.length};
    node_init(&tree->root, NODE_LITERAL, FA_TEXT(""), (fa_origin){NULL, 0});
    fa_list *at = router->hosts.next;
    while (at != &router->hosts && !fa_host_pattern_before(pattern, FA_OBJECT(at, host_tree, link)->pattern))
        at = at->next;
    fa_list_insert_after(at->prev, &tree->link);
    return tree;
}

/* Where the routes of this host hang. */
static fa_result find_root(fa_router *router, const fa_route_declaration *d, node **root, fa_error *error)
{
    *root = &router->root;
    if (d->host == NULL)
        return FA_OK;
    fa_text pattern = {d->host, strlen(d->host)};
    if (!fa_host_pattern_is_sound(pattern))
        return fa_fail(error, FA_INVALID,
                       "route \"%s\": \"%s\" is no host: a name in lower case without port, or *.name", d->pattern,
                       d->host);
    FA_LIST_EACH(it, &router->hosts)
    {
        host_tree *tree = FA_OBJECT(it, host_tree, link);
        if (text_equal(tree->pattern, pattern)) {
            *root = &tree->root;
            return FA_OK;
        }
    }
    host_tree *tree = add_host(router, pattern);
    if (tree == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for a route");
    *root = &tree->root;
    return FA_OK;
}

static node_kind kind_of(fa_text segment)
{
    if (segment.length == 0)
        return NODE_LITERAL;
    return segment.data[0] == ':' ? NODE_NAME : segment.data[0] == '*' ? NODE_REST : NODE_LITERAL;
}

/* A name in a pattern: letters, digits, _ and -. "/:id?" or "/:file.json" would be names with that in them. */
static bool is_name(fa_text name)
{
    static const char known[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t i = 0;
    while (i < name.length && name.data[i] != '\0' && strchr(known, name.data[i]) != NULL)
        ++i;
    return i == name.length;
}

/* Why no request would ever reach a literal segment; NULL: one would. */
static const char *unreachable(fa_text segment)
{
    for (size_t i = 0; i < segment.length; ++i) {
        unsigned char c = (unsigned char)segment.data[i];
        if (c == '?' || c == '#')
            return "a pattern is a path; what follows ? is read with req:query";
        if (c == '%')
            return "a pattern is written as it reads, without %XX";
        if (c < ' ' || c == 0x7f || c == '\\')
            return "a path has no control characters and no backslash";
    }
    if (text_equal(segment, FA_TEXT(".")) || text_equal(segment, FA_TEXT("..")))
        return "a path has no parts . and ..";
    return NULL;
}

static fa_result check_parameter(const char *pattern, fa_text name, const fa_text *before, size_t count,
                                 fa_error *error)
{
    if (name.length == 0 || count >= FA_ROUTE_PARAMETERS)
        return fa_fail(error, FA_INVALID, "route \"%s\": a parameter needs a name, and there are at most %d", pattern,
                       FA_ROUTE_PARAMETERS);
    if (!is_name(name))
        return fa_fail(error, FA_INVALID,
                       "route \"%s\": a parameter is a whole part of the path, and its name has letters, digits, _ and "
                       "- only: \"%.*s\"",
                       pattern, (int)name.length, name.data);
    for (size_t i = 0; i < count; ++i) {
        if (text_equal(before[i], name))
            return fa_fail(error, FA_INVALID, "route \"%s\": two parameters are called \"%.*s\"", pattern,
                           (int)name.length, name.data);
    }
    return FA_OK;
}

/* What a pattern's shape allows, before anything is built of it. */
static fa_result check_pattern(const char *pattern, fa_error *error)
{
    fa_text rest = {pattern, strlen(pattern)}, segment, names[FA_ROUTE_PARAMETERS];
    size_t parameters = 0, depth = 0;
    if (pattern[0] != '/')
        return fa_fail(error, FA_INVALID, "route \"%s\": a pattern begins with /", pattern);
    while (next_segment(&rest, &segment)) {
        node_kind kind = kind_of(segment);
        fa_text name = {segment.data + 1, segment.length - 1};
        const char *problem = kind == NODE_LITERAL ? unreachable(segment) : NULL;
        if (problem != NULL)
            return fa_fail(error, FA_INVALID, "route \"%s\": %s", pattern, problem);
        if (kind != NODE_LITERAL) {
            if (check_parameter(pattern, name, names, parameters, error) != FA_OK)
                return FA_INVALID;
            names[parameters++] = name;
        }
        if (kind == NODE_REST && rest.length > 0)
            return fa_fail(error, FA_INVALID, "route \"%s\": nothing may follow *%.*s", pattern, (int)name.length,
                           name.data);
        if (++depth > MAX_SEGMENTS)
            return fa_fail(error, FA_INVALID, "route \"%s\": more than %d segments", pattern, MAX_SEGMENTS);
    }
    return FA_OK;
}

static fa_result find_or_add(fa_router *router, node *parent, fa_text segment, const fa_route_declaration *d,
                             node **out, fa_error *error)
{
    node_kind kind = kind_of(segment);
    fa_text text = kind == NODE_LITERAL ? segment : (fa_text){segment.data + 1, segment.length - 1};
    node *child = find_child(parent, kind, text);
    if (child != NULL && kind != NODE_LITERAL && !text_equal(child->text, text))
        return fa_fail(error, FA_CONFLICT,
                       "route \"%s\" at %s:%u: this segment is already called \"%.*s\" by the route at %s:%u",
                       d->pattern, d->made_at.name, (unsigned)d->made_at.line, (int)child->text.length,
                       child->text.data, child->first_made.name, (unsigned)child->first_made.line);
    if (child == NULL && (child = add_child(router, parent, kind, text, d->made_at)) == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory for a route");
    *out = child;
    return FA_OK;
}

fa_result fa_router_add(fa_router *router, const fa_route_declaration *d, fa_error *error)
{
    node *n;
    fa_text rest = {d->pattern, strlen(d->pattern)}, segment;
    int m = method_index((fa_text){d->method, strlen(d->method)});
    if (m < 0)
        return fa_fail(error, FA_INVALID, "%s is not a method that routes know", d->method);
    fa_result result = check_pattern(d->pattern, error);
    if (result == FA_OK)
        result = find_root(router, d, &n, error);
    while (result == FA_OK && next_segment(&rest, &segment))
        result = find_or_add(router, n, segment, d, &n, error);
    if (result != FA_OK)
        return result;
    const fa_origin *before = &n->methods[m].made_at;
    if (n->methods[m].target >= 0)
        return fa_fail(error, FA_CONFLICT, "route %s \"%s\"%s%s is declared twice: at %s:%u and at %s:%u", d->method,
                       d->pattern, d->host != NULL ? " of host " : "", d->host != NULL ? d->host : "", before->name,
                       (unsigned)before->line, d->made_at.name, (unsigned)d->made_at.line);
    n->methods[m].target = d->target;
    n->methods[m].made_at = d->made_at;
    return FA_OK;
}

/* ---- searching ---- */

typedef struct search {
    int method; /* -1: none of ours */
    fa_route *route;
    unsigned served; /* bits of the methods of those that matched but for the method */
} search;

static int target_of(const node *n, int method)
{
    if (method == HEAD && n->methods[HEAD].target < 0)
        method = GET;
    return method >= 0 ? n->methods[method].target : -1;
}

static void note_methods(const node *n, search *s)
{
    for (int i = 0; i < METHODS; ++i)
        s->served |= target_of(n, i) >= 0 ? 1u << i : 0;
}

/* Depth-first, literals before names before rests; a node that lacks the method is remembered for Allow and the search goes on. */
static bool match(const node *n, fa_text rest, search *s)
{
    fa_text after = rest, segment;
    if (!next_segment(&after, &segment)) {
        s->route->target = target_of(n, s->method);
        if (s->route->target < 0)
            note_methods(n, s);
        return s->route->target >= 0;
    }
    FA_LIST_EACH(it, &n->children)
    {
        const node *child = FA_OBJECT(it, node, siblings);
        if (child->kind == NODE_LITERAL ? !text_equal(child->text, segment)
                                        : child->kind == NODE_NAME && segment.length == 0)
            continue;
        if (child->kind == NODE_REST && s->served != 0)
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

static bool search_all(const fa_router *router, const fa_route_key *key, search *s)
{
    char plain[FA_HOST_SIZE];
    s->route->parameter_count = 0;
    if (fa_list_empty(&router->hosts))
        return match(&router->root, key->path, s);
    fa_text host = {plain, fa_host_plain(key->host, plain)};
    FA_LIST_EACH(it, &router->hosts)
    {
        const host_tree *tree = FA_OBJECT(it, host_tree, link);
        if (fa_host_pattern_matches(tree->pattern, host) && match(&tree->root, key->path, s))
            return true;
    }
    return match(&router->root, key->path, s);
}

static void write_allow(unsigned served, char allow[FA_ALLOW_SIZE])
{
    size_t used = 0;
    served |= served != 0 ? 1u << OPTIONS : 0;
    allow[0] = '\0';
    for (int i = 0; i < METHODS; ++i) { /* all of them take 46 bytes */
        if (served & (1u << i))
            used += (size_t)snprintf(allow + used, FA_ALLOW_SIZE - used, "%s%s", used > 0 ? ", " : "", method_names[i]);
    }
}

fa_result fa_router_match(const fa_router *router, const fa_route_key *key, fa_route *route, char allow[FA_ALLOW_SIZE])
{
    search s = {.method = method_index(key->method), .route = route};
    bool found = search_all(router, key, &s);
    write_allow(found ? 0 : s.served, allow);
    return found ? FA_OK : s.served != 0 ? FA_UNSUPPORTED : FA_NOT_FOUND;
}

bool fa_router_methods(const fa_router *router, const fa_route_key *key, char allow[FA_ALLOW_SIZE])
{
    fa_route unused;
    search s = {.method = -1, .route = &unused};
    search_all(router, key, &s);
    write_allow(s.served, allow);
    return s.served != 0;
}
