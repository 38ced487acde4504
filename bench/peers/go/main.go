// A peer of the benchmark suite in Go: goroutines and channels, as a Go programmer would write each workload.
//
//	go WORKLOAD [NAME=VALUE]...
//
// Figures go to stdout, a line for each. The exit status is 77 for a workload that it does not have, and 1 where
// work was lost or something failed.
package main

import (
	"fmt"
	"log"
	"os"
	"runtime"
)

const exitUnknown = 77

// How many threads run Go code at once; echo has as many as shards.
const (
	oneCore  = 1
	twoCores = 2
)

var workloads = map[string]struct {
	run        func(parameters)
	processors int
}{
	"bounce":     {bounce, oneCore},
	"ring":       {ring, oneCore},
	"call":       {call, oneCore},
	"stream":     {stream, twoCores},
	"round_trip": {roundTrip, twoCores},
	"spawn":      {spawn, oneCore},
	"restart":    {restart, oneCore},
	"timers":     {timers, oneCore},
	"idle":       {idle, oneCore},
	"echo":       {echo, oneCore},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("go: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: go WORKLOAD [NAME=VALUE]...")
	}
	workload, known := workloads[os.Args[1]]
	if !known {
		notHere(os.Args[1])
	}
	runtime.GOMAXPROCS(workload.processors)
	workload.run(parse(os.Args[2:]))
}

// notHere ends the program: it does not have that workload, or not of that kind.
func notHere(what string) {
	fmt.Fprintln(os.Stderr, "go: no", what)
	os.Exit(exitUnknown)
}

// check ends the program where something is not as it must be: then there is no figure.
func check(holds bool, what string) {
	if !holds {
		log.Fatal(what)
	}
}
