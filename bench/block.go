// SPDX-License-Identifier: MIT

// block: twenty goroutines block for 100 ms in a system call that Go does not know to be one (cgo's usleep), on two places, beside one that sleeps
// 1 ms at a time: the time until all are through, and how late that one comes at worst, in ms.
package main

// #include <unistd.h>
import "C"

import (
	"fmt"
	"runtime"
	"time"
)

func main() {
	runtime.GOMAXPROCS(2)
	done, stop, worst := make(chan bool), make(chan bool), make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		last := time.Now()
		for {
			select {
			case <-stop:
				worst <- most
				return
			default:
			}
			time.Sleep(time.Millisecond)
			t := time.Now()
			if late := t.Sub(last) - time.Millisecond; late > most {
				most = late
			}
			last = t
		}
	}()
	start := time.Now()
	for i := 0; i < 20; i++ {
		go func() {
			C.usleep(100000)
			done <- true
		}()
	}
	for i := 0; i < 20; i++ {
		<-done
	}
	total := time.Since(start)
	close(stop)
	fmt.Printf("block_total %.2f ms\nblock_worst %.2f ms\n", float64(total)/1e6, float64(<-worst)/1e6)
}
