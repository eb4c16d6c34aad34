// A worker's mailbox: core/worker/worker.c.
//
// Two threads post two messages again and again; the worker delivers, withdraws and finishes, at any moment. A step of this model is a
// step of the code that another thread can come between: what the lock guards is a section between acquire and release.
//
//   post      fa_worker_post            collect, deliver   deliver_mail
//   withdraw  fa_worker_withdraw        finish             fa_worker_finish
//
// Asserted: no post is lost (a delivery begins after it, unless the worker has finished); an object that has been withdrawn is not
// delivered; nothing is delivered, and no wake-up sent, after the worker has finished, and no message is left in its lists then.
//
// mutant LATE_CLEAR: a message counts as posted while it is delivered
// mutant WITHDRAW_MAIL_ONLY: what has been collected already is not withdrawn
// mutant WAKE_OUTSIDE: the loop is woken after the lock was opened
// mutant FINISH_LEAVES: what has been collected stays when the worker finishes

#define POSTS 2
mtype = { NOWHERE, MAIL, DELIVERY };

bool locked, wake, finished, closed;
mtype place[2] = NOWHERE;
bool posted[2], work[2], freed[2]; // work: the poster has something to be seen to
byte posters = 2;
bool over[2]; // nobody posts this one any more

inline acquire() { atomic { !locked -> locked = true } }
inline release() { locked = false }

proctype poster(byte m)
{
    byte left = POSTS;
    do
    :: left > 0 ->
        left--;
        work[m] = true;
        acquire();
        if
        :: !posted[m] && !finished ->
            posted[m] = true;
            place[m] = MAIL;
#ifdef WAKE_OUTSIDE
            release();
            atomic { assert(!closed); wake = true }
#else
            assert(!closed);
            wake = true;
            release()
#endif
        :: else -> release()
        fi
    :: else -> break
    od;
    atomic { over[m] = true; posters-- }
}

inline withdraw(m)
{
    acquire();
    if
#ifdef WITHDRAW_MAIL_ONLY
    :: place[m] == MAIL -> place[m] = NOWHERE; posted[m] = false
#else
    :: posted[m] -> place[m] = NOWHERE; posted[m] = false
#endif
    :: else
    fi;
    release();
    freed[m] = true
}

inline finish()
{
    acquire();
    finished = true;
    d_step {
        byte i = 0;
        do
        :: i < 2 ->
#ifdef FINISH_LEAVES
            if :: place[i] == MAIL -> place[i] = NOWHERE; posted[i] = false :: else fi;
#else
            if :: posted[i] -> place[i] = NOWHERE; posted[i] = false :: else fi;
#endif
            i++
        :: else -> break
        od
    }
    release();
    closed = true
}

inline deliver(m)
{
    assert(!freed[m] && !finished);
    work[m] = false;
    if
    :: m == 0 && over[1] && !freed[1] -> withdraw(1) // the object of the other one ends here
    :: finish()
    :: skip
    fi
}

active proctype worker()
{
    byte m;
    run poster(0);
    run poster(1);
    do
    :: atomic { wake && !closed -> wake = false }
        acquire();
        d_step {
            m = 0;
            do
            :: m < 2 -> if :: place[m] == MAIL -> place[m] = DELIVERY :: else fi; m++
            :: else -> break
            od
        }
        do
        :: place[0] == DELIVERY || place[1] == DELIVERY ->
            if
            :: place[0] == DELIVERY -> m = 0
            :: place[1] == DELIVERY -> m = 1
            fi;
            place[m] = NOWHERE;
#ifndef LATE_CLEAR
            posted[m] = false;
#endif
            release();
            deliver(m);
            acquire();
#ifdef LATE_CLEAR
            posted[m] = false;
#endif
        :: else -> break
        od;
        release()
    :: !finished -> finish() // from a timer, say
    :: posters == 0 && (!wake || closed) -> break
    od;
    if
    :: finished -> assert(!posted[0] && !posted[1] && place[0] == NOWHERE && place[1] == NOWHERE)
    :: else -> assert(!work[0] && (freed[1] || !work[1]))
    fi
}
