// SPDX-License-Identifier: MIT

// cpu2: how many times the work gets done in the same time when two goroutines compute instead of one; 2 is perfect.
package main

import (
	"fmt"
	"time"
)

const steps = 200000000

func compute(seed int, results chan int) {
	x := seed
	for i := 0; i < steps; i++ {
		x = (x*1103515245 + 12345) & 0x7fffffff
	}
	results <- x
}

func measure(goroutines int) time.Duration {
	results := make(chan int)
	start := time.Now()
	for i := 0; i < goroutines; i++ {
		go compute(42, results)
	}
	first := <-results
	for i := 1; i < goroutines; i++ {
		if <-results != first {
			panic("the results differ")
		}
	}
	return time.Since(start)
}

func main() {
	one := measure(1)
	two := measure(2)
	fmt.Printf("cpu2 %.2f times\n", 2*float64(one)/float64(two))
}
