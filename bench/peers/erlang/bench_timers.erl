%% Timers that send a message when they expire.
-module(bench_timers).
-export([timers/1]).

timers(Parameters) ->
    Count = bench_measure:count("count", Parameters, 1000000),
    true = Count > 0,
    {Times, Costs} = rounds(Count, bench_measure:now_ns() + bench_measure:duration_ns(Parameters), [], []),
    bench_measure:report(start_cancel_rate, Count * 1.0e9 / bench_measure:median(Times)),
    bench_measure:report(fire_cpu_ns, bench_measure:median(Costs) / Count).

rounds(Count, End, Times, Costs) ->
    Next = {[start_cancel(Count) | Times], [start_fire(Count) | Costs]},
    case bench_measure:now_ns() >= End of
        true -> Next;
        false -> rounds(Count, End, element(1, Next), element(2, Next))
    end.

spread(I, Milliseconds) ->
    (I * 2654435761 band 16#ffffffff) rem Milliseconds.

start(Count, Least, Milliseconds) ->
    [erlang:start_timer(Least + spread(I, Milliseconds), self(), I) || I <- lists:seq(0, Count - 1)].

%% A slow machine may let some expire before they are cancelled, but each must do one or the other.
start_cancel(Count) ->
    Start = bench_measure:now_ns(),
    Left = [Timer || Timer <- start(Count, 1000, 1000000), erlang:cancel_timer(Timer) =:= false],
    Took = bench_measure:now_ns() - Start,
    lists:foreach(fun(Timer) -> receive {timeout, Timer, _} -> ok end end, Left),
    Took.

start_fire(Count) ->
    Before = bench_measure:cpu_ns(),
    start(Count, 1, 100),
    Sum = expired(Count, 0),
    Took = bench_measure:cpu_ns() - Before,
    Sum = Count * (Count - 1) div 2,
    Took.

expired(0, Sum) ->
    Sum;
expired(Left, Sum) ->
    receive
        {timeout, _, I} -> expired(Left - 1, Sum + I)
    end.
