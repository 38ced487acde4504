%% A peer of the benchmark suite in Erlang: processes and messages, as an Erlang programmer would write each workload.
%%
%%     erlang WORKLOAD [NAME=VALUE]...
%%
%% Figures go to stdout, a line for each. The exit status is 77 for a workload that it does not have, and 1 where work
%% was lost or something failed.
-module(bench).
-export([start/0, not_here/1]).

-define(EXIT_UNKNOWN, 77).

%% The virtual machine calls this while it starts, and must be able to go on.
start() ->
    spawn(fun main/0).

main() ->
    try
        run(init:get_plain_arguments())
    of
        _ -> halt(0)
    catch
        _:What:Where ->
            io:format(standard_error, "erlang: ~p~n~p~n", [What, Where]),
            halt(1)
    end.

run([]) ->
    error("usage: erlang WORKLOAD [NAME=VALUE]...");
run([Word | Arguments]) ->
    Run = workload(Word),
    Run(bench_measure:parse(Arguments)).

workload("bounce") -> fun bench_messages:bounce/1;
workload("ring") -> fun bench_messages:ring/1;
workload("call") -> fun bench_messages:call/1;
workload("stream") -> fun bench_threads:stream/1;
workload("round_trip") -> fun bench_threads:round_trip/1;
workload("spawn") -> fun bench_lives:spawn_and_end/1;
workload("restart") -> fun bench_lives:restart/1;
workload("timers") -> fun bench_timers:timers/1;
workload("idle") -> fun bench_idle:idle/1;
workload("echo") -> fun bench_echo:echo/1;
workload(Word) -> not_here(Word).

%% Ends the program: it does not have that workload, or not of that kind.
not_here(What) ->
    io:format(standard_error, "erlang: no ~s~n", [What]),
    halt(?EXIT_UNKNOWN).
