/* How deep a JSON text nests, before anybody decodes it: a decoder that recurses would find out too late. Thread: any. */
#ifndef FA_EXCHANGE_JSON_DEPTH_H
#define FA_EXCHANGE_JSON_DEPTH_H

#include "exchange/exchange.h"

/* Whether arrays and objects stand in each other more than `most` deep. Of a text that is no JSON it says something, in linear
 * time and without reading outside; a decoder then finds the mistake. */
bool fa_json_deeper_than(fa_text text, unsigned most);

#endif
