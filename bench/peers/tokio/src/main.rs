//! A peer of the benchmark suite on Tokio: tasks and channels, as a Tokio programmer would write each workload.
//!
//!     tokio WORKLOAD [NAME=VALUE]...
//!
//! Figures go to stdout, a line for each. The exit status is 77 for a workload that it does not have, and 1 where
//! work was lost or something failed.

mod echo;
mod idle;
mod lives;
mod measure;
mod messages;
mod threads;
mod timers;

use measure::{fail, not_here, Parameters};
use std::future::Future;
use tokio::runtime::{Builder, Runtime};

/// A runtime for one thread: what one core is to run.
pub fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("no runtime")
}

/// A runtime with so many threads of its own.
pub fn many_threads(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().expect("no runtime")
}

/// Runs the work as a task like any other, since the future that a runtime blocks on is scheduled in another way.
pub fn run<F>(runtime: Runtime, work: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    runtime.block_on(async { tokio::spawn(work).await.expect("the workload panicked") })
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let workload = arguments.next().unwrap_or_else(|| fail("usage: tokio WORKLOAD [NAME=VALUE]..."));
    let parameters = Parameters::parse(arguments);
    match workload.as_str() {
        "bounce" => run(one_thread(), messages::bounce(parameters)),
        "ring" => run(one_thread(), messages::ring(parameters)),
        "call" => run(one_thread(), messages::call(parameters)),
        "stream" => threads::stream(parameters),
        "round_trip" => threads::round_trip(parameters),
        "spawn" => run(one_thread(), lives::spawn(parameters)),
        "restart" => run(one_thread(), lives::restart(parameters)),
        "timers" => run(one_thread(), timers::timers(parameters)),
        "idle" => run(one_thread(), idle::idle(parameters)),
        "echo" => echo::echo(parameters),
        _ => not_here(&workload),
    }
}
