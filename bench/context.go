// SPDX-License-Identifier: MIT

// context: a tree of 10,000 contexts made and cancelled, and children one after the other, as in context.lua.
package main

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const (
	contexts = 10000
	ways     = 10
	rounds   = 20
)

func main() {
	var made, cancelled time.Duration
	for r := 0; r < rounds; r++ {
		start := time.Now()
		all := make([]context.Context, contexts)
		cancels := make([]context.CancelFunc, contexts)
		all[0], cancels[0] = context.WithCancel(context.Background())
		for i := 1; i < contexts; i++ {
			parent := all[(i-1)/ways]
			if i%10 == 9 {
				all[i], cancels[i] = context.WithTimeout(parent, 1000*time.Second)
			} else {
				all[i], cancels[i] = context.WithCancel(parent)
			}
		}
		between := time.Now()
		cancels[0]()
		stop := time.Now()
		if all[contexts-1].Err() == nil {
			panic("the last has not ended")
		}
		made += between.Sub(start)
		cancelled += stop.Sub(between)
		runtime.GC()
	}
	parent, stop := context.WithCancel(context.Background())
	defer stop()
	start := time.Now()
	for i := 0; i < rounds*contexts; i++ {
		_, cancel := context.WithCancel(parent)
		cancel()
	}
	churned := time.Since(start)
	n := float64(rounds * contexts)
	fmt.Printf("context_make %.1f ns\n", float64(made.Nanoseconds())/n)
	fmt.Printf("context_cancel %.1f ns\n", float64(cancelled.Nanoseconds())/n)
	fmt.Printf("context_child %.1f ns\n", float64(churned.Nanoseconds())/n)
}
