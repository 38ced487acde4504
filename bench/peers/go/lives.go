package main

import "os"

// Of one batch, between two looks at the clock.
const (
	livesPerBatch    = 20_000
	restartsPerBatch = 2_000
)

// hold opens pipes, two descriptors each, in the runtime's poller as any open pipe is.
func hold(descriptors int) []*os.File {
	held := make([]*os.File, 0, descriptors+1)
	for len(held) < descriptors {
		reader, writer, err := os.Pipe()
		check(err == nil, "too few descriptors")
		held = append(held, reader, writer)
	}
	return held
}

func live(number int, ended chan<- int) {
	ended <- number + 1
}

// spawn: one goroutine after the other, each of which adds 1.
func spawn(p parameters) {
	held := hold(p.count("descriptors", 0))
	ended := make(chan int)
	last := 0
	result := rate(p.duration(), func() int {
		number := last
		for i := 0; i < livesPerBatch; i++ {
			go live(number, ended)
			number = <-ended
		}
		check(number == last+livesPerBatch, "a child was lost")
		last = number
		return livesPerBatch
	})
	for _, file := range held {
		check(file.Close() == nil, "a descriptor was lost")
	}
	report("rate", result)
}

type victim struct {
	orders  chan int
	crashes chan<- crash
	index   int
	fail    func(number int)
}

type crash struct{ index, number int }

func failByPanic(number int) { panic(number) }

var nowhere *int // nil for ever

func failBySegfault(number int) { *nowhere = number }

// run obeys orders until one makes it crash; who supervises it hears of that.
func (v *victim) run() {
	number := 0
	defer func() {
		if recover() != nil {
			v.crashes <- crash{v.index, number}
		}
	}()
	for number = range v.orders {
		v.fail(number)
	}
}

// restart: the supervisor tells each victim in turn to crash, hears of it, and starts it again in a new goroutine.
func restart(p parameters) {
	fails := map[string]func(int){"effect": failByPanic, "segfault": failBySegfault}
	kind := p.word("kind", "effect")
	fail, known := fails[kind]
	if !known {
		notHere("restart kind=" + kind)
	}
	crashes := make(chan crash)
	victims := make([]*victim, p.count("victims", 100))
	check(len(victims) > 0, "there must be a victim")
	for i := range victims {
		victims[i] = &victim{make(chan int), crashes, i, fail}
		go victims[i].run()
	}
	number := 0
	report("rate", rate(p.duration(), func() int {
		for i := 0; i < restartsPerBatch; i++ {
			v := victims[number%len(victims)]
			v.orders <- number
			check(<-crashes == crash{v.index, number}, "a crash was lost")
			go v.run()
			number++
		}
		return restartsPerBatch
	}))
}
