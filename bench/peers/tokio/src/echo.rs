//! A TCP echo server.

use crate::measure::{check, Parameters};
use crate::{many_threads, one_thread, run};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{signal, SignalKind};

/// What one read takes, at least: several small requests may have come together.
const BUFFER_SIZE_LEAST: usize = 4096;

async fn echo_connection(mut connection: TcpStream, size: usize) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = vec![0; size];
    loop {
        let received = connection.read(&mut buffer).await?;
        if received == 0 {
            return Ok(());
        }
        connection.write_all(&buffer[..received]).await?;
    }
}

async fn accept(listener: TcpListener, size: usize) {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => drop(tokio::spawn(echo_connection(connection, size))),
            Err(error) => eprintln!("tokio: {error}"), // of that connection alone
        }
    }
}

async fn serve(size: usize) {
    let mut end = signal(SignalKind::terminate()).expect("no signals");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("no listener");
    println!("port {}", listener.local_addr().expect("no port").port());
    tokio::spawn(accept(listener, size));
    end.recv().await;
}

/// A task and a buffer for each connection; one thread, or as many as shards.
pub fn echo(parameters: Parameters) {
    let shards = parameters.count("shards", 1);
    check(shards > 0, "there must be a shard");
    let size = parameters.count("size", 64).max(BUFFER_SIZE_LEAST);
    let runtime = if shards == 1 { one_thread() } else { many_threads(shards) };
    run(runtime, serve(size));
}
