//! Idle tasks.

use crate::measure::{check, cpu_time, report, resident_bytes, Parameters};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// An idle task with a mailbox of its own, as one that serves others would have it.
async fn wait(mut mailbox: mpsc::Receiver<usize>, there: Arc<AtomicUsize>) {
    there.fetch_add(1, Relaxed);
    while mailbox.recv().await.is_some() {}
    there.fetch_sub(1, Relaxed);
}

async fn until(there: &AtomicUsize, count: usize) {
    while there.load(Relaxed) != count {
        tokio::task::yield_now().await;
    }
}

pub async fn idle(parameters: Parameters) {
    let count = parameters.count("isolates", 100_000);
    let there = Arc::new(AtomicUsize::new(0));
    let begin = |_| {
        let (sender, mailbox) = mpsc::channel(1);
        tokio::spawn(wait(mailbox, there.clone()));
        sender
    };
    let mailboxes: Vec<_> = (0..count).map(begin).collect();
    until(&there, count).await;
    let (start, before) = (Instant::now(), cpu_time());
    tokio::time::sleep(parameters.duration()).await;
    let (spent, elapsed) = (cpu_time() - before, start.elapsed());
    report("rss_bytes", resident_bytes());
    report("cpu_share", spent.as_secs_f64() / elapsed.as_secs_f64());
    check(there.load(Relaxed) == count, "a task ended by itself");
    drop(mailboxes);
    until(&there, 0).await;
}
