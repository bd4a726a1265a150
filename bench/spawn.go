// SPDX-License-Identifier: MIT

// spawn: starting a goroutine that does nothing and being rid of it, a hundred at a time, as in spawn.lua.
package main

import (
	"fmt"
	"runtime"
	"time"
)

const (
	batch   = 100
	batches = 10000
)

func nothing() {}

func main() {
	start := time.Now()
	before := runtime.NumGoroutine()
	for i := 0; i < batches; i++ {
		for j := 0; j < batch; j++ {
			go nothing()
		}
		for runtime.NumGoroutine() > before {
			runtime.Gosched()
		}
	}
	fmt.Printf("spawn %.1f ns\n", float64(time.Since(start).Nanoseconds())/(batch*batches))
}
