// SPDX-License-Identifier: MIT

// group: 10000 goroutines that do next to nothing and belong together, as x/sync's errgroup has it: a WaitGroup, a Once for the first error, a channel
// of tokens for the limit. Then a parallel map of as many items by a few workers.
package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const n, rounds = 10000, 20

type group struct {
	wg     sync.WaitGroup
	once   sync.Once
	err    error
	tokens chan struct{}
	cancel context.CancelFunc
}

func newGroup(limit int) *group {
	_, cancel := context.WithCancel(context.Background())
	g := &group{cancel: cancel}
	if limit > 0 {
		g.tokens = make(chan struct{}, limit)
	}
	return g
}

func (g *group) run(f func() error) {
	if g.tokens != nil {
		g.tokens <- struct{}{}
	}
	g.wg.Add(1)
	go func() {
		if err := f(); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel()
			})
		}
		if g.tokens != nil {
			<-g.tokens
		}
		g.wg.Done()
	}()
}

func (g *group) wait() error {
	g.wg.Wait()
	g.cancel()
	return g.err
}

func timed(name string, f func()) {
	start := time.Now()
	f()
	fmt.Printf("%s %.1f ns\n", name, float64(time.Since(start).Nanoseconds())/n/rounds)
}

func run(limit int) {
	for r := 0; r < rounds; r++ {
		g := newGroup(limit)
		for i := 0; i < n; i++ {
			g.run(func() error { return nil })
		}
		if g.wait() != nil {
			panic("it failed")
		}
	}
}

func parallelMap(list []int, workers int, f func(int) int) []int {
	out := make([]int, len(list))
	var next int64 = -1
	g := newGroup(0)
	for w := 0; w < workers; w++ {
		g.run(func() error {
			for i := atomic.AddInt64(&next, 1); i < int64(len(list)); i = atomic.AddInt64(&next, 1) {
				out[i] = f(list[i])
			}
			return nil
		})
	}
	g.wait()
	return out
}

func main() {
	timed("group", func() { run(0) })
	timed("group_limit", func() { run(100) })
	timed("group_map", func() {
		list := make([]int, n)
		for i := range list {
			list[i] = i
		}
		for r := 0; r < rounds; r++ {
			if parallelMap(list, 16, func(v int) int { return v + 1 })[n-1] != n {
				panic("results were lost")
			}
		}
	})
}
