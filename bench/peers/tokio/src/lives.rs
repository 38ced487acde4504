//! Short lives and crashes.

use crate::measure::{check, fail, not_here, Meter, Parameters};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Of one batch, between two looks at the clock.
const LIVES_PER_BATCH: usize = 20_000;
const RESTARTS_PER_BATCH: usize = 1_000;

/// Opens connected sockets, two descriptors each.
fn hold(descriptors: usize) -> Vec<(UnixStream, UnixStream)> {
    let pair = |_| UnixStream::pair().unwrap_or_else(|_| fail("too few descriptors"));
    (0..descriptors / 2).map(pair).collect()
}

async fn live(number: usize) -> usize {
    number + 1
}

/// One task after the other, each of which adds 1.
pub async fn spawn(parameters: Parameters) {
    let _held = hold(parameters.count("descriptors", 0));
    let mut meter = Meter::new(&parameters);
    let mut last = 0;
    loop {
        let mut number = last;
        for _ in 0..LIVES_PER_BATCH {
            number = tokio::spawn(live(number)).await.expect("a child was lost");
        }
        check(number == last + LIVES_PER_BATCH, "a child was lost");
        last = number;
        if !meter.goes_on(LIVES_PER_BATCH) {
            break;
        }
    }
}

/// What a victim panics with.
struct Crash {
    number: usize,
}

struct Victim {
    orders: mpsc::Sender<usize>,
    task: JoinHandle<()>,
}

impl Victim {
    fn start() -> Self {
        let (orders, mut inbox) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            if let Some(number) = inbox.recv().await {
                std::panic::panic_any(Crash { number });
            }
        });
        Victim { orders, task }
    }

    /// Tells it to crash, and sees it do so.
    async fn crash(&mut self, number: usize) {
        self.orders.send(number).await.expect("nobody is there");
        let end = (&mut self.task).await.err().map(|error| error.into_panic());
        let crash = end.and_then(|payload| payload.downcast::<Crash>().ok());
        check(crash.map(|crash| crash.number) == Some(number), "a crash was lost");
    }
}

/// The supervisor tells each victim in turn to crash, sees that in its handle, and starts it again: a new task with a
/// new channel. Panics print nothing.
pub async fn restart(parameters: Parameters) {
    let kind = parameters.word("kind", "effect");
    if kind != "effect" {
        not_here(&format!("restart kind={kind}"));
    }
    std::panic::set_hook(Box::new(|_| {}));
    let mut victims: Vec<_> = (0..parameters.count("victims", 100)).map(|_| Victim::start()).collect();
    check(!victims.is_empty(), "there must be a victim");
    let mut meter = Meter::new(&parameters);
    let mut number = 0;
    loop {
        for _ in 0..RESTARTS_PER_BATCH {
            let index = number % victims.len();
            victims[index].crash(number).await;
            victims[index] = Victim::start();
            number += 1;
        }
        if !meter.goes_on(RESTARTS_PER_BATCH) {
            break;
        }
    }
}
