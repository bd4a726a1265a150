// SPDX-License-Identifier: MIT

// select8: a select over eight channels of which one is ready, as in select8.lua; the send is in the figure.
package main

import (
	"fmt"
	"time"
)

const (
	ways   = 8
	rounds = 2000000
)

func main() {
	var c [ways]chan int
	for i := range c {
		c[i] = make(chan int, 1)
	}
	start := time.Now()
	for i := 0; i < rounds; i++ {
		way := i % ways
		c[way] <- i
		var index, v int
		select {
		case v = <-c[0]:
			index = 0
		case v = <-c[1]:
			index = 1
		case v = <-c[2]:
			index = 2
		case v = <-c[3]:
			index = 3
		case v = <-c[4]:
			index = 4
		case v = <-c[5]:
			index = 5
		case v = <-c[6]:
			index = 6
		case v = <-c[7]:
			index = 7
		}
		if index != way || v != i {
			panic("select took the wrong case")
		}
	}
	fmt.Printf("select8 %.1f ns\n", float64(time.Since(start).Nanoseconds())/rounds)
}
