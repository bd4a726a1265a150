// SPDX-License-Identifier: MIT

// oneway_table: as oneway, but each message is a map of ten fields. Go would send the reference; to compare like with like it is
// copied by hand before it is sent.
package main

import (
	"fmt"
	"time"
)

const messages = 500000

func clone(record map[string]any) map[string]any {
	fresh := make(map[string]any, len(record))
	for k, v := range record {
		fresh[k] = v
	}
	return fresh
}

func main() {
	pipe, done := make(chan map[string]any, 128), make(chan int)
	start := time.Now()
	go func() {
		record := map[string]any{
			"id": 0, "name": "gopher", "path": "/usr/share/lua", "size": 4096, "ratio": 0.75,
			"ready": true, "owner": "moon", "group": "lua", "count": 12, "weight": 1.5,
		}
		for i := 1; i <= messages; i++ {
			record["id"] = i
			pipe <- clone(record)
		}
		close(pipe)
	}()
	go func() {
		sum := 0
		for record := range pipe {
			sum += record["id"].(int)
		}
		done <- sum
	}()
	sum := <-done
	took := time.Since(start)
	if sum != messages*(messages+1)/2 {
		panic("messages were lost")
	}
	fmt.Printf("oneway_table %.1f ns\n", float64(took.Nanoseconds())/messages)
}
