%% Parameters, clocks and figures.
-module(bench_measure).
-export([parse/1, count/3, word/3, duration_ns/1, warm_up_ms/0, now_ns/0, rate/3, report/2, cpu_ns/0, resident_bytes/0,
         median/1]).

-define(WARM_UP_MS, 50).

parse(Arguments) ->
    maps:from_list([list_to_tuple(string:split(Argument ++ "=", "=")) || Argument <- Arguments]).

word(Name, Parameters, Otherwise) ->
    case Parameters of
        #{Name := Value} -> string:trim(Value, trailing, "=");
        #{} -> Otherwise
    end.

count(Name, Parameters, Otherwise) ->
    Count = list_to_integer(word(Name, Parameters, integer_to_list(Otherwise))),
    true = Count >= 0,
    Count.

duration_ns(Parameters) ->
    Word = word("seconds", Parameters, "1"),
    Seconds = try list_to_float(Word) catch error:badarg -> list_to_integer(Word) end,
    true = Seconds > 0,
    round(Seconds * 1.0e9).

warm_up_ms() -> ?WARM_UP_MS.

now_ns() -> erlang:monotonic_time(nanosecond).

%% Repeats the batch, a function from a state to how much it did and the next state, and reports the operations in a
%% second. A warm-up is left out. Returns the last state.
rate(Parameters, Batch, State) ->
    {_, _, Warm} = repeat(Batch, State, ?WARM_UP_MS * 1000000, now_ns(), 0),
    {Count, Elapsed, Last} = repeat(Batch, Warm, duration_ns(Parameters), now_ns(), 0),
    report(rate, Count * 1.0e9 / Elapsed),
    Last.

repeat(Batch, State, Duration, Start, Count) ->
    {Done, Next} = Batch(State),
    case now_ns() - Start of
        Elapsed when Elapsed >= Duration -> {Count + Done, Elapsed, Next};
        _ -> repeat(Batch, Next, Duration, Start, Count + Done)
    end.

report(Name, Value) ->
    io:format("~s ~s~n", [Name, float_to_list(float(Value), [{decimals, 6}, compact])]).

%% That of all threads of the process. What statistics(runtime) says is in milliseconds: too coarse.
cpu_ns() ->
    {ok, Threads} = file:list_dir("/proc/self/task"),
    lists:sum([thread_ns(Thread) || Thread <- Threads]).

thread_ns(Thread) ->
    [Word | _] = words("/proc/self/task/" ++ Thread ++ "/schedstat"),
    binary_to_integer(Word).

resident_bytes() ->
    [Line] = [Line || <<"VmRSS:", Line/binary>> <- binary:split(text("/proc/self/status"), <<"\n">>, [global])],
    [Kilobytes, <<"kB">>] = string:lexemes(Line, " \t"),
    binary_to_integer(Kilobytes) * 1024.

words(Path) ->
    string:lexemes(text(Path), " \n").

text(Path) ->
    {ok, Text} = file:read_file(Path),
    Text.

median(Values) ->
    lists:nth(length(Values) div 2 + 1, lists:sort(Values)).
