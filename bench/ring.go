// SPDX-License-Identifier: MIT

// ring: a token goes round a ring of 1000 goroutines over unbuffered channels; the cost of a hop.
package main

import (
	"fmt"
	"time"
)

const (
	size = 1000
	hops = 2000000
)

func node(from, to, done chan int) {
	for {
		hop := <-from
		if hop >= hops {
			done <- hop
			return
		}
		to <- hop + 1
	}
}

func main() {
	done := make(chan int)
	var links [size]chan int
	for i := range links {
		links[i] = make(chan int)
	}
	for i := range links {
		go node(links[i], links[(i+1)%size], done)
	}
	time.Sleep(100 * time.Millisecond) // all of them wait for the token before the clock starts
	start := time.Now()
	links[0] <- 0
	last := <-done
	took := time.Since(start)
	if last != hops {
		panic("the token lost count")
	}
	fmt.Printf("ring %.1f ns\n", float64(took.Nanoseconds())/hops)
}
