#include "base/c_locale.h"

/* That of C is a constant of the library: there is nothing to free. */
locale_t fa_c_locale_enter(void)
{
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

void fa_c_locale_leave(locale_t before)
{
    uselocale(before);
}
