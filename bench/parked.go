// SPDX-License-Identifier: MIT

// parked: resident memory of a goroutine that waits on a channel, with 100,000 of them on the same one.
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

const count = 100000

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
	before := resident()
	for i := 0; i < count; i++ {
		go func() {
			ready <- true
			<-gate
		}()
	}
	for i := 0; i < count; i++ {
		<-ready
	}
	time.Sleep(300 * time.Millisecond) // each has said that it runs; now they reach the gate
	if runtime.NumGoroutine() != count+1 {
		panic("not all goroutines are there")
	}
	fmt.Printf("parked %.0f bytes\n", float64(resident()-before)/count)
}
