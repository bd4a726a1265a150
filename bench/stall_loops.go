// SPDX-License-Identifier: MIT

// stall_loops, stall_p99: how late a goroutine that sleeps 1 ms at a time comes at worst, and 99 times in 100 at most, in ms, while a
// hundred others loop without end; two places. Of the worsts of seven runs the median counts.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"time"
)

func main() {
	runtime.GOMAXPROCS(2)
	worst := make(chan []time.Duration)
	for i := 0; i < 100; i++ {
		go func() {
			for {
			}
		}()
	}
	go func() {
		var late []time.Duration
		start := time.Now()
		for last := start; time.Since(start) < 2*time.Second; {
			time.Sleep(time.Millisecond)
			t := time.Now()
			late = append(late, t.Sub(last)-time.Millisecond)
			last = t
		}
		sort.Slice(late, func(i, k int) bool { return late[i] < late[k] })
		worst <- late
	}()
	late := <-worst
	most, p99 := late[len(late)-1], late[(len(late)*99+99)/100-1]
	fmt.Printf("stall_loops %.2f ms\nstall_p99 %.2f ms\n", float64(most)/1e6, float64(p99)/1e6)
}
