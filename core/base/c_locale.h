/* Numbers are written and read with a point, whatever locale the program has set: one that embeds us may have called setlocale(LC_ALL, ""), and
 * for many people a half is "0,5". */
#ifndef FA_BASE_C_LOCALE_H
#define FA_BASE_C_LOCALE_H

#include <locale.h>

/* The calling thread writes and reads as the C locale does, until its end or until fa_c_locale_leave is given what this returns. Allocates
 * nothing. Thread: any. */
locale_t fa_c_locale_enter(void);
void fa_c_locale_leave(locale_t before);

#endif
