%% Messages between the processes of one scheduler.
-module(bench_messages).
-export([bounce/1, call/1, ring/1]).

%% Of one batch, between two looks at the clock.
-define(MESSAGES_PER_BATCH, 10000).

%% Each delivery adds 1 to the number, so that the last one tells of all.
bounce(Parameters) ->
    Self = self(),
    Other = spawn_link(fun() -> answer(Self) end),
    Batch = fun(Number) ->
        Last = Number + ?MESSAGES_PER_BATCH,
        Last = ping(Other, Number, ?MESSAGES_PER_BATCH div 2),
        {?MESSAGES_PER_BATCH, Last}
    end,
    bench_measure:rate(Parameters, Batch, 0).

answer(Other) ->
    receive
        Number -> Other ! Number + 1
    end,
    answer(Other).

ping(_, Number, 0) ->
    Number;
ping(Other, Number, Count) ->
    Other ! Number,
    receive
        Reply -> ping(Other, Reply + 1, Count - 1)
    end.

%% call: with a reference of its own for each request, as gen_server does, but without its checks and its monitor.
call(Parameters) ->
    Server = spawn_link(fun serve/0),
    Batch = fun(Number) ->
        Last = Number + ?MESSAGES_PER_BATCH,
        Last = ask_often(Server, Number, ?MESSAGES_PER_BATCH),
        {?MESSAGES_PER_BATCH, Last}
    end,
    bench_measure:rate(Parameters, Batch, 0).

serve() ->
    receive
        {request, From, Reference, Number} -> From ! {Reference, Number + 1}
    end,
    serve().

ask(Server, Number) ->
    Reference = make_ref(),
    Server ! {request, self(), Reference, Number},
    receive
        {Reference, Reply} -> Reply
    end.

ask_often(_, Number, 0) -> Number;
ask_often(Server, Number, Count) -> ask_often(Server, ask(Server, Number), Count - 1).

%% A token counts its own hops. At every 16th it is added to the ring's count and may be taken out: so counting costs the
%% ring next to nothing. Tokens start out of step, so that the count grows evenly.
-define(HOPS_PER_COUNT, 16).

%% What all nodes share: three integers.
-define(STARTED, 1).
-define(COUNT, 2).
-define(STOP, 3).

ring(Parameters) ->
    Isolates = bench_measure:count("isolates", Parameters, 1000),
    Tokens = bench_measure:count("tokens", Parameters, 100),
    true = 0 < Tokens andalso Tokens =< Isolates,
    process_flag(priority, high), % so that it need not stand in line with all nodes
    Shared = atomics:new(3, []),
    Nodes = start_nodes(Isolates, Shared),
    Places = [I * Isolates div Tokens || I <- lists:seq(0, Tokens - 1)],
    Phases = [I rem ?HOPS_PER_COUNT || I <- lists:seq(0, Tokens - 1)],
    lists:foreach(fun({Place, Phase}) -> element(Place + 1, Nodes) ! Phase end, lists:zip(Places, Phases)),
    timer:sleep(bench_measure:warm_up_ms()),
    {Before, Start} = {atomics:get(Shared, ?COUNT), bench_measure:now_ns()},
    timer:sleep(bench_measure:duration_ns(Parameters) div 1000000),
    {After, End} = {atomics:get(Shared, ?COUNT), bench_measure:now_ns()},
    collect(Shared, Isolates, Tokens, lists:sum(Places) - lists:sum(Phases) - Tokens),
    bench_measure:report(rate, (After - Before) * 1.0e9 / (End - Start)).

start_nodes(Isolates, Shared) ->
    Self = self(),
    Nodes = [spawn_link(fun() -> node_start(I, Self, Shared) end) || I <- lists:seq(0, Isolates - 1)],
    link_nodes(Nodes, hd(Nodes)),
    wait_for(Shared, Isolates),
    list_to_tuple(Nodes).

link_nodes([Last], First) ->
    Last ! {next, First};
link_nodes([Node, Next | Others], First) ->
    Node ! {next, Next},
    link_nodes([Next | Others], First).

wait_for(Shared, Isolates) ->
    case atomics:get(Shared, ?STARTED) of
        Isolates -> ok;
        _ -> timer:sleep(1), wait_for(Shared, Isolates)
    end.

node_start(Index, Driver, Shared) ->
    receive
        {next, Next} ->
            atomics:add(Shared, ?STARTED, 1),
            node(Index, Next, Driver, Shared)
    end.

node(Index, Next, Driver, Shared) ->
    receive
        Before ->
            Hops = Before + 1,
            case Hops rem ?HOPS_PER_COUNT =:= 0 andalso is_over(Shared) of
                false -> Next ! Hops;
                true -> Driver ! {ended, Hops, Index}
            end
    end,
    node(Index, Next, Driver, Shared).

is_over(Shared) ->
    atomics:add(Shared, ?COUNT, ?HOPS_PER_COUNT),
    atomics:get(Shared, ?STOP) =:= 1.

%% Takes the tokens out. Each must be where its hops have led it, and their hops what the ring has counted: in sums,
%% since tokens have no names.
collect(Shared, Isolates, Tokens, Offset) ->
    atomics:put(Shared, ?STOP, 1),
    Ends = [receive {ended, Hops, Index} -> {Hops, Index} end || _ <- lists:seq(1, Tokens)],
    {HopsOfAll, IndexOfAll} = lists:unzip(Ends),
    0 = (lists:sum(HopsOfAll) + Offset - lists:sum(IndexOfAll)) rem Isolates,
    {counted, Hops} = {counted, lists:sum(HopsOfAll)},
    Hops = atomics:get(Shared, ?COUNT).
