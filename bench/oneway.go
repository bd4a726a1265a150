// SPDX-License-Identifier: MIT

// oneway: an integer from one goroutine to another, neither of them main, through a channel with room for 128.
package main

import (
	"fmt"
	"time"
)

const messages = 5000000

func main() {
	pipe, done := make(chan int, 128), make(chan int)
	start := time.Now()
	go func() {
		for i := 1; i <= messages; i++ {
			pipe <- i
		}
		close(pipe)
	}()
	go func() {
		sum := 0
		for v := range pipe {
			sum += v
		}
		done <- sum
	}()
	sum := <-done
	took := time.Since(start)
	if sum != messages*(messages+1)/2 {
		panic("messages were lost")
	}
	fmt.Printf("oneway %.1f ns\n", float64(took.Nanoseconds())/messages)
}
