%% Idle processes.
-module(bench_idle).
-export([idle/1]).

idle(Parameters) ->
    Count = bench_measure:count("isolates", Parameters, 100000),
    Self = self(),
    Processes = [spawn_link(fun() -> wait(Self) end) || _ <- lists:seq(1, Count)],
    all_say(there, Count),
    {Before, Start} = {bench_measure:cpu_ns(), bench_measure:now_ns()},
    timer:sleep(bench_measure:duration_ns(Parameters) div 1000000),
    {After, End} = {bench_measure:cpu_ns(), bench_measure:now_ns()},
    bench_measure:report(rss_bytes, bench_measure:resident_bytes()),
    bench_measure:report(cpu_share, (After - Before) / (End - Start)),
    lists:foreach(fun(Process) -> Process ! stop end, Processes),
    all_say(ended, Count).

wait(Driver) ->
    Driver ! there,
    receive
        stop -> Driver ! ended
    end.

all_say(_, 0) ->
    ok;
all_say(What, Left) ->
    receive
        What -> all_say(What, Left - 1)
    end.
