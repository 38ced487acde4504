//! Messages between the tasks of two threads.

use crate::measure::{check, fail, report, Meter, Parameters, WARM_UP};
use crate::messages::MESSAGES_PER_BATCH;
use crate::{many_threads, one_thread, run};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Instant;
use tokio::sync::mpsc;

const STREAM_CAPACITY: usize = 1024;

async fn produce(numbers: mpsc::Sender<usize>, stop: Arc<AtomicBool>) -> usize {
    let mut sent = 0;
    while !stop.load(Relaxed) {
        numbers.send(sent).await.expect("nobody receives");
        sent += 1;
    }
    sent
}

async fn consume(mut inbox: mpsc::Receiver<usize>, stop: Arc<AtomicBool>, parameters: Parameters) -> usize {
    let mut meter = Meter::new(&parameters);
    let mut received = 0;
    loop {
        for _ in 0..MESSAGES_PER_BATCH {
            check(inbox.recv().await == Some(received), "a number was lost");
            received += 1;
        }
        if !meter.goes_on(MESSAGES_PER_BATCH) {
            break;
        }
    }
    stop.store(true, Relaxed);
    while let Some(number) = inbox.recv().await {
        check(number == received, "a number was lost");
        received += 1;
    }
    received
}

/// Binds the thread to the first or the second of the cores that the process may use. Left alone, two threads that wake
/// each other soon share one.
fn pin(which: usize) {
    let size = std::mem::size_of::<libc::cpu_set_t>();
    // SAFETY: the set is this function's own, and of the size that is said.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        check(libc::sched_getaffinity(0, size, &mut set) == 0, "the cores are not known");
        let mut allowed = (0..libc::CPU_SETSIZE as usize).filter(|core| libc::CPU_ISSET(*core, &set));
        let core = allowed.nth(which).unwrap_or_else(|| fail("there are no two cores"));
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(core, &mut set);
        check(libc::sched_setaffinity(0, size, &set) == 0, "the thread can't be bound to a core");
    }
}

/// Runs one side in the background, and the other. place=any: as two tasks of a runtime with two threads, which may well
/// run both on one of them. place=two: each on a runtime with a thread of its own, on a core of its own.
fn on_two<A, B>(place: &str, other: A, this: B) -> (A::Output, B::Output)
where
    A: Future + Send + 'static,
    B: Future + Send + 'static,
    A::Output: Send,
    B::Output: Send,
{
    if place == "any" {
        return run(many_threads(2), async {
            let other = tokio::spawn(other);
            let end = this.await;
            (other.await.expect("the other side panicked"), end)
        });
    }
    let other = thread::spawn(|| {
        pin(1);
        run(one_thread(), other)
    });
    pin(0);
    let end = run(one_thread(), this);
    (other.join().expect("the other side panicked"), end)
}

/// A full channel makes the sender wait.
pub fn stream(parameters: Parameters) {
    let (numbers, inbox) = mpsc::channel(STREAM_CAPACITY);
    let stop = Arc::new(AtomicBool::new(false));
    let place = parameters.word("place", "any").to_string();
    let (sent, received) = on_two(&place, produce(numbers, stop.clone()), consume(inbox, stop, parameters));
    check(sent == received, "a number was lost at the end");
}

const TRIPS_MOST: usize = 1 << 22;
const TRIPS_ASKED: usize = 1000;

enum Ping {
    Number(usize),
    WhichThread,
}

enum Pong {
    Number(usize),
    Thread(ThreadId),
}

async fn answer(mut inbox: mpsc::Receiver<Ping>, back: mpsc::Sender<Pong>) {
    while let Some(ping) = inbox.recv().await {
        let pong = match ping {
            Ping::Number(number) => Pong::Number(number + 1),
            Ping::WhichThread => Pong::Thread(thread::current().id()),
        };
        back.send(pong).await.ok().expect("nobody waits");
    }
}

struct Asker {
    there: mpsc::Sender<Ping>,
    replies: mpsc::Receiver<Pong>,
    number: usize,
}

impl Asker {
    async fn ask(&mut self, ping: Ping) -> Pong {
        self.there.send(ping).await.ok().expect("nobody is there");
        self.replies.recv().await.expect("nobody is there")
    }

    async fn trip(&mut self) -> u64 {
        let start = Instant::now();
        let pong = self.ask(Ping::Number(self.number)).await;
        let took = start.elapsed();
        self.number += 1;
        check(matches!(pong, Pong::Number(number) if number == self.number), "a message was lost");
        took.as_nanos() as u64
    }

    async fn crossed_share(&mut self) -> f64 {
        let mut crossed = 0;
        for _ in 0..TRIPS_ASKED {
            match self.ask(Ping::WhichThread).await {
                Pong::Thread(other) => crossed += usize::from(other != thread::current().id()),
                Pong::Number(_) => fail("a number came unasked"),
            }
        }
        crossed as f64 / TRIPS_ASKED as f64
    }

    async fn measure(mut self, parameters: Parameters) {
        let start = Instant::now();
        while start.elapsed() < WARM_UP {
            self.trip().await;
        }
        let mut trips = Vec::with_capacity(TRIPS_MOST);
        let start = Instant::now();
        while start.elapsed() < parameters.duration() && trips.len() < TRIPS_MOST {
            trips.push(self.trip().await);
        }
        report_trips(trips);
        report("crossed_share", self.crossed_share().await);
    }
}

fn report_trips(mut trips: Vec<u64>) {
    trips.sort_unstable();
    report("p50_ns", trips[trips.len() / 2] as f64);
    report("p99_ns", trips[trips.len() * 99 / 100] as f64);
    report("mean_ns", trips.iter().sum::<u64>() as f64 / trips.len() as f64);
}

/// Two runtimes, unless place=any. The mode makes no difference: a runtime that has nothing to do sleeps at once.
/// crossed_share tells how often the two sides were on two threads.
pub fn round_trip(parameters: Parameters) {
    let (there, inbox) = mpsc::channel(1);
    let (back, replies) = mpsc::channel(1);
    let asker = Asker { there, replies, number: 0 };
    let place = parameters.word("place", "two").to_string();
    on_two(&place, answer(inbox, back), asker.measure(parameters));
}
