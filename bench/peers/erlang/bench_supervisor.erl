%% A supervisor of the standard library with generic servers below it that crash when told.
-module(bench_supervisor).
-behaviour(supervisor).
-export([start_link/3, init/1]).

start_link(Driver, Count, Intensity) ->
    supervisor:start_link(?MODULE, {Driver, Count, Intensity}).

init({Driver, Count, Intensity}) ->
    Flags = #{strategy => one_for_one, intensity => Intensity, period => 1},
    {ok, {Flags, [victim(Driver, Index) || Index <- lists:seq(1, Count)]}}.

victim(Driver, Index) ->
    #{id => Index, start => {bench_victim, start_link, [Driver, Index]}, restart => permanent}.
