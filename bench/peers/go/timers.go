package main

import (
	"runtime"
	"sort"
	"sync/atomic"
	"time"
)

func spread(i, milliseconds int) time.Duration {
	return time.Duration(int(uint32(i)*2654435761)%milliseconds) * time.Millisecond
}

// A timerRun counts what its timers do; the last one to expire says so.
type timerRun struct {
	fired, sum atomic.Int64
	count      int
	all        chan struct{}
}

func (r *timerRun) start(least time.Duration, milliseconds int) []*time.Timer {
	started := make([]*time.Timer, r.count)
	for i := range started {
		i := i
		started[i] = time.AfterFunc(least+spread(i, milliseconds), func() { r.fire(i) })
	}
	return started
}

func (r *timerRun) fire(i int) {
	r.sum.Add(int64(i))
	if r.fired.Add(1) == int64(r.count) {
		close(r.all)
	}
}

// startCancel: a slow machine may let some expire before they are cancelled, but each must do one or the other.
// Go removes cancelled timers when it schedules next, which therefore counts as well.
func startCancel(count int) time.Duration {
	r := &timerRun{count: count, all: make(chan struct{})}
	began := time.Now()
	cancelled := 0
	for _, timer := range r.start(time.Second, 1_000_000) {
		if timer.Stop() {
			cancelled++
		}
	}
	runtime.Gosched()
	took := time.Since(began)
	check(cancelled+int(r.fired.Load()) == count, "a timer was lost")
	return took
}

func startFire(count int) time.Duration {
	r := &timerRun{count: count, all: make(chan struct{})}
	before := cpuTime()
	r.start(time.Millisecond, 100)
	<-r.all
	took := cpuTime() - before
	check(int(r.sum.Load()) == count*(count-1)/2, "a timer was lost")
	return took
}

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
}

func timers(p parameters) {
	count := p.count("count", 1_000_000)
	check(count > 0, "count must be above 0")
	var rates, costs []float64
	for start := time.Now(); len(rates) == 0 || time.Since(start) < p.duration(); {
		rates = append(rates, float64(count)/startCancel(count).Seconds())
		costs = append(costs, float64(startFire(count))/float64(count))
	}
	report("start_cancel_rate", median(rates))
	report("fire_cpu_ns", median(costs))
}
