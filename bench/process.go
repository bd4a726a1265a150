// SPDX-License-Identifier: MIT

// process: 1,000 short programs are run, what they write is taken; one after the other by one goroutine, then 8 at a time; the time for a program.
package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"sync"
	"time"
)

const (
	runs    = 1000
	workers = 8
)

func run(n int) {
	for i := 0; i < n; i++ {
		var out, err bytes.Buffer
		cmd := exec.Command("/bin/echo", "hello")
		cmd.Stdout = &out
		cmd.Stderr = &err
		if e := cmd.Run(); e != nil || out.String() != "hello\n" {
			panic(e)
		}
	}
}

func runApart(n int) {
	var group sync.WaitGroup
	for i := 0; i < workers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			run(n / workers)
		}()
	}
	group.Wait()
}

func measure(name string, f func(int)) {
	f(workers)
	start := time.Now()
	f(runs)
	fmt.Printf("%s %.1f us\n", name, float64(time.Since(start).Nanoseconds())/runs/1e3)
}

func main() {
	measure("process", run)
	measure("process_apart", runApart)
}
