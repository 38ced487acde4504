//! Messages between the tasks of one thread. Channels are unbounded, which is faster, where the workload itself bounds
//! what is under way.

use crate::measure::{check, report, Meter, Parameters, WARM_UP};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Of one batch, between two looks at the clock.
pub const MESSAGES_PER_BATCH: usize = 50_000;

/// Each delivery adds 1 to the number, so that the last one tells of all.
pub async fn bounce(parameters: Parameters) {
    let (there, mut inbox) = mpsc::unbounded_channel::<usize>();
    let (back, mut replies) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(number) = inbox.recv().await {
            if back.send(number + 1).is_err() {
                break;
            }
        }
    });
    let mut meter = Meter::new(&parameters);
    let mut last = 0;
    loop {
        let mut number = last;
        for _ in 0..MESSAGES_PER_BATCH / 2 {
            there.send(number).expect("nobody is there");
            number = replies.recv().await.expect("nobody is there") + 1;
        }
        check(number == last + MESSAGES_PER_BATCH, "a message was lost");
        last = number;
        if !meter.goes_on(MESSAGES_PER_BATCH) {
            break;
        }
    }
}

struct Request {
    number: usize,
    reply: oneshot::Sender<usize>,
}

async fn serve(mut requests: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = requests.recv().await {
        request.reply.send(request.number + 1).expect("nobody waits");
    }
}

async fn ask(server: &mpsc::UnboundedSender<Request>, number: usize) -> usize {
    let (reply, answer) = oneshot::channel();
    server.send(Request { number, reply }).ok().expect("nobody serves");
    answer.await.expect("nobody serves")
}

/// Each request brings a one-shot channel for its reply, as Tokio's own guide has it.
pub async fn call(parameters: Parameters) {
    let (server, requests) = mpsc::unbounded_channel();
    tokio::spawn(serve(requests));
    let mut meter = Meter::new(&parameters);
    let mut last = 0;
    loop {
        let mut number = last;
        for _ in 0..MESSAGES_PER_BATCH {
            number = ask(&server, number).await;
        }
        check(number == last + MESSAGES_PER_BATCH, "a reply was lost");
        last = number;
        if !meter.goes_on(MESSAGES_PER_BATCH) {
            break;
        }
    }
}

/// A token counts its own hops. At every 16th it is added to the ring's count and may be taken out: so counting costs
/// the ring next to nothing. Tokens start out of step, so that the count grows evenly.
const HOPS_PER_COUNT: usize = 16;

#[derive(Default)]
struct Ring {
    started: AtomicUsize,
    count: AtomicUsize,
    stop: AtomicBool,
}

struct TokenEnd {
    hops: usize,
    node: usize,
}

struct Node {
    index: usize,
    inbox: mpsc::UnboundedReceiver<usize>,
    next: mpsc::UnboundedSender<usize>,
    ended: mpsc::UnboundedSender<TokenEnd>,
    ring: Arc<Ring>,
}

impl Node {
    async fn run(mut self) {
        self.ring.started.fetch_add(1, Relaxed);
        while let Some(before) = self.inbox.recv().await {
            let hops = before + 1;
            if hops % HOPS_PER_COUNT == 0 {
                self.ring.count.fetch_add(HOPS_PER_COUNT, Relaxed);
                if self.ring.stop.load(Relaxed) {
                    self.ended.send(TokenEnd { hops, node: self.index }).ok().expect("nobody collects");
                    continue;
                }
            }
            self.next.send(hops).expect("the ring is broken");
        }
    }
}

fn start_nodes(
    isolates: usize,
    ring: &Arc<Ring>,
    ended: mpsc::UnboundedSender<TokenEnd>,
) -> Vec<mpsc::UnboundedSender<usize>> {
    let (links, inboxes): (Vec<_>, Vec<_>) = (0..isolates).map(|_| mpsc::unbounded_channel()).unzip();
    for (index, inbox) in inboxes.into_iter().enumerate() {
        let next = links[(index + 1) % isolates].clone();
        let node = Node { index, inbox, next, ended: ended.clone(), ring: ring.clone() };
        tokio::spawn(node.run());
    }
    links
}

pub async fn ring(parameters: Parameters) {
    let (isolates, tokens) = (parameters.count("isolates", 1000), parameters.count("tokens", 100));
    check(0 < tokens && tokens <= isolates, "tokens must be from 1 to isolates");
    let ring = Arc::new(Ring::default());
    let (ended, ends) = mpsc::unbounded_channel();
    let links = start_nodes(isolates, &ring, ended);
    while ring.started.load(Relaxed) < isolates {
        tokio::task::yield_now().await; // or the first to start would drive all tokens before them
    }
    for i in 0..tokens {
        links[i * isolates / tokens].send(i % HOPS_PER_COUNT).expect("the ring is broken");
    }
    tokio::time::sleep(WARM_UP).await;
    let (start, before) = (Instant::now(), ring.count.load(Relaxed));
    tokio::time::sleep(parameters.duration()).await;
    let (delivered, elapsed) = (ring.count.load(Relaxed) - before, start.elapsed());
    collect(&ring, ends, isolates, tokens).await;
    report("rate", delivered as f64 / elapsed.as_secs_f64());
}

/// Takes the tokens out. Each must be where its hops have led it, and their hops what the ring has counted: in sums,
/// since tokens have no names.
async fn collect(ring: &Ring, mut ends: mpsc::UnboundedReceiver<TokenEnd>, isolates: usize, tokens: usize) {
    ring.stop.store(true, Relaxed);
    let (mut hops, mut due, mut found) = (0, 0, 0);
    for i in 0..tokens {
        let end = ends.recv().await.expect("the ring is broken");
        hops += end.hops;
        found += end.node + i % HOPS_PER_COUNT + 1;
        due += end.hops + i * isolates / tokens;
    }
    check(due % isolates == found % isolates, "a token is not where it should be");
    check(hops == ring.count.load(Relaxed), "a token was lost");
}
