// SPDX-License-Identifier: MIT

// map: sets, gets and updates of integer keys by one goroutine, gets of string keys, and all cores at once, nine gets to one update. sync.Map
// for sets and gets; a map and a mutex, the usual way, where a value has to be computed from the one before.
package main

import (
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const n, rounds = 100000, 10

func timed(name string, f func()) {
	start := time.Now()
	f()
	fmt.Printf("%s %.1f ns\n", name, float64(time.Since(start).Nanoseconds())/(n*rounds))
}

type counts struct {
	mu sync.Mutex
	m  map[int]int
}

func (c *counts) update(k int, f func(int) int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m[k] = f(c.m[k])
}

func (c *counts) get(k int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[k]
}

func add(v int) int { return v + 1 }

func main() {
	var m sync.Map
	c := &counts{m: map[int]int{}}
	timed("map_set", func() {
		for r := 0; r < rounds; r++ {
			for i := 1; i <= n; i++ {
				m.Store(i, i)
			}
		}
	})
	timed("map_get", func() {
		sum := 0
		for r := 0; r < rounds; r++ {
			for i := 1; i <= n; i++ {
				v, _ := m.Load(i)
				sum += v.(int)
			}
		}
		if sum != rounds*n*(n+1)/2 {
			panic("values were lost")
		}
	})
	for i := 1; i <= n; i++ {
		c.m[i] = i
	}
	timed("map_update", func() {
		for r := 0; r < rounds; r++ {
			for i := 1; i <= n; i++ {
				c.update(i, add)
			}
		}
	})
	words := make([]string, 1000)
	for i := range words {
		words[i] = "word" + strconv.Itoa(i)
		m.Store(words[i], i+1)
	}
	timed("map_get_string", func() {
		for r := 0; r < n*rounds/len(words); r++ {
			for _, w := range words {
				m.Load(w)
			}
		}
	})
	cores := runtime.NumCPU()
	timed("map_shared", func() {
		var wg sync.WaitGroup
		wg.Add(cores)
		for k := 0; k < cores; k++ {
			go func() {
				for r := 0; r < rounds; r++ {
					for i := 0; i < n/cores; i++ {
						if i%10 == 0 {
							c.update(i, add)
						} else {
							c.get(i)
						}
					}
				}
				wg.Done()
			}()
		}
		wg.Wait()
	})
}
