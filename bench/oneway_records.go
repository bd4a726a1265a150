// SPDX-License-Identifier: MIT

// oneway_records: as oneway_table, but each message is a list of a hundred maps of ten fields, copied deeply.
package main

import (
	"fmt"
	"time"
)

const messages = 5000

func clone(records []map[string]any) []map[string]any {
	list := make([]map[string]any, len(records))
	for i, record := range records {
		list[i] = make(map[string]any, len(record))
		for k, v := range record {
			list[i][k] = v
		}
	}
	return list
}

func main() {
	pipe, done := make(chan []map[string]any, 16), make(chan int)
	records := make([]map[string]any, 100)
	for i := range records {
		records[i] = map[string]any{
			"id": i + 1, "name": "gopher", "path": "/usr/share/lua", "size": 4096, "ratio": 0.75,
			"ready": true, "owner": "moon", "group": "lua", "count": 12, "weight": 1.5,
		}
	}
	start := time.Now()
	go func() {
		for i := 1; i <= messages; i++ {
			pipe <- clone(records)
		}
		close(pipe)
	}()
	go func() {
		sum := 0
		for records := range pipe {
			sum += records[99]["id"].(int)
		}
		done <- sum
	}()
	sum := <-done
	took := time.Since(start)
	if sum != messages*100 {
		panic("messages were lost")
	}
	fmt.Printf("oneway_records %.1f ns\n", float64(took.Nanoseconds())/messages)
}
