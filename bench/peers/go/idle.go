package main

import (
	"sync"
	"time"
)

// wait is an idle goroutine with a mailbox of its own, as one that serves others would have it.
func wait(mailbox <-chan int, started, ended *sync.WaitGroup) {
	started.Done()
	for range mailbox {
	}
	ended.Done()
}

func idle(p parameters) {
	var started, ended sync.WaitGroup
	mailboxes := make([]chan int, p.count("isolates", 100_000))
	started.Add(len(mailboxes))
	ended.Add(len(mailboxes))
	for i := range mailboxes {
		mailboxes[i] = make(chan int)
		go wait(mailboxes[i], &started, &ended)
	}
	started.Wait()
	start, before := time.Now(), cpuTime()
	time.Sleep(p.duration())
	spent, elapsed := cpuTime()-before, time.Since(start)
	report("rss_bytes", residentBytes())
	report("cpu_share", spent.Seconds()/elapsed.Seconds())
	for _, mailbox := range mailboxes {
		close(mailbox)
	}
	ended.Wait() // that all were there
}
