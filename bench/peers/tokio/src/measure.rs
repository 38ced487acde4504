//! Parameters, clocks and figures.

use std::collections::HashMap;
use std::time::{Duration, Instant};

const EXIT_UNKNOWN: i32 = 77;

pub const WARM_UP: Duration = Duration::from_millis(50);

/// Ends the program where something is not as it must be: then there is no figure.
pub fn fail(what: &str) -> ! {
    eprintln!("tokio: {what}");
    std::process::exit(1)
}

pub fn check(holds: bool, what: &str) {
    if !holds {
        fail(what)
    }
}

/// Ends the program: it does not have that workload, or not of that kind.
pub fn not_here(what: &str) -> ! {
    eprintln!("tokio: no {what}");
    std::process::exit(EXIT_UNKNOWN)
}

pub fn report(name: &str, value: f64) {
    println!("{name} {value}");
}

pub struct Parameters(HashMap<String, String>);

impl Parameters {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let pair = |argument: String| {
            let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
            (name.to_string(), value.to_string())
        };
        Parameters(arguments.map(pair).collect())
    }

    pub fn word<'a>(&'a self, name: &str, otherwise: &'a str) -> &'a str {
        self.0.get(name).map_or(otherwise, String::as_str)
    }

    pub fn count(&self, name: &str, otherwise: usize) -> usize {
        let count = self.0.get(name).map_or(Ok(otherwise), |value| value.parse());
        count.unwrap_or_else(|_| fail(&format!("{name} must be a count")))
    }

    pub fn duration(&self) -> Duration {
        match self.word("seconds", "1").parse() {
            Ok(seconds) if seconds > 0.0 => Duration::from_secs_f64(seconds),
            _ => fail("seconds must be above 0"),
        }
    }
}

/// Counts operations, in batches, for the time that the parameters give; a warm-up is left out.
pub struct Meter {
    duration: Duration,
    start: Instant,
    count: usize,
    is_warm: bool,
}

impl Meter {
    pub fn new(parameters: &Parameters) -> Self {
        Meter { duration: parameters.duration(), start: Instant::now(), count: 0, is_warm: false }
    }

    /// After each batch: is there to be another?
    pub fn goes_on(&mut self, batch: usize) -> bool {
        if !self.is_warm {
            self.is_warm = self.start.elapsed() >= WARM_UP;
            if self.is_warm {
                self.start = Instant::now();
            }
            return true;
        }
        self.count += batch;
        let elapsed = self.start.elapsed();
        if elapsed >= self.duration {
            report("rate", self.count as f64 / elapsed.as_secs_f64());
            return false;
        }
        true
    }
}

/// That of the whole process.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    check(status == 0, "the CPU time cannot be read");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

pub fn resident_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|word| word.parse::<usize>().ok());
    let page_size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    pages.map_or_else(|| fail("statm cannot be read"), |pages| (pages * page_size) as f64)
}
