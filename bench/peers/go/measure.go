package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const warmUp = 50 * time.Millisecond

type parameters map[string]string

func parse(arguments []string) parameters {
	p := parameters{}
	for _, argument := range arguments {
		name, value, _ := strings.Cut(argument, "=")
		p[name] = value
	}
	return p
}

func (p parameters) word(name, otherwise string) string {
	if value, given := p[name]; given {
		return value
	}
	return otherwise
}

func (p parameters) count(name string, otherwise int) int {
	count, err := strconv.Atoi(p.word(name, strconv.Itoa(otherwise)))
	check(err == nil && count >= 0, name+" must be a count")
	return count
}

func (p parameters) duration() time.Duration {
	seconds, err := strconv.ParseFloat(p.word("seconds", "1"), 64)
	check(err == nil && seconds > 0, "seconds must be above 0")
	return time.Duration(seconds * 1e9)
}

// rate repeats the batch, which returns how much it did, and gives the operations in a second. A warm-up is left out.
func rate(duration time.Duration, batch func() int) float64 {
	for start := time.Now(); time.Since(start) < warmUp; {
		batch()
	}
	done := 0
	for start := time.Now(); ; {
		done += batch()
		if elapsed := time.Since(start); elapsed >= duration {
			return float64(done) / elapsed.Seconds()
		}
	}
}

func report(name string, value float64) {
	fmt.Printf("%s %s\n", name, strconv.FormatFloat(value, 'f', -1, 64))
}

// cpuTime is that of the whole process: the collector's threads work for the program as well.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil, "getrusage failed")
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func residentBytes() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		log.Fatal(err)
	}
	var all, resident int
	_, err = fmt.Sscan(string(text), &all, &resident)
	check(err == nil, "statm cannot be read")
	return float64(resident * os.Getpagesize())
}
