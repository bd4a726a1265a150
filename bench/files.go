// SPDX-License-Identifier: MIT

// files: 2,000 files of 4 KB are read, one after the other by one goroutine, then by 8 goroutines; the time for a file.
package main

import (
	"fmt"
	"math"
	"os"
	"time"
)

const (
	files   = 2000
	size    = 4096
	readers = 8
)

func readRange(dir string, from, to int) int {
	bytes := 0
	for i := from; i <= to; i++ {
		data, err := os.ReadFile(fmt.Sprintf("%s/%d", dir, i))
		if err != nil {
			panic(err)
		}
		bytes += len(data)
	}
	return bytes
}

func readApart(dir string) int {
	done := make(chan int, readers)
	share := files / readers
	for r := 0; r < readers; r++ {
		go func(r int) { done <- readRange(dir, r*share+1, (r+1)*share) }(r)
	}
	bytes := 0
	for r := 0; r < readers; r++ {
		bytes += <-done
	}
	return bytes
}

// The best of a few rounds: the first finds nothing in the caches.
func best(read func(dir string) int, dir string) float64 {
	least := math.Inf(1)
	for i := 0; i < 10; i++ {
		start := time.Now()
		if read(dir) != files*size {
			panic("bytes were lost")
		}
		least = math.Min(least, time.Since(start).Seconds())
	}
	return least / files * 1e6
}

func main() {
	dir, err := os.MkdirTemp("", "files")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	data := make([]byte, size)
	for i := 1; i <= files; i++ {
		if err := os.WriteFile(fmt.Sprintf("%s/%d", dir, i), data, 0o666); err != nil {
			panic(err)
		}
	}
	inOrder := best(func(dir string) int { return readRange(dir, 1, files) }, dir)
	apart := best(readApart, dir)
	fmt.Printf("files_in_order %.2f us\nfiles_apart %.2f us\n", inOrder, apart)
}
