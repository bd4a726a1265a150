// SPDX-License-Identifier: MIT

// mainpong: as pingpong, but one of the two is the main goroutine.
package main

import (
	"fmt"
	"time"
)

const trips = 1000000

func main() {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v
		}
	}()
	sum := 0
	start := time.Now()
	for i := 1; i <= trips; i++ {
		ping <- i
		sum += <-pong
	}
	took := time.Since(start)
	close(ping)
	if sum != trips*(trips+1)/2 {
		panic("messages were lost")
	}
	fmt.Printf("mainpong %.1f ns\n", float64(took.Nanoseconds())/trips)
}
