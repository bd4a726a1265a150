// SPDX-License-Identifier: MIT

// oneway_string: as oneway, but each message is a string of a hundred bytes, copied as goro has to.
package main

import (
	"fmt"
	"strings"
	"time"
)

const messages = 2000000

func main() {
	pipe, done := make(chan string, 128), make(chan int)
	line := strings.Repeat("0123456789", 10)
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
	if sum != messages*100 {
		panic("messages were lost")
	}
	fmt.Printf("oneway_string %.1f ns\n", float64(took.Nanoseconds())/messages)
}
