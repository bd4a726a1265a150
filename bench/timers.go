// SPDX-License-Identifier: MIT

// timers: sleepers and timers, as in timers.lua.
package main

import (
	"fmt"
	"sort"
	"time"
)

const (
	n    = 100000
	lone = 100
	sets = 300000
)

func someMs(i int) time.Duration {
	return time.Duration(float64(i*7919%n) / n * 0.1 * 1e9)
}

func main() {
	out := make(chan bool, n)
	start := time.Now()
	for i := 1; i <= n; i++ {
		s := someMs(i)
		go func() {
			time.Sleep(s)
			out <- true
		}()
	}
	for i := 0; i < n; i++ {
		<-out
	}
	fmt.Printf("sleepers_total %.1f ms\n", time.Since(start).Seconds()*1e3)

	due := make([]time.Time, n)
	timers := make([]<-chan time.Time, n)
	late := make([]time.Duration, n)
	for i := range timers {
		s := 300*time.Millisecond + someMs(i)
		due[i] = time.Now().Add(s)
		timers[i] = time.After(s)
	}
	for i := range timers {
		late[i] = (<-timers[i]).Sub(due[i])
	}
	sort.Slice(late, func(a, b int) bool { return late[a] < late[b] })
	fmt.Printf("timers_p99 %.2f ms\n", late[n*99/100-1].Seconds()*1e3)

	few := make([]time.Duration, lone)
	for i := range few {
		before := time.Now()
		time.Sleep(2 * time.Millisecond)
		few[i] = time.Since(before) - 2*time.Millisecond
	}
	sort.Slice(few, func(a, b int) bool { return few[a] < few[b] })
	fmt.Printf("sleep_late %.1f us\n", few[lone/2-1].Seconds()*1e6)

	start = time.Now()
	for i := 0; i < sets; i++ {
		time.NewTimer(1000 * time.Second).Stop()
	}
	fmt.Printf("timer_stop %.1f ns\n", float64(time.Since(start).Nanoseconds())/sets)
	t := time.NewTimer(1000 * time.Second)
	start = time.Now()
	for i := 0; i < sets; i++ {
		t.Reset(1000 * time.Second)
	}
	fmt.Printf("timer_reset %.1f ns\n", float64(time.Since(start).Nanoseconds())/sets)
}
