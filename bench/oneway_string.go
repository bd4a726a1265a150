// SPDX-License-Identifier: MIT

// oneway_string: as oneway, but each message is a string, copied as goro has to: of a hundred bytes, then of a MiB, as in oneway_string.lua.
package main

import (
	"fmt"
	"strings"
	"time"
)

func measure(name string, bytes, room, messages, unit int) {
	pipe, done := make(chan string, room), make(chan int)
	line := strings.Repeat("0123456789", bytes/10+1)[:bytes]
	start := time.Now()
	go func() {
		for i := 1; i <= messages; i++ {
			pipe <- strings.Clone(line)
		}
		close(pipe)
	}()
	go func() {
		sum := 0
		for v := range pipe {
			sum += len(v)
		}
		done <- sum
	}()
	sum := <-done
	took := time.Since(start)
	if sum != messages*bytes {
		panic("messages were lost")
	}
	fmt.Printf("%s %.1f ns\n", name, float64(took.Nanoseconds())/float64(messages)/(float64(bytes)/float64(unit)))
}

func main() {
	measure("oneway_string", 100, 128, 2000000, 100)
	measure("oneway_mib", 1048576, 4, 2000, 1024)
}
