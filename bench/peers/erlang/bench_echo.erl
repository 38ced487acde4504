%% A TCP echo server: a process for each connection. What comes is sent to the process as it comes, {active, true}:
%% that takes half the CPU time of asking for each piece, by recv or {active, once}.
-module(bench_echo).
-export([echo/1]).

%% What one read takes, at least: several small requests may have come together.
-define(BUFFER_SIZE_LEAST, 4096).

echo(Parameters) ->
    ok = os:set_signal(sigterm, default), % ends the process at once; init:stop() would take a second
    Size = max(bench_measure:count("size", Parameters, 64), ?BUFFER_SIZE_LEAST),
    {ok, Listener} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false}, {nodelay, true}, {buffer, Size},
                                        {backlog, 1024}]),
    {ok, Port} = inet:port(Listener),
    io:format("port ~b~n", [Port]),
    accept(Listener).

accept(Listener) ->
    {ok, Connection} = gen_tcp:accept(Listener),
    Server = spawn(fun() -> start(Connection) end),
    ok = gen_tcp:controlling_process(Connection, Server),
    Server ! go,
    accept(Listener).

start(Connection) ->
    receive
        go -> ok
    end,
    case inet:setopts(Connection, [{active, true}]) of
        ok -> serve(Connection);
        {error, _} -> gen_tcp:close(Connection)
    end.

serve(Connection) ->
    receive
        {tcp, Connection, Data} ->
            _ = gen_tcp:send(Connection, Data), % a failure comes as a message as well
            serve(Connection);
        {tcp_closed, Connection} ->
            ok;
        {tcp_error, Connection, _} ->
            gen_tcp:close(Connection)
    end.
