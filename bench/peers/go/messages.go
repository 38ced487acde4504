package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Of one batch, between two looks at the clock.
const messagesPerBatch = 50_000

// bounce: each delivery adds 1 to the number, so that the last one tells of all.
func bounce(p parameters) {
	there, back := make(chan int), make(chan int)
	go func() {
		for number := range there {
			back <- number + 1
		}
	}()
	last := 0
	report("rate", rate(p.duration(), func() int {
		number := last
		for i := 0; i < messagesPerBatch; i += 2 {
			there <- number
			number = <-back + 1
		}
		check(number == last+messagesPerBatch, "a message was lost")
		last = number
		return messagesPerBatch
	}))
}

type request struct {
	number int
	reply  chan<- int
}

func serve(requests <-chan request) {
	for r := range requests {
		r.reply <- r.number + 1
	}
}

// call: the caller keeps one channel for its replies, since it waits for each.
func call(p parameters) {
	requests, replies := make(chan request), make(chan int)
	go serve(requests)
	last := 0
	report("rate", rate(p.duration(), func() int {
		number := last
		for i := 0; i < messagesPerBatch; i++ {
			requests <- request{number, replies}
			number = <-replies
		}
		check(number == last+messagesPerBatch, "a reply was lost")
		last = number
		return messagesPerBatch
	}))
}

// How many tokens a node of the ring can have before it: enough that it takes several at a time, where they crowd.
const ringCapacity = 16

// A token counts its own hops. At every 16th it is added to the ring's count and may be taken out: so counting costs
// the ring next to nothing. Tokens start out of step, so that the count grows evenly.
const hopsPerCount = 16

type tokenRing struct {
	links []chan int
	count atomic.Int64
	stop  atomic.Bool
	ended chan tokenEnd
}

type tokenEnd struct{ hops, node int }

func (r *tokenRing) node(index int) {
	in, out := r.links[index], r.links[(index+1)%len(r.links)]
	for hops := range in {
		hops++
		if hops%hopsPerCount == 0 {
			r.count.Add(hopsPerCount)
			if r.stop.Load() {
				r.ended <- tokenEnd{hops, index}
				continue
			}
		}
		out <- hops
	}
}

func ring(p parameters) {
	isolates, tokens := p.count("isolates", 1000), p.count("tokens", 100)
	check(0 < tokens && tokens <= isolates, "tokens must be from 1 to isolates")
	r := &tokenRing{links: make([]chan int, isolates), ended: make(chan tokenEnd, tokens)}
	for i := range r.links {
		r.links[i] = make(chan int, ringCapacity)
	}
	for i := range r.links {
		go r.node(i)
	}
	runtime.GC() // what it has to do about the start of so many goroutines is no part of the ring
	for i := 0; i < tokens; i++ {
		r.links[i*isolates/tokens] <- i % hopsPerCount
	}
	time.Sleep(warmUp)
	start, before := time.Now(), r.count.Load()
	time.Sleep(p.duration())
	delivered, elapsed := r.count.Load()-before, time.Since(start)
	r.collect(tokens)
	report("rate", float64(delivered)/elapsed.Seconds())
}

// collect takes the tokens out. Each must be where its hops have led it, and their hops what the ring has counted:
// in sums, since tokens have no names.
func (r *tokenRing) collect(tokens int) {
	r.stop.Store(true)
	hops, offset := 0, 0
	for i := 0; i < tokens; i++ {
		end := <-r.ended
		hops += end.hops
		offset += end.hops - i%hopsPerCount + i*len(r.links)/tokens - end.node - 1
	}
	check(offset%len(r.links) == 0, "a token is not where it should be")
	check(int64(hops) == r.count.Load(), "a token was lost")
}
