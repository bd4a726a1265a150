// SPDX-License-Identifier: MIT

// sync: a mutex that nobody else wants, an atomic, a wait group's Add and Done; a mutex that two goroutines for each core want, and the same
// when its holder lets others run; a RWMutex of which one
// call in a hundred is a writer's; a mutex handed to and fro by a condition; goroutines that a wait group waits for.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const n = 1000000

var sink atomic.Int64

func timed(name string, times int, f func()) {
	start := time.Now()
	f()
	fmt.Printf("%s %.1f ns\n", name, float64(time.Since(start).Nanoseconds())/float64(times))
}

func main() {
	workers := 2 * runtime.NumCPU()
	all := func(f func()) {
		var wg sync.WaitGroup
		for w := 0; w < workers; w++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				f()
			}()
		}
		wg.Wait()
	}
	timed("mutex_free", n, func() {
		var m sync.Mutex
		for i := 0; i < n; i++ {
			m.Lock()
			m.Unlock()
		}
	})
	timed("atomic_add", n, func() {
		var a atomic.Int64
		for i := 0; i < n; i++ {
			a.Add(1)
		}
	})
	timed("waitgroup_add", n, func() {
		var wg sync.WaitGroup
		for i := 0; i < n; i++ {
			wg.Add(1)
			wg.Done()
		}
		wg.Wait()
	})
	timed("mutex_shared", n, func() {
		var m sync.Mutex
		all(func() {
			for k := 0; k < n/workers; k++ {
				m.Lock()
				m.Unlock()
			}
		})
	})
	timed("mutex_handed", n/10, func() {
		var m sync.Mutex
		all(func() {
			for k := 0; k < n/10/workers; k++ {
				m.Lock()
				runtime.Gosched()
				m.Unlock()
			}
		})
	})
	timed("rwmutex_shared", n, func() {
		var rw sync.RWMutex
		all(func() {
			x := 0
			for i := 1; i <= n/workers; i++ {
				if i%100 == 0 {
					rw.Lock()
					x++
					rw.Unlock()
				} else {
					rw.RLock()
					x++
					rw.RUnlock()
				}
			}
			sink.Add(int64(x))
		})
	})
	timed("cond_pingpong", n/5, func() {
		var m sync.Mutex
		var turn atomic.Int64
		c := sync.NewCond(&m)
		var wg sync.WaitGroup
		for me := int64(0); me < 2; me++ {
			wg.Add(1)
			go func(me int64) {
				defer wg.Done()
				m.Lock()
				for i := 0; i < n/10; i++ {
					for turn.Load() != me {
						c.Wait()
					}
					turn.Store(1 - me)
					c.Signal()
				}
				m.Unlock()
			}(me)
		}
		wg.Wait()
	})
	timed("waitgroup_go", n/5, func() {
		var wg sync.WaitGroup
		for r := 0; r < n/5/100; r++ {
			for i := 0; i < 100; i++ {
				wg.Add(1)
				go func() { wg.Done() }()
			}
			wg.Wait()
		}
	})
}
