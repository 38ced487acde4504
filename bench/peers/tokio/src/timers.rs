//! Timers: a task that sleeps for each, as is usual where tasks have timeouts.

use crate::measure::{check, cpu_time, report, Parameters};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::sleep;

fn spread(i: usize, milliseconds: u32) -> Duration {
    Duration::from_millis(u64::from((i as u32).wrapping_mul(2654435761) % milliseconds))
}

async fn expire(i: usize, delay: Duration, started: Arc<AtomicUsize>) -> usize {
    started.fetch_add(1, Relaxed);
    sleep(delay).await;
    i
}

/// Returns when each task has begun to sleep.
async fn start(count: usize, least: Duration, milliseconds: u32) -> Vec<JoinHandle<usize>> {
    let started = Arc::new(AtomicUsize::new(0));
    let begin = |i| tokio::spawn(expire(i, least + spread(i, milliseconds), started.clone()));
    let tasks = (0..count).map(begin).collect();
    while started.load(Relaxed) < count {
        tokio::task::yield_now().await;
    }
    tasks
}

/// A slow machine may let some expire before they are cancelled, but each must do one or the other.
async fn start_cancel(count: usize) -> Duration {
    let began = Instant::now();
    let tasks = start(count, Duration::from_secs(1), 1_000_000).await;
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        let is_well = task.await.map_or_else(|error| error.is_cancelled(), |_| true);
        check(is_well, "a timer was lost");
    }
    began.elapsed()
}

async fn start_fire(count: usize) -> Duration {
    let before = cpu_time();
    let mut sum = 0;
    for task in start(count, Duration::from_millis(1), 100).await {
        sum += task.await.expect("a timer was lost");
    }
    let took = cpu_time() - before;
    check(sum == count * (count - 1) / 2, "a timer was lost");
    took
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

pub async fn timers(parameters: Parameters) {
    let count = parameters.count("count", 1_000_000);
    check(count > 0, "count must be above 0");
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while rates.is_empty() || start.elapsed() < parameters.duration() {
        rates.push(count as f64 / start_cancel(count).await.as_secs_f64());
        costs.push(start_fire(count).await.as_nanos() as f64 / count as f64);
    }
    report("start_cancel_rate", median(rates));
    report("fire_cpu_ns", median(costs));
}
