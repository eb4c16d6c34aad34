#include "exchange/json_depth.h"

bool fa_json_deeper_than(fa_text text, unsigned most)
{
    unsigned depth = 0;
    bool inside_string = false;
    for (size_t i = 0; i < text.length; ++i) {
        char c = text.data[i];
        if (inside_string) {
            inside_string = c != '"';
            i += c == '\\'; /* whatever it escapes is no end */
        } else if (c == '"') {
            inside_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > most)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return false;
}
