/* Notices that Lua files in some folders have changed, by the kernel's word (inotify). A file counts when whoever writes it has closed it,
 * or has moved it to its place: so do editors that write by renaming, and a whole checkout. Folders that come later are watched, too.
 * Thread: its owner's. */
#ifndef FA_SERVER_FILE_WATCH_H
#define FA_SERVER_FILE_WATCH_H

#include "base/log.h"
#include "memory/scope.h"

typedef struct fa_file_watch fa_file_watch;

enum { FA_WATCHED_FOLDERS = 1024 }; /* more are not watched, which is logged once */

/* roots: folders, with all below them but what begins with a dot and node_modules; NULL-terminated; one that is not there is left out. In
 * memory of the scope, which is that thread's. FA_IO, FA_NO_MEMORY. */
fa_result fa_file_watch_open(fa_scope *scope, const char *const *roots, const fa_log *log, fa_file_watch **watch,
                             fa_error *error);

int fa_file_watch_fd(const fa_file_watch *watch); /* readable: there is news */

/* Reads the news: whether any of it is about a Lua file. Does not wait. */
bool fa_file_watch_changed(fa_file_watch *watch);

/* NULL is ignored. */
void fa_file_watch_close(fa_file_watch *watch);

#endif
