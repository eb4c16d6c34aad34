// What is asked of a dialogue that is at home on another worker: core/dialogue/remote.c, core/script/lua_voice.c (voice_delete),
// core/worker/crew.c (errands), core/dialogue/directory.c. Here a deletion, which shows best what came of it.
//
// Worker 0 asks. The dialogue is at home on worker 1, and goes from there to rest, to worker 2, back again, or is deleted by somebody else,
// at any moment. Whoever asked may be gone at any moment (its request ends), and worker 0 may be told to finish. A look into the
// directory is one step; what a worker does between two turns of its loop is a section between on and off.
//
//   leave     fa_directory_leave                     enter, wake   fa_directory_enter, fa_directory_wake
//   forget    fa_directory_forget                    knows         fa_directory_knows: home or resting, in one look
//   send      fa_errand_send, run_there, fa_errand_return          back   on_back, send_after
//
// Asserted: "not found" is said only of a dialogue that has ended; done is called once, and not after a cancellation; the errand's memory
// is freed once, and the worker that sent it stays until then.
//
// mutant TWO_LOOKS: voice_delete looks whether it rests, and then whether it is at home elsewhere
// mutant PERFORM_ONCE: what was at home nowhere is not looked for again after it was not found to rest
// mutant CANCEL_FREES: a cancellation frees what is still away
// mutant NO_HOLD: a worker finishes while its errand is away

#define MOVES 3
#define MOST_TRIES 8
#define NONE 255

byte home = 1;
bool resting, finished; // the dialogue's
bool busy[3];
byte held; // fa_worker_hold of worker 0
bool closed;
bool waiting, cancelled, freed, op_freed, told;

inline on(w) { atomic { !busy[w] -> busy[w] = true } }
inline off(w) { busy[w] = false }

// Everybody else.
proctype others()
{
    byte left = MOVES, w;
    do
    :: left > 0 && !finished ->
        left--;
        if
        :: atomic { home != NONE -> w = home } on(w);
            if
            :: home == w -> atomic { home = NONE; resting = true } // leave: from the one to the other in one step
            :: home == w -> atomic { home = NONE; finished = true } // deleted there
            :: else
            fi;
            off(w)
        :: resting ->
            if :: w = 1 :: w = 2 fi;
            on(w);
            if
            :: atomic { home == NONE -> home = w } // enter
                if
                :: atomic { resting -> resting = false } // wake
                :: atomic { !resting -> home = NONE; finished = true } // it had ended meanwhile
                fi
            :: home != NONE
            fi;
            off(w)
        :: atomic { resting -> resting = false; finished = true } // forget
        :: skip
        fi
    :: else -> break
    od
}

inline forget() // into `ok`
{
    atomic {
        if
        :: resting -> resting = false; finished = true; ok = true
        :: else -> ok = false
        fi
    }
}

inline send(to)
{
#ifndef NO_HOLD
    held++;
#endif
    off(0);
    on(to);
    assert(!freed);
    if
    :: home == to -> atomic { home = NONE; finished = true } ok = true
    :: else -> ok = false
    fi;
    off(to);
    on(0);
    assert(!closed && !freed) // the mailbox of worker 0 took the message
}

inline answer(result)
{
    assert(!told && !op_freed);
    told = true;
    assert(result || finished)
}

proctype asker() // voice_delete, on worker 0
{
    bool ok, known;
    byte tries, to;
    on(0);
    forget(); // fa_dialogues_delete: it is not at home here
    if
    :: ok -> answer(true); goto over
    :: else
    fi;
#ifdef TWO_LOOKS
    known = (home != NONE);
#else
    atomic { known = (home != NONE || resting) }
#endif
    if
    :: !known -> answer(false); goto over
    :: else
    fi;
    waiting = true;
again:
    to = home; // send_after
    if
    :: to != NONE && tries < MOST_TRIES -> tries++; send(to)
    :: to == NONE && tries == 0 -> send(0) // the answer comes from the loop
    :: else -> ok = false
    fi;
    if
    :: !cancelled && !ok && to != NONE && tries < MOST_TRIES -> atomic { if :: held > 0 -> held-- :: else fi } goto again
    :: !cancelled && !ok && (to == NONE || tries >= MOST_TRIES) -> // at home nowhere: here
        forget();
#ifndef PERFORM_ONCE
        atomic { known = (home != NONE || resting) }
        if
        :: !ok && known && tries < MOST_TRIES -> tries++; atomic { if :: held > 0 -> held-- :: else fi } goto again
        :: else
        fi
#endif
    :: else
    fi;
    if
    :: !cancelled -> answer(ok); waiting = false
    :: else
    fi;
    assert(!freed);
    freed = true;
    atomic { if :: held > 0 -> held-- :: else fi }
over:
    waiting = false;
    off(0)
}

proctype canceller() // on_scope_end of the request, fa_remote_cancel
{
    on(0);
    if
    :: waiting && !told -> cancelled = true; op_freed = true;
#ifdef CANCEL_FREES
        freed = true
#endif
    :: else
    fi;
    off(0)
}

// fa_worker_finish: takes effect when nothing is held. The server says it when no request is left, so not between two steps of one.
proctype finisher()
{
    atomic { !busy[0] && held == 0 && (cancelled || told) -> closed = true }
}

active proctype all()
{
    run others();
    run asker();
    run finisher();
    if :: run canceller() :: skip fi;
    _nr_pr == 1;
    assert(held == 0 && (told || cancelled))
}
