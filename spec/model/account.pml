// Accounts: core/memory/account.c, and the leases of core/memory/buffer.c that keep them alive.
//
// A server's account has a budget; two owners stand below it, each on a thread of its own. An owner charges, makes a sealed buffer, gives a
// lease of it to another thread (bytes in flight to a socket), and ends; whoever drops the last hold frees and subtracts, on whatever
// thread. Each atomic operation of the code is one step here.
//
//   charge     fa_account_charge: add_total, count_own           discharge   fa_account_discharge: uncount_own, subtract_total
//   unref      fa_account_unref                                  drop        drop_reference, fa_buffer_return
//
// Asserted: no total is ever above its budget; a refused charge leaves nothing; nobody touches an account or a buffer that was freed, and
// each is freed once; at the end every figure is 0.
//
// mutant CHECK_THEN_ADD: the room is looked at and taken in two steps
// mutant REFUSED_STAYS: what was counted below is not taken back when there is no room above
// mutant UNREF_FIRST: the account is let go before the bytes are subtracted
// mutant LANDED_LATE: the last lease tells the account only after its own hold is gone

#define BUDGET 3
#define OWNERS 2
#define KIND_BUDGET 2

byte server_total, kind_bytes;
byte total[OWNERS], bytes[OWNERS], leased[OWNERS], references[OWNERS];
bool freed[OWNERS]; // the account
byte holds[OWNERS], leases[OWNERS]; // of the owner's buffer: fa_buffer.references and .leases
bool buffer_freed[OWNERS];
byte size[OWNERS]; // the buffer's

inline alive(o) { assert(!freed[o]) }

inline subtract_total(o, n)
{
    atomic { alive(o); assert(total[o] >= n); total[o] = total[o] - n }
    atomic { alive(o); assert(server_total >= n); server_total = server_total - n }
}

// Into `ok`.
inline charge(o, n)
{
    atomic { alive(o); total[o] = total[o] + n } // no budget of its own
#ifdef CHECK_THEN_ADD
    if
    :: n <= BUDGET - server_total -> server_total = server_total + n; assert(server_total <= BUDGET); ok = true
    :: else -> ok = false
    fi;
#else
    atomic {
        if
        :: n <= BUDGET - server_total -> server_total = server_total + n; ok = true
        :: else -> ok = false
        fi
    }
#endif
    if
    :: !ok ->
#ifndef REFUSED_STAYS
        atomic { alive(o); total[o] = total[o] - n }
#endif
        skip
    :: else ->
        atomic {
            if
            :: n <= KIND_BUDGET - kind_bytes -> kind_bytes = kind_bytes + n; bytes[o] = bytes[o] + n
            :: else -> ok = false
            fi
        }
        if :: !ok -> subtract_total(o, n) :: else fi
    fi
}

inline discharge(o, n)
{
    atomic { alive(o); assert(bytes[o] >= n); bytes[o] = bytes[o] - n; kind_bytes = kind_bytes - n }
    subtract_total(o, n)
}

inline unref(o)
{
    atomic { alive(o); references[o]--; last = (references[o] == 0) }
    if
    :: last -> atomic { assert(bytes[o] == 0 && total[o] == 0 && leased[o] == 0); freed[o] = true }
    :: else
    fi
}

inline drop(o)
{
    atomic { assert(!buffer_freed[o]); holds[o]--; last = (holds[o] == 0) }
    if
    :: last ->
        buffer_freed[o] = true;
#ifdef UNREF_FIRST
        unref(o);
        discharge(o, size[o])
#else
        discharge(o, size[o]);
        unref(o)
#endif
    :: else
    fi
}

proctype socket(byte o) // holds a lease until the bytes are in it
{
    bool last, gone;
    atomic { assert(!buffer_freed[o]); leases[o]--; gone = (leases[o] == 0) }
#ifdef LANDED_LATE
    drop(o);
    if :: gone -> atomic { alive(o); leased[o] = leased[o] - size[o] } :: else fi
#else
    if :: gone -> atomic { alive(o); leased[o] = leased[o] - size[o] } :: else fi;
    drop(o)
#endif
}

inline lease(o)
{
    atomic { holds[o]++; first = (leases[o] == 0); leases[o]++ }
    if :: first -> leased[o] = leased[o] + size[o] :: else fi;
    run socket(o)
}

proctype owner(byte o)
{
    bool ok, last, first;
    byte n;
    if :: n = 1 :: n = 2 fi;
    charge(o, n);
    if
    :: ok ->
        size[o] = n;
        holds[o] = 1;
        references[o]++; // the buffer's hold on its account
        if
        :: skip
        :: lease(o)
        :: lease(o); lease(o)
        fi;
        drop(o) // its scope ends: fa_buffer_release
    :: else
    fi;
    unref(o) // and the scope's own
}

active proctype all()
{
    references[0] = 1;
    references[1] = 1;
    run owner(0);
    run owner(1);
    _nr_pr == 1;
    assert(freed[0] && freed[1] && server_total == 0 && kind_bytes == 0)
}
