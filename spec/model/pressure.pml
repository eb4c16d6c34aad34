// Marks and crossings: core/memory/account.c (note_totals, subtract_total) and core/memory/pressure.c (on_crossing, look).
//
// Threads charge and discharge one account while its pressure level is looked after by whoever crossed a mark first; the others only
// leave a note. Each load and store is one step.
//
// Asserted: when all is still, the level is the one that the total calls for, subscribers have been told that one last, and the marks are
// those of the level: no crossing is ever lost, and nobody waits for anybody.
//
// mutant NO_RECHECK: the total is not looked at again after the marks have been set
// mutant PLAIN_STORE: the notes are wiped away, whoever left one meanwhile
// mutant MARKS_FIRST_READ: a charge reads the mark before it counts

#define LEVELS 3
#define NONE 255
#define enter(l) (l == 1 -> 1 : 3)
#define leave(l) (l == 1 -> 1 : 2)
#define ENTER_NEXT(l) (l == 0 -> 1 : (l == 1 -> 3 : NONE))
#define LEAVE_THIS(l) (l == 0 -> 0 : (l == 1 -> 1 : 2))

byte total, low = 0, high = 1;
byte level, told, crossings;

inline level_for(out, from, sum)
{
    d_step {
        out = from;
        do :: sum >= ENTER_NEXT(out) -> out++ :: else -> break od;
        do :: out > 0 && sum < LEAVE_THIS(out) -> out-- :: else -> break od
    }
}

inline look()
{
    before = level;
    now = before;
    do
    :: true ->
        sum = total;
        level_for(now, now, sum);
        low = LEAVE_THIS(now);
        high = ENTER_NEXT(now);
#ifdef NO_RECHECK
        break
#else
        sum = total;
        level_for(again, now, sum);
        if :: again == now -> break :: else fi
#endif
    od;
    if
    :: now != before -> level = now; told = level // subscribers read fa_pressure_now when their message comes
    :: else
    fi
}

inline crossed()
{
    atomic { first = (crossings == 0); crossings++ }
    if
    :: first ->
        seen = 1;
        do
        :: look();
#ifdef PLAIN_STORE
            crossings = 0; break
#else
            atomic {
                if
                :: crossings == seen -> crossings = 0; break
                :: else -> seen = crossings
                fi
            }
#endif
        od
    :: else
    fi
}

proctype worker(byte n)
{
    byte before, now, again, sum, seen, mark;
    bool first;
#ifdef MARKS_FIRST_READ
    mark = high;
#endif
    total = total + n; // fa_account_charge
    sum = total;
#ifndef MARKS_FIRST_READ
    mark = high;
#endif
    if :: sum >= mark -> crossed() :: else fi;
    if
    :: skip // keeps it
    :: atomic { total = total - n; sum = total }
        if :: sum < low -> crossed() :: else fi
    fi
}

active proctype all()
{
    byte wanted;
    run worker(1);
    run worker(2);
    run worker(1);
    _nr_pr == 1;
    assert(crossings == 0 && told == level);
    level_for(wanted, level, total);
    assert(wanted == level && low == LEAVE_THIS(level) && high == ENTER_NEXT(level))
}
