// How the workers of a server end together: core/server/runtime.c, core/worker/crew.c (visits), core/dialogue/directory.c (travelling).
//
// Two lanes. A listener travels from lane 0 to lane 1. On lane 0 a task of the script's own asks for visits to both lanes, again and
// again, perhaps without ever resting (`while true do fitnessally.memory() end`). The server stops at any moment.
//
//   lane_is_idle, finish_if_all_idle      runtime.c: the lock, and what is looked at under it
//   depart, arrive                        fa_directory_depart, fa_directory_arrive
//   begin_visit, visit_back               fa_crew_visit, on_visit_back
//   HALT, FINISH                          the messages on_halt and on_finish
//
// Asserted: nothing is sent to a lane that has finished (it would never come back). And what has to happen: every lane finishes.
//
// liveness
// mutant ONE_PHASE: lanes finish as soon as all are idle and no visit is away; scripts end only then
// mutant NO_TRAVELLING: a listener on its way is not waited for
// mutant NO_AWAY: visits are not waited for
// mutant ARRIVE_SILENT: the last arrival tells nobody
// mutant IDLE_LATE: a lane looks whether all are idle before it says that it is

#define LANES 2
mtype = { LEAVE, EDGE_IDLE, HALT, FINISH, VISIT, BACK, ARRIVAL };

chan mail[LANES] = [8] of { mtype, byte };
bool stopping, finished[LANES], edge_idle[LANES], idle[LANES], halted[LANES];
bool halting, finishing; // both guarded by the lock, as is idle
byte travelling, away;
bool locked;

inline acquire() { atomic { !locked -> locked = true } }
inline release() { locked = false }

inline post(to, what, value)
{
    atomic { assert(!finished[to]); mail[to]!what(value) }
}

inline post_to_all(what)
{
    atomic { post(0, what, 0); post(1, what, 0) }
}

inline look_if_over()
{
    acquire();
#ifdef ONE_PHASE
    if
    :: stopping && idle[0] && idle[1] -> skip;
        if
        :: travelling == 0 && away == 0 && !finishing -> finishing = true; post_to_all(FINISH)
        :: else
        fi
    :: else
    fi;
#else
    if
    :: stopping && idle[0] && idle[1] && !halting -> halting = true; post_to_all(HALT)
    :: else
    fi;
    if
    :: halted[0] && halted[1] && !finishing ->
        // Two looks: nobody departs any more, and nobody begins a visit, so either stays 0.
#ifndef NO_TRAVELLING
        if
        :: travelling == 0 -> skip;
#endif
#ifndef NO_AWAY
            if
            :: away == 0 ->
#endif
                finishing = true; post_to_all(FINISH)
#ifndef NO_AWAY
            :: else
            fi
#endif
#ifndef NO_TRAVELLING
        :: else
        fi
#endif
    :: else
    fi;
#endif
    release()
}

inline say(what)
{
#ifdef IDLE_LATE
    look_if_over();
    acquire(); what = true; release()
#else
    acquire(); what = true; release();
    look_if_over()
#endif
}

inline begin_visit()
{
    away++;
    out = LANES;
    post(0, VISIT, me);
    post(1, VISIT, me)
}

// The loop takes what comes in turn, so nothing waits for ever: a channel that is read from its head.
proctype lane(byte me)
{
    byte out; // visits of my task that are not back
    bool task = (me == 0); // until the scripts are stopped
    byte from, left;
    do
    :: mail[me]?LEAVE(_) -> atomic { travelling++; post(1 - me, ARRIVAL, 0) } // fa_directory_depart, then the ticket
    :: mail[me]?ARRIVAL(from) ->
        if
        :: from < 2 -> post(1 - me, ARRIVAL, from + 1) // its dialogue has gone on, and it goes after it
        :: skip -> // adopted, or closed because the edge drains: either way it has arrived
            atomic { travelling--; left = travelling }
#ifndef ARRIVE_SILENT
            if :: left == 0 -> look_if_over() :: else fi
#endif
        fi
    :: mail[me]?VISIT(from) -> post(from, BACK, 0)
    :: mail[me]?BACK(_) -> out--;
        if
        :: out == 0 ->
            if
            :: task -> begin_visit() // done() resumes the task, which asks again before its visit counts as over
            :: skip // or sleeps
            fi;
            atomic { away--; left = away }
            if :: left == 0 -> look_if_over() :: else fi
        :: else
        fi
    :: mail[me]?HALT(_) -> task = false; say(halted[me])
    :: mail[me]?FINISH(_) -> task = false; finished[me] = true; break
    :: mail[me]?EDGE_IDLE(_) -> say(idle[me])
    :: task && out == 0 -> begin_visit() // slept enough
    od
}

// What happens on the sockets of a lane.
proctype clients(byte lane_of)
{
    if :: lane_of == 0 -> mail[0]!LEAVE(0) :: else fi;
    stopping; // the last connection goes when the server wants it to
    mail[lane_of]!EDGE_IDLE(0)
}

active proctype server()
{
    atomic { run lane(0); run lane(1); run clients(0); run clients(1) }
    stopping = true
}

ltl ends { <> (finished[0] && finished[1]) }
