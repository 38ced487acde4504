package main

import (
	"runtime"
	"sort"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const streamCapacity = 1024

// place: goroutines have no place, as a rule: Go's scheduler has two threads, and often finds it best that both sides
// share one. place=two locks each side to a thread of its own, on a core of its own, which few programs do.
func place(p parameters) string {
	return p.word("place", "any")
}

func settle(place string, which int) {
	if place == "two" {
		runtime.LockOSThread()
		pin(which)
	}
}

type cores [16]uint64

// The kernel returns how many bytes it knows of, or a negative error.
func affinity(call uintptr, set *cores) {
	_, _, number := syscall.RawSyscall(call, 0, unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
	check(number == 0, "the thread can't be bound to a core")
}

// pin binds the thread to the first or the second of the cores that it may use.
func pin(which int) {
	var allowed, one cores
	affinity(syscall.SYS_SCHED_GETAFFINITY, &allowed)
	for core := 0; core < 64*len(allowed); core++ {
		if allowed[core/64]>>(core%64)&1 == 0 {
			continue
		}
		if which == 0 {
			one[core/64] = 1 << (core % 64)
			affinity(syscall.SYS_SCHED_SETAFFINITY, &one)
			return
		}
		which--
	}
	check(false, "there are no two cores")
}

func produce(numbers chan<- int, stop *atomic.Bool, sent *int, place string) {
	settle(place, 1)
	for !stop.Load() {
		numbers <- *sent
		*sent++
	}
	close(numbers)
}

// stream: two goroutines with a buffered channel between them; a full one makes the sender wait.
func stream(p parameters) {
	numbers := make(chan int, streamCapacity)
	var stop atomic.Bool
	var sent int
	go produce(numbers, &stop, &sent, place(p))
	settle(place(p), 0)
	received := 0
	result := rate(p.duration(), func() int {
		for i := 0; i < messagesPerBatch; i++ {
			check(<-numbers == received, "a number was lost")
			received++
		}
		return messagesPerBatch
	})
	stop.Store(true)
	for number := range numbers {
		check(number == received, "a number was lost")
		received++
	}
	check(received == sent, "a number was lost at the end")
	report("rate", result)
}

const (
	whichThread = 0       // a question instead of a number: who answers says on which thread it runs
	tripsMost   = 1 << 22 // so many are noted
	tripsAsked  = 1000
)

func answer(there <-chan int, back chan<- int, place string) {
	settle(place, 1)
	for number := range there {
		if number == whichThread {
			back <- syscall.Gettid()
		} else {
			back <- number + 1
		}
	}
}

// roundTrip: mode makes no difference, since Go's scheduler decides when a thread sleeps. crossed_share tells how often
// the two sides were on two threads.
func roundTrip(p parameters) {
	there, back := make(chan int), make(chan int)
	go answer(there, back, place(p))
	settle(place(p), 0)
	trips := make([]int, 0, tripsMost)
	number := 1
	trip := func() time.Duration {
		start := time.Now()
		there <- number
		reply := <-back
		took := time.Since(start)
		check(reply == number+1, "a message was lost")
		number = reply
		return took
	}
	for start := time.Now(); time.Since(start) < warmUp; {
		trip()
	}
	for start := time.Now(); time.Since(start) < p.duration() && len(trips) < tripsMost; {
		trips = append(trips, int(trip()))
	}
	reportTrips(trips)
	report("crossed_share", crossedShare(there, back))
}

// crossedShare asks apart from the measured trips, since each question is a system call.
func crossedShare(there chan<- int, back <-chan int) float64 {
	crossed := 0
	for i := 0; i < tripsAsked; i++ {
		there <- whichThread
		if <-back != syscall.Gettid() {
			crossed++
		}
	}
	return float64(crossed) / tripsAsked
}

func reportTrips(trips []int) {
	sort.Ints(trips)
	sum := 0
	for _, trip := range trips {
		sum += trip
	}
	report("p50_ns", float64(trips[len(trips)/2]))
	report("p99_ns", float64(trips[len(trips)*99/100]))
	report("mean_ns", float64(sum)/float64(len(trips)))
}
