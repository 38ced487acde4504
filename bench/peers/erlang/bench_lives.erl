%% Short lives and crashes.
-module(bench_lives).
-export([spawn_and_end/1, live/2, restart/1]).

-define(LIVES_PER_BATCH, 5000).
-define(NO_LIMIT, 1000000000). % restarts in a second

%% One process after the other, each of which adds 1.
spawn_and_end(Parameters) ->
    Held = hold(bench_measure:count("descriptors", Parameters, 0)),
    Batch = fun(Number) ->
        Last = Number + ?LIVES_PER_BATCH,
        Last = lives(Number, ?LIVES_PER_BATCH),
        {?LIVES_PER_BATCH, Last}
    end,
    bench_measure:rate(Parameters, Batch, 0),
    lists:foreach(fun gen_udp:close/1, Held).

hold(Descriptors) ->
    Open = fun(_) ->
        {ok, Socket} = gen_udp:open(0, [{active, false}, {ip, {127, 0, 0, 1}}]),
        Socket
    end,
    lists:map(Open, lists:seq(1, Descriptors)).

lives(Number, 0) ->
    Number;
lives(Number, Left) ->
    spawn(?MODULE, live, [self(), Number]),
    receive
        Next -> lives(Next, Left - 1)
    end.

live(Parent, Number) ->
    Parent ! Number + 1.

%% kind=effect: a supervisor of its own, which traps exits. kind=otp: the one of the standard library.
restart(Parameters) ->
    Count = bench_measure:count("victims", Parameters, 100),
    true = Count > 0,
    case bench_measure:word("kind", Parameters, "effect") of
        "effect" -> restart_linked(Parameters, Count);
        "otp" -> restart_otp(Parameters, Count);
        Kind -> bench:not_here("restart kind=" ++ Kind)
    end.

%% All victims in turn: each is told to crash, and its supervisor sees that it did and starts it again.
restart_linked(Parameters, Count) ->
    process_flag(trap_exit, true),
    Batch = fun({Number, Victims}) ->
        {Count, {Number + Count, crash_linked(Victims, Number)}}
    end,
    bench_measure:rate(Parameters, Batch, {0, [start_victim() || _ <- lists:seq(1, Count)]}).

start_victim() ->
    spawn_link(fun victim/0).

victim() ->
    receive
        {crash, Number} -> exit({crash, Number})
    end.

crash_linked([], _) ->
    [];
crash_linked([Victim | Others], Number) ->
    Victim ! {crash, Number},
    Again = receive {'EXIT', Victim, {crash, Number}} -> start_victim() end,
    [Again | crash_linked(Others, Number + 1)].

%% The victims are generic servers. Each tells when it starts; the supervisor counts restarts, but never too many.
restart_otp(Parameters, Count) ->
    {ok, _} = bench_supervisor:start_link(self(), Count, ?NO_LIMIT),
    Victims = [receive {started, Index, Victim} -> {Index, Victim} end || Index <- lists:seq(1, Count)],
    bench_measure:rate(Parameters, fun(Now) -> {Count, [crash_otp(Victim) || Victim <- Now]} end, Victims).

crash_otp({Index, Victim}) ->
    gen_server:cast(Victim, crash),
    receive
        {started, Index, Again} when Again =/= Victim -> {Index, Again}
    end.
