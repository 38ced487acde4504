%% A generic server that crashes when told, and says when it starts.
-module(bench_victim).
-behaviour(gen_server).
-export([start_link/2, init/1, handle_call/3, handle_cast/2]).

start_link(Driver, Index) ->
    gen_server:start_link(?MODULE, {Driver, Index}, []).

init({Driver, Index}) ->
    Driver ! {started, Index, self()},
    {ok, Index}.

handle_call(_, _, Index) ->
    {reply, Index, Index}.

handle_cast(crash, _) ->
    exit(crash).
