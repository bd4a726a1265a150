// SPDX-License-Identifier: MIT

// parked1m: a million goroutines that wait: resident bytes of each, seconds to start them all, and what is left of each a second after
// they have ended.
package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

const count = 1000000

var rss = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)

func resident() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	match := rss.FindSubmatch(status)
	if match == nil {
		panic("no VmRSS in /proc/self/status")
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		panic(err)
	}
	return kilobytes * 1024
}

func main() {
	ready, gate := make(chan bool), make(chan bool)
	debug.FreeOSMemory()
	before, start := resident(), time.Now()
	for i := 0; i < count; i++ {
		go func() {
			ready <- true
			<-gate
		}()
	}
	for i := 0; i < count; i++ {
		<-ready
	}
	seconds := time.Since(start).Seconds()
	time.Sleep(300 * time.Millisecond) // each has said that it runs; now they reach the gate
	if runtime.NumGoroutine() != count+1 {
		panic("not all goroutines are there")
	}
	fmt.Printf("parked1m %.0f bytes\n", float64(resident()-before)/count)
	fmt.Printf("parked1m_start %.2f s\n", seconds)
	close(gate)
	for runtime.NumGoroutine() > 1 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(time.Second)
	left := resident() - before
	if left < 0 {
		left = 0
	}
	fmt.Printf("parked1m_left %.0f bytes\n", float64(left)/count)
}
