// SPDX-License-Identifier: MIT

// pingpong: a round trip (two messages) between two goroutines, neither of them main, over two unbuffered channels.
package main

import (
	"fmt"
	"time"
)

const trips = 1000000

func main() {
	ping, pong, done := make(chan int), make(chan int), make(chan int)
	start := time.Now()
	go func() {
		for v := range ping {
			pong <- v
		}
	}()
	go func() {
		sum := 0
		for i := 1; i <= trips; i++ {
			ping <- i
			sum += <-pong
		}
		close(ping)
		done <- sum
	}()
	sum := <-done
	took := time.Since(start)
	if sum != trips*(trips+1)/2 {
		panic("messages were lost")
	}
	fmt.Printf("pingpong %.1f ns\n", float64(took.Nanoseconds())/trips)
}
