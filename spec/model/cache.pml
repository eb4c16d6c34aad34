// The media cache: core/media/cache.c, with the lookups of core/media/media.c.
//
// Two workers serve one file of which new versions appear; each answer holds a lease until its client has it. Somebody shrinks the cache
// meanwhile. What the cache's mutex guards is a section between acquire and release; a lease is taken inside, given back outside.
//
//   get      fa_media_cache_get           allocate   fa_media_cache_allocate: make_room, then the charge
//   put      fa_media_cache_put           shrink     fa_media_cache_shrink: evict
//   give_back   fa_buffer_return          remove     remove_entry
//
// Asserted: nobody reads or frees bytes that were freed; the files never take more than the budget; files in flight are not evicted; when
// the cache has ended and the last client has gone, nothing is left.
//
// mutant LEASE_OUTSIDE: the lease is taken after the lock was opened
// mutant EVICT_FREES: eviction frees the bytes instead of letting the cache's hold go
// mutant PUT_KEEPS_OLD: a replaced entry is forgotten, not removed
// mutant EVICT_LEASED: files in flight are evicted too, as if that made room

#define BUFFERS 4
#define BUDGET 2
#define NO 255

bool locked;
byte entry = NO; // the buffer that is cached
byte holds[BUFFERS], leases[BUFFERS];
bool freed[BUFFERS];
byte used; // buffers that are charged for
byte made;
byte readers = 2;

inline acquire() { atomic { !locked -> locked = true } }
inline release() { locked = false }

inline drop(b)
{
    atomic {
        assert(!freed[b] && holds[b] > 0);
        holds[b]--;
        if :: holds[b] == 0 -> freed[b] = true; used-- :: else fi
    }
}

inline lease(b) { atomic { assert(!freed[b]); leases[b]++; holds[b]++ } }

inline give_back(b)
{
    atomic { assert(!freed[b]); leases[b]-- }
    drop(b)
}

inline remove()
{
    old = entry;
    entry = NO;
    drop(old)
}

// Under the lock. Only what is in nobody's lease gives room.
inline evict()
{
    if
#ifdef EVICT_LEASED
    :: entry != NO -> had = used; remove(); assert(used < had)
#else
#ifdef EVICT_FREES
    :: entry != NO && leases[entry] == 0 -> old = entry; entry = NO; atomic { freed[old] = true; used--; holds[old]-- }
#else
    :: entry != NO && leases[entry] == 0 -> remove()
#endif
#endif
    :: else
    fi
}

inline read_it(b) { assert(!freed[b]); skip; assert(!freed[b]) } // while it is being sent

proctype reader()
{
    byte b, old, had, left = 2;
    do
    :: left > 0 ->
        left--;
        b = NO;
        acquire();
        if
        :: entry != NO ->
            b = entry;
#ifndef LEASE_OUTSIDE
            lease(b);
#endif
        :: else
        fi;
        release();
#ifdef LEASE_OUTSIDE
        if :: b != NO -> lease(b) :: else fi;
#endif
        if
        :: b != NO -> // as it is on disk, or answered without looking
            read_it(b);
            give_back(b)
        :: made < BUFFERS -> // not there, or out of date: forget_known, read_whole
            if :: b != NO -> acquire(); if :: entry != NO -> remove() :: else fi; release(); give_back(b) :: else fi;
            acquire();
            if :: used >= BUDGET -> evict() :: else fi;
            release();
            atomic { // fa_account_charge
                if
                :: used < BUDGET && made < BUFFERS -> used++; b = made; made++; holds[b] = 1
                :: else -> b = NO // streamed, without the cache
                fi
            }
            if
            :: b != NO ->
                lease(b);
                acquire();
#ifdef PUT_KEEPS_OLD
                entry = NO;
#else
                if :: entry != NO -> remove() :: else fi;
#endif
                if
                :: entry = b // takes the owner's hold over
                :: drop(b) // no memory for an entry
                fi;
                release();
                read_it(b);
                give_back(b)
            :: else
            fi
        :: else
        fi
    :: else -> break
    od;
    readers--
}

proctype pressure()
{
    byte old, had;
    acquire();
    evict();
    release()
}

active proctype all()
{
    byte old;
    run reader();
    run reader();
    run pressure();
    _nr_pr == 1;
    if :: entry != NO -> remove() :: else fi; // end_cache
    assert(used == 0)
}
