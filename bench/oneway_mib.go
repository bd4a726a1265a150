// SPDX-License-Identifier: MIT

// oneway_mib: as oneway, but each message is a string of a MiB, copied once. The figure is for a KiB.
package main

import (
	"fmt"
	"strings"
	"time"
)

const messages = 2000

func main() {
	pipe, done := make(chan string, 4), make(chan int)
	line := strings.Repeat("0123456789abcdef", 65536)
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
	if sum != messages*1048576 {
		panic("messages were lost")
	}
	fmt.Printf("oneway_mib %.1f ns\n", float64(took.Nanoseconds())/messages/1024)
}
