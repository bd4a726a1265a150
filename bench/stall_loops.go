// SPDX-License-Identifier: MIT

// stall_loops: how late a goroutine that sleeps 1 ms at a time comes at worst, in ms, while eight others loop without end; two places.
package main

import (
	"fmt"
	"runtime"
	"time"
)

func main() {
	runtime.GOMAXPROCS(2)
	worst := make(chan time.Duration)
	for i := 0; i < 8; i++ {
		go func() {
			for {
			}
		}()
	}
	go func() {
		var most time.Duration
		start := time.Now()
		for last := start; time.Since(start) < 2*time.Second; {
			time.Sleep(time.Millisecond)
			t := time.Now()
			if late := t.Sub(last) - time.Millisecond; late > most {
				most = late
			}
			last = t
		}
		worst <- most
	}()
	fmt.Printf("stall_loops %.2f ms\n", float64(<-worst)/1e6)
}
