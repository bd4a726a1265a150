// SPDX-License-Identifier: MIT

// used: 100,000 goroutines that have each lived a little: printed a line, used strings, a map, a slice. Then they wait on a channel. Resident
// memory of one, and the time from the first start until all are there, divided by their number. There is nothing in Go to compare a required module with:
// its functions are just here.
package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"time"
)

const count = 100000

var rss = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)

func resident() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	match := rss.FindSubmatch(status)
	if match == nil {
		panic("no VmRSS in /proc/self/status")
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		panic(err)
	}
	return kilobytes * 1024
}

type line struct {
	text  string
	words []string
}

func newLine(text string) *line { return &line{strings.TrimSpace(text), strings.Fields(text)} }

func (l *line) String() string {
	titles := make([]string, len(l.words))
	for i, word := range l.words {
		titles[i] = strings.ToUpper(word[:1]) + strings.ToLower(word[1:])
	}
	return strings.Join(titles, " ")
}

func (l *line) longest() string {
	best := ""
	for _, word := range l.words {
		if len(word) > len(best) {
			best = word
		}
	}
	return best
}

func counts(words []string) map[string]int {
	n := map[string]int{}
	for _, word := range words {
		n[word]++
	}
	return n
}

func live(i int, out *os.File, ready, gate chan bool) {
	l := newLine(fmt.Sprintf(" goroutine %d of many ", i))
	list := []string{}
	for word := range counts(l.words) {
		list = append(list, word)
	}
	sort.Strings(list)
	fmt.Fprintln(out, l, strings.Join(list, ","), l.longest())
	ready <- true
	<-gate
	runtime.KeepAlive(l)
}

func main() {
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	ready, gate := make(chan bool), make(chan bool)
	debug.FreeOSMemory()
	before, start := resident(), time.Now()
	for i := 1; i <= count; i++ {
		go live(i, out, ready, gate)
	}
	for i := 0; i < count; i++ {
		<-ready
	}
	took := time.Since(start)
	time.Sleep(300 * time.Millisecond) // each has said that it lives; now they reach the gate
	if runtime.NumGoroutine() != count+1 {
		panic("not all goroutines are there")
	}
	fmt.Printf("used_bytes %.0f bytes\nused_us %.2f us\n", float64(resident()-before)/count, float64(took.Microseconds())/count)
}
