%% Messages between the processes of two schedulers.
-module(bench_threads).
-export([stream/1, round_trip/1]).

-define(NUMBERS_PER_BATCH, 10000).

%% A mailbox has no limit, so the receiver acknowledges each window, and the sender is at most two ahead.
-define(WINDOW, 1000).

stream(Parameters) ->
    on_two(Parameters, fun send_numbers/0, fun(Sender) -> receive_numbers(Sender, Parameters) end).

send_numbers() ->
    receive
        {start, To} -> produce(To, 0, ?WINDOW)
    end.

receive_numbers(Sender, Parameters) ->
    Sender ! {start, self()},
    Batch = fun(Number) -> {?NUMBERS_PER_BATCH, consume(Sender, Number, ?NUMBERS_PER_BATCH)} end,
    Number = bench_measure:rate(Parameters, Batch, 0),
    Sender ! stop,
    drain(Number).

%% Runs the two sides, each bound to a scheduler of its own, by an option that the virtual machine has for its own tests.
%% place=any leaves it to the schedulers, which may well run both on one of them. Ends with the side that knows the other.
on_two(Parameters, Other, This) ->
    Options = case bench_measure:word("place", Parameters, "two") of
        "two" -> fun(Scheduler) -> [link, {scheduler, Scheduler}] end;
        "any" -> fun(_) -> [link] end
    end,
    Process = spawn_opt(Other, Options(2)),
    {Known, Monitor} = spawn_opt(fun() -> This(Process) end, [monitor | Options(1)]),
    receive
        {'DOWN', Monitor, process, Known, normal} -> ok
    end.

produce(To, Number, 0) ->
    receive
        acknowledge -> produce(To, Number, ?WINDOW);
        stop -> To ! {ended, Number}
    end;
produce(To, Number, Left) ->
    To ! Number,
    produce(To, Number + 1, Left - 1).

consume(_, Number, 0) ->
    Number;
consume(Sender, Number, Left) ->
    receive
        Number -> ok
    end,
    acknowledge(Sender, Number),
    consume(Sender, Number + 1, Left - 1).

%% In the middle of a window: so the sender need not wait for a receiver that keeps up.
acknowledge(Sender, Number) when Number rem ?WINDOW =:= ?WINDOW div 2 -> Sender ! acknowledge;
acknowledge(_, _) -> ok.

drain(Number) ->
    receive
        Number -> drain(Number + 1);
        {ended, Sent} -> Sent = Number
    end.

%% Trips are counted in a table: by the nanosecond up to a millisecond, beyond by the microsecond.
-define(FINE, 1000000).
-define(COARSE, 1000000).
-define(TRIPS_ASKED, 1000).
-define(TRIPS_PER_LOOK, 100).

%% The schedulers wait awake or sleep as the mode says: the virtual machine is told when it starts. crossed_share tells
%% how often the two sides were on two schedulers.
round_trip(Parameters) ->
    on_two(Parameters, fun answer/0, fun(Other) -> measure(Other, Parameters) end).

answer() ->
    receive
        {From, which_scheduler} -> From ! erlang:system_info(scheduler_id);
        {From, Number} -> From ! Number + 1
    end,
    answer().

measure(Other, Parameters) ->
    Trips = counters:new(?FINE + ?COARSE, []),
    WarmUp = bench_measure:warm_up_ms() * 1000000,
    {_, _, Number} = trips_for(WarmUp, Other, counters:new(?FINE + ?COARSE, []), bench_measure:now_ns(), 0, 0),
    {Count, Sum, _} = trips_for(bench_measure:duration_ns(Parameters), Other, Trips, bench_measure:now_ns(), Number, 0),
    bench_measure:report(p50_ns, quantile(Trips, Count div 2)),
    bench_measure:report(p99_ns, quantile(Trips, Count * 99 div 100)),
    bench_measure:report(mean_ns, Sum / Count),
    Crossed = [1 || _ <- lists:seq(1, ?TRIPS_ASKED), has_crossed(Other)],
    bench_measure:report(crossed_share, length(Crossed) / ?TRIPS_ASKED).

%% Returns how many trips there were, their sum, and the last number.
trips_for(Duration, Other, Trips, Start, First, Sum) ->
    trips_for(Duration, Other, Trips, Start, First, First, Sum).

trips_for(Duration, Other, Trips, Start, First, Number, Sum) ->
    {Last, Longer} = trips(Other, Trips, Number, Sum, ?TRIPS_PER_LOOK),
    case bench_measure:now_ns() - Start >= Duration of
        true -> {Last - First, Longer, Last};
        false -> trips_for(Duration, Other, Trips, Start, First, Last, Longer)
    end.

trips(_, _, Number, Sum, 0) ->
    {Number, Sum};
trips(Other, Trips, Number, Sum, Left) ->
    Start = bench_measure:now_ns(),
    Other ! {self(), Number},
    Reply = receive Message -> Message end,
    Took = bench_measure:now_ns() - Start,
    Reply = Number + 1,
    counters:add(Trips, place(Took), 1),
    trips(Other, Trips, Reply, Sum + Took, Left - 1).

place(Took) when Took < ?FINE -> Took + 1;
place(Took) -> min(?FINE + Took div 1000, ?FINE + ?COARSE).

time_of(Place) when Place =< ?FINE -> Place - 1;
time_of(Place) -> (Place - ?FINE) * 1000.

quantile(Trips, Rank) -> quantile(Trips, Rank, 1).

quantile(Trips, Rank, Place) ->
    case counters:get(Trips, Place) of
        Count when Count > Rank -> time_of(Place);
        Count -> quantile(Trips, Rank - Count, Place + 1)
    end.

has_crossed(Other) ->
    Other ! {self(), which_scheduler},
    receive
        Scheduler -> Scheduler =/= erlang:system_info(scheduler_id)
    end.
